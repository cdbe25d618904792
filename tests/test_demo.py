"""The miniature submissions: verdicts as documented, and files that agree with each other."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from auditor import demo
from auditor.cli import app
from auditor.cli.steps import audit_one
from auditor.demo import MINIATURES, Miniature
from tests.rename_script import renamed

each_miniature = pytest.mark.parametrize("miniature", MINIATURES, ids=lambda miniature: miniature.name)


def text(miniature: Miniature, name: str) -> str:
    return (miniature.folder / name).read_text(encoding="utf-8")


def test_the_demo_ends_with_four_expected_verdicts() -> None:
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.rstrip().splitlines()
    assert [line.split()[:3] for line in lines[-7:-3]] == [[m.name, m.verdict, m.cls] for m in MINIATURES]
    assert all(len(line) <= 80 for line in lines[-7:-1])
    assert lines[-1].startswith("pgolf timeline ")


def test_an_unexpected_verdict_shows_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tuple(Miniature(m.name, "hold", "undecided", m.shows) for m in MINIATURES)
    monkeypatch.setattr(demo, "MINIATURES", wrong)
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 1
    assert result.stdout.count("expected: hold undecided") == 4


def test_the_demo_in_json_is_one_object_a_line() -> None:
    result = CliRunner().invoke(app, ["demo", "--format", "json"])
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(each["verdict"], each["class"]) for each in found] == [(m.verdict, m.cls) for m in MINIATURES]


def test_every_folder_is_a_miniature() -> None:
    folders = {path.name for path in (Path(demo.__file__).parent / "submissions").iterdir() if path.is_dir()}
    assert folders == {m.name for m in MINIATURES}


@each_miniature
def test_bytes_in_log_and_submission_json_are_those_of_the_script(miniature: Miniature) -> None:
    size = (miniature.folder / "train_gpt.py").stat().st_size
    claims = json.loads(text(miniature, "submission.json"))
    assert claims["bytes_code"] == size
    logged = re.search(r"(?:Code size: |\(code )(\d+)", text(miniature, "train.log"))
    total = re.search(r"Total submission size \S+: (\d+) bytes", text(miniature, "train.log"))
    assert logged
    assert total
    assert int(logged[1]) == size
    assert int(total[1]) == claims["bytes_total"]
    assert f"{claims['bytes_total']:,} bytes" in text(miniature, "README.md")


@each_miniature
def test_the_claimed_score_is_the_last_one_in_the_log(miniature: Miniature) -> None:
    last = re.findall(r"val_loss:(\S+) val_bpb:(\S+)", text(miniature, "train.log"))[-1]
    claims = json.loads(text(miniature, "submission.json"))
    assert [round(float(number), 4) for number in last] == [claims["val_loss"], claims["val_bpb"]]
    assert f"val_bpb: {claims['val_bpb']:.4f}" in text(miniature, "README.md")


@each_miniature
def test_every_log_line_is_one_that_the_script_prints(miniature: Miniature) -> None:
    patterns = [printed(call) for call in ast.walk(ast.parse(text(miniature, "train_gpt.py"))) if is_print(call)]
    printable = re.compile("|".join(pattern.replace("\\\n", "|") for pattern in patterns))
    for line in text(miniature, "train.log").splitlines():
        assert printable.fullmatch(line), line


def is_print(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "log0")


def printed(call: ast.AST) -> str:
    """The lines that a print call can give, as a pattern."""
    assert isinstance(call, ast.Call)
    first = call.args[0]
    parts = first.values if isinstance(first, ast.JoinedStr) else [first]
    return "".join(re.escape(part.value) if isinstance(part, ast.Constant) else r".+" for part in parts)


@each_miniature
def test_the_readme_says_that_the_numbers_are_made_up(miniature: Miniature) -> None:
    assert "made up" in " ".join(text(miniature, "README.md").split())


@each_miniature
def test_no_verdict_is_spelled_in_the_code(miniature: Miniature) -> None:
    names = {node.id for node in ast.walk(ast.parse(text(miniature, "train_gpt.py"))) if isinstance(node, ast.Name)}
    assert not {"legal", "illegal", "clean", "flag", miniature.cls} & {name.lower() for name in names}


# The verdict comes from what a script does: other names and other spellings of the same program change nothing.


def audited(miniature: Miniature, code: str, folder: Path) -> tuple[str, str]:
    """Verdict and class of a miniature with another script in it."""
    variant = folder / "variant"
    shutil.copytree(miniature.folder, variant)
    (variant / "train_gpt.py").write_text(code, encoding="utf-8")
    report = audit_one(str(variant), mirror=None, repo="owner/name", env={})
    return report.verdict, report.cls


@each_miniature
def test_names_decide_nothing(miniature: Miniature, tmp_path: Path) -> None:
    code = renamed(text(miniature, "train_gpt.py"))
    assert "def main" not in code
    assert audited(miniature, code, tmp_path) == (miniature.verdict, miniature.cls)


SPELLINGS = {
    "path by concatenation": ("adapt_first", 'os.path.join(root, "fineweb_val_*.bin")', 'root + "/fineweb_val_*.bin"'),
    "path by f-string": ("adapt_first", 'os.path.join(root, "fineweb_val_*.bin")', 'f"{root}/fineweb_val_*.bin"'),
    "sum kept as a tensor": ("adapt_first", ".double().sum().item()", ".double().sum()"),
    "no_grad": ("chunked_sgd", "torch.inference_mode()", "torch.no_grad()"),
    "loss over flattened rows": (
        "last_blocks_adamw",
        'F.cross_entropy(logits.transpose(1, 2), y_batch, reduction="none")',
        'F.cross_entropy(logits.flatten(0, 1), y_batch.flatten(), reduction="none").view_as(y_batch)',
    ),
    "chunks by enumerate": (
        "last_blocks_adamw",
        "    for index in range(chunk_count):\n        starts = schedule[index]\n",
        "    for index, starts in enumerate(schedule):\n",
    ),
    "key by addition": (
        "ngram_cache",
        "ctx_hash ^ (target * mults[order - 1])",
        "ctx_hash + target * mults[order - 1]",
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spelling_decides_nothing(spelling: str, tmp_path: Path) -> None:
    name, usual, other = SPELLINGS[spelling]
    miniature = next(m for m in MINIATURES if m.name == name)
    code = text(miniature, "train_gpt.py")
    assert usual in code
    assert audited(miniature, code.replace(usual, other), tmp_path) == (miniature.verdict, miniature.cls)


# The smallest change that crosses the line changes the verdict.

CROSSINGS = {
    "the chunk is trained on before it is scored": (
        "chunked_sgd",
        "        model.eval()\n        with torch.inference_mode():\n            for start in windows[ci]",
        "        early = val_tokens[ci * chunk_size : ci * chunk_size + seq_len + 1].to(device, torch.int64)[None]\n"
        "        model(early[:, :-1], early[:, 1:]).backward()\n        optimizer.step()\n"
        "        model.eval()\n        with torch.inference_mode():\n            for start in windows[ci]",
        ("flag", "val-token-ttt"),
    ),
    "the adaptation is on training tokens": (
        "adapt_first",
        "adapt(p, final, held_out, device)",
        "adapt(p, final, all_tokens(p.train_pattern), device)",
        ("clean", "pure-neural"),
    ),
}


@pytest.mark.parametrize("crossing", CROSSINGS)
def test_the_smallest_change_that_matters_matters(crossing: str, tmp_path: Path) -> None:
    name, before, after, expected = CROSSINGS[crossing]
    miniature = next(m for m in MINIATURES if m.name == name)
    code = text(miniature, "train_gpt.py")
    assert before in code
    assert audited(miniature, code.replace(before, after), tmp_path) == expected
