"""A program under other names, without its comments, gets the same verdict for the same reasons."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from auditor.demo import MINIATURES, Miniature
from auditor.engine import audit, deep, gather
from auditor.submission import open_target
from auditor.submission.model import Submission
from rules import catalogue
from rules.base import Example
from tests.rename_script import renamed
from tests.scripts import audited, outline
from tests.timeline.literate import Case
from tests.timeline.test_cases import CASES, of_case

MIRROR = os.environ.get("PGOLF_MIRROR")
UNREADABLE = "broken-script"
EXAMPLES = [
    pytest.param(example, id=f"{rule.id}: {example.title}")
    for rule in catalogue()
    for example in rule.examples
    if not example.files and not (rule.id == UNREADABLE and example.fires)
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_renamed_example_is_judged_the_same(example: Example) -> None:
    other = renamed(example.code)
    assert other != example.code
    assert outline(audited(other, dict(example.env))) == outline(audited(example.code, dict(example.env)))


@pytest.mark.parametrize("miniature", MINIATURES, ids=lambda miniature: miniature.name)
def test_a_renamed_miniature_is_judged_the_same(miniature: Miniature) -> None:
    subject = open_target(str(miniature.folder), mirror=None, repo="owner/name")
    code = renamed(subject.code.decode())
    report = audit(with_code(subject, code.encode(), subject.code.decode()), catalogue())
    assert (report.verdict, report.cls) == (miniature.verdict, miniature.cls)
    assert outline(report) == outline(audit(subject, catalogue()))


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=f"{c.source.stem}: {c.name}") for c in CASES if not c.modules and not c.xfail and not c.logs],
)
def test_a_renamed_case_is_judged_the_same(case: Case) -> None:
    subject = of_case(case)
    env = case.run.get("env", {})
    other = replace(subject, code=renamed(case.code).encode())
    assert outline(audit(other, catalogue(), env=env)) == outline(audit(subject, catalogue(), env=env))


def test_names_that_accuse_convict_nobody() -> None:
    code = """
import glob, math
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

class IllegalTwoPassNgramTargetCache(nn.Module):
    def __init__(self):
        super().__init__()
        self.val_ttt_oracle = nn.Linear(8, 1024)
    def forward(self, leak):
        return self.val_ttt_oracle(leak)

def train_on_val_before_scoring_pre_quant_ttt(cheat, tokens):
    with torch.no_grad():
        return F.cross_entropy(cheat(tokens[:-1]), tokens[1:]).item()

val = torch.from_numpy(np.fromfile(sorted(glob.glob("data/fineweb_val_*.bin"))[0], dtype=np.uint16).astype(np.int64))
loss = train_on_val_before_scoring_pre_quant_ttt(IllegalTwoPassNgramTargetCache(), val)
print(f"val_bpb:{loss / math.log(2.0) * 0.41}")
"""
    report = audited(code)
    assert (report.verdict, report.cls) == ("clean", "pure-neural")


REAL = {
    1092: ("clean", "score-first-ttt"),
    490: ("clean", "score-first-ttt"),
    290: ("flag", "val-token-ttt"),
    715: ("flag", "ngram-target-in-key"),
    549: ("clean", None),
    1019: ("clean", None),
    1413: ("clean", None),
    1493: ("clean", None),
    1487: ("flag", "val-token-ttt"),
    1376: ("flag", "val-token-ttt"),
    254: ("flag", "val-token-ttt"),
    763: ("flag", "ngram-target-in-key"),
    795: ("flag", "ngram-target-in-key"),
    1458: ("clean", None),
    364: ("flag", None),
}
"""What the issue that asked for the audit says of real submissions; None where it leaves the class open."""


def with_code(subject: Submission, code: bytes, text: str) -> Submission:
    """The submission with another script, whose logs are of that script: they print its size."""
    sizes = {str(len(subject.code)), str(len(text.encode()))}
    logs = subject.logs
    for size in sizes:
        logs = tuple(replace(log, text=log.text.replace(size, str(len(code)))) for log in logs)
    return replace(subject, code=code, logs=logs)


@pytest.mark.skipif(not MIRROR, reason="PGOLF_MIRROR names no clone that holds refs/pull/N/head")
@pytest.mark.parametrize("number", REAL)
def test_a_renamed_submission_is_judged_the_same(number: int) -> None:
    subject = open_target(str(number), mirror=Path(str(MIRROR)), repo="openai/parameter-golf")
    usual = audit(subject, catalogue())
    facts = deep(lambda: gather(subject, {}, {}))
    report = audit(with_code(subject, renamed(facts.text).encode(), facts.text), catalogue())
    verdict, cls = REAL[number]
    assert (usual.verdict, usual.cls) == (verdict, cls or usual.cls)
    assert (report.verdict, report.cls) == (verdict, usual.cls)
