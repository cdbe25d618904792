"""Which second script scored the headline, and that it is audited with the one that trained."""

from __future__ import annotations

import pytest

from auditor.engine import audit
from auditor.submission.assemble import assemble
from auditor.submission.model import Pull, Submission
from auditor.verdict import Target
from rules import catalogue
from tests.submission.test_select import A, FakeTree

TRAINED = b"step:1/2 train_loss:1.5\nfinal_sliding val_bpb:1.2100\n"
SCORED = b"Checkpoint: model.ptz\nBlended score: 1.2001 bpb\nLoop: 50.1s | Wall: 87.6s\n"
TRAINER = """
import torch
import torch.nn.functional as F

def evaluate(model, val_tokens):
    total = 0.0
    for start in range(0, 4096, 64):
        x, y = val_tokens[start:start + 64], val_tokens[start + 1:start + 65]
        total += F.cross_entropy(model(x), y).item()
    return total

def main():
    model = torch.nn.Linear(8, 8)
    val_tokens = torch.load("fineweb_val.bin")
    print(f"final_sliding val_bpb:{evaluate(model, val_tokens):.4f}")

if __name__ == "__main__":
    main()
"""
SCORER = """
import torch
import torch.nn.functional as F

def main():
    model = torch.nn.Linear(8, 8)
    val_tokens = torch.load("fineweb_val.bin")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    print(f"Checkpoint: model.ptz")
    for epoch in range(3):
        loss = F.cross_entropy(model(val_tokens[:-1]), val_tokens[1:])
        loss.backward()
        optimizer.step()
    total = F.cross_entropy(model(val_tokens[:-1]), val_tokens[1:])
    print(f"Blended score: {total.item():.4f} bpb")
    print(f"Loop: {1.0}s | Wall: {2.0}s")

if __name__ == "__main__":
    main()
"""


def submission(claim: float = 1.2003, **more: bytes) -> Submission:
    files = {
        "train_gpt.py": TRAINER.encode(),
        "score_it.py": SCORER.encode(),
        "submission.json": f'{{"val_bpb": {claim}}}'.encode(),
        "train.log": TRAINED,
        "blend.log": SCORED,
        **{
            name.replace("_log", ".log").replace("_py", ".py").replace("tools_", "tools/"): data
            for name, data in more.items()
        },
    }
    tree = FakeTree({f"{A}/{name}": data for name, data in files.items()})
    return assemble(Pull(target=Target(pr=1), tree=tree, headline=""))


def test_the_script_that_printed_the_claimed_score_is_audited_too() -> None:
    found = submission()
    assert found.script == f"{A}/train_gpt.py"
    assert found.evaluator is not None
    assert found.evaluator.script == f"{A}/score_it.py"
    assert [log.path for log in found.evaluator.logs] == [f"{A}/blend.log"]
    assert "train_gpt" in found.evaluator.modules
    assert "score_it.py printed the claimed score (blend.log)" in (found.chosen_because or "")


def test_its_findings_decide_as_those_of_the_trainer_do() -> None:
    report = audit(submission(), catalogue())
    assert (report.verdict, report.cls) == ("flag", "val-token-ttt")
    assert {f.file for f in report.findings if f.level == "flag"} == {f"{A}/score_it.py"}
    assert audit(submission(claim=1.2101), catalogue()).verdict == "clean"


def test_from_a_folder_of_its_own_it_still_imports_the_trainer() -> None:
    moved = submission(score_it_py=b"", tools_rescore_py=SCORER.encode()).evaluator
    assert moved is not None
    assert moved.script == f"{A}/tools/rescore.py"
    assert "train_gpt" in moved.modules


def test_a_tool_that_adds_up_scores_is_no_evaluator() -> None:
    tool = b"print('Checkpoint: bpb')\nprint('Loop:', 'Wall:')\n"
    assert submission(score_it_py=tool).evaluator is None
    found = submission(add_up_py=tool).evaluator
    assert found is not None
    assert found.script == f"{A}/score_it.py"


@pytest.mark.parametrize(
    ("claim", "blend"),
    [
        (1.2101, SCORED),
        (1.1000, SCORED),
        (1.2003, b"step:1/2 train_loss:1.5\n" + SCORED),
        (1.2003, b"final_sliding val_bpb:1.2001\n"),
    ],
    ids=["the trainer's log is nearer", "no log is near", "the log shows training", "the trainer prints such lines"],
)
def test_without_evidence_the_trainer_alone_is_audited(claim: float, blend: bytes) -> None:
    assert submission(claim, blend_log=blend).evaluator is None
