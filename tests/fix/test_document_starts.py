"""A previous-token gate keeps the unblended value where a document begins."""

from __future__ import annotations

import types
from pathlib import Path

import pytest
from typer.testing import CliRunner

from auditor.cli import app
from auditor.engine import audit
from auditor.fix import Repair
from rules.causality.bos_boundary_leak import BosBoundaryLeak
from tests.fix.offers import RULES, code_of, offered
from tests.scripts import submission

INLINE = next(example.code for example in BosBoundaryLeak.examples if example.fires)
_BLEND = next(line for line in INLINE.splitlines() if "x[:, :-1]" in line)
_MODULE = """
class Gate(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.share = nn.Parameter(torch.full((dim,), 0.5))
    def forward(self, x):
        share = torch.sigmoid(self.share)[None, None, :]
        earlier = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1)
        return (1 - share) * x + share * earlier

class Model"""
MODULE = (
    INLINE.replace(_BLEND, "        x = self.gate(x)")
    .replace("\nclass Model", _MODULE)
    .replace("        self.head =", "        self.gate = Gate(s.dim)\n        self.head =")
)


def masked(code: str) -> Repair | None:
    return offered(code, warnings=True)


def logits(code: str, ids: list[int]) -> list[list[float]]:
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[probe]'")
    module = types.ModuleType("miniature")
    exec(compile(code, "miniature", "exec"), module.__dict__)
    settings = module.__dict__["Settings"]
    settings.vocab, settings.dim, settings.layers = 50, 8, 1
    torch.manual_seed(0)
    found: list[list[float]] = module.__dict__["Model"](settings).logits(torch.tensor([ids]))[0].tolist()
    return found


@pytest.mark.parametrize("code", [INLINE, MODULE], ids=["inline", "module"])
def test_the_gate_is_masked_and_the_warning_goes(code: str) -> None:
    found = masked(code)
    assert found is not None
    assert "x = torch.where((ids == 1).unsqueeze(-1), x, " in code_of(found)
    report = audit(submission(code_of(found)), RULES)
    assert "bos-boundary-leak" not in {f.rule for f in report.findings}
    assert report.verdict == "clean"


@pytest.mark.parametrize("code", [INLINE, MODULE], ids=["inline", "module"])
def test_nothing_of_the_document_before_reaches_a_beginning_and_the_rest_is_as_it_was(code: str) -> None:
    found = masked(code)
    assert found is not None
    one, other = (logits(code_of(found), [7, before, 1, 9, 4]) for before in (3, 12))
    assert one[2:] == other[2:]
    assert logits(code, [7, 3, 1, 9, 4])[2] != logits(code, [7, 12, 1, 9, 4])[2]
    assert logits(code, [7, 3, 8, 9, 4]) == logits(code_of(found), [7, 3, 8, 9, 4])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.gate(x)", "self.gate(x * 2.0)"),  # the value without the blend has no name
        ("x = self.embed(ids)", "x = start(self, ids)"),  # no token ids to be seen in this forward
        (
            "    def forward(self, ids, t",
            "    def deep(self, x):\n        return self.gate(x)\n    def forward(self, ids, t",
        ),
    ],
)
def test_where_a_forward_would_stay_without_the_mask_nothing_is_offered(old: str, new: str) -> None:
    assert old in MODULE
    code = MODULE.replace(old, new).replace(
        "\nclass Model", "\ndef start(model, ids):\n    return model.embed(ids)\n\nclass Model"
    )
    assert masked(code) is None


def test_it_is_offered_by_the_command_only(tmp_path: Path) -> None:
    assert offered(INLINE) is None  # a review speaks of what decides the verdict
    (tmp_path / "train_gpt.py").write_text(INLINE, encoding="utf-8")
    result = CliRunner().invoke(app, ["fix", str(tmp_path / "train_gpt.py")])
    assert result.exit_code == 0
    assert "torch.where((ids == 1)" in result.stdout
    assert "keep the unblended value where a document begins (token 1)" in result.stderr
