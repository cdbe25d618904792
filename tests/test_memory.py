"""What audits leave to the next: less work, and nothing of the pull request that did it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from auditor.engine import audit
from auditor.memory import Memory
from auditor.submission.model import Submission
from auditor.timeline.interpreter import Interpreter
from auditor.verdict import Claims, Report
from rules import catalogue
from rules.miniature import script
from tests.scripts import submission

CODE = script("""
    def evaluate(s, model, val):
        return plain_eval(s, model, val)
""")


def report_on(subject: Submission, memory: Memory | None = None) -> Report:
    """All that is reported, apart from how long it took."""
    return replace(audit(subject, catalogue(), memory=memory), timings_ms={})


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is interpreted."""
    found: list[object] = []
    usual = Interpreter.analyse

    def analyse(self: Interpreter, tree: Any) -> Any:
        found.append(tree)
        return usual(self, tree)

    monkeypatch.setattr(Interpreter, "analyse", analyse)
    return found


def test_the_same_script_under_the_same_settings_is_interpreted_once(interpreted: list[object]) -> None:
    memory = Memory()
    first = report_on(submission(CODE), memory)
    once = len(interpreted)
    assert once
    assert report_on(submission(CODE), memory) == first
    assert len(interpreted) == once


@pytest.mark.parametrize(
    "other",
    [
        submission(CODE + "\n# longer\n"),
        submission(CODE, command={"SEQ_LEN": "64"}),
        submission(CODE, argv=("--seq-len", "64")),
        submission(CODE, modules={"helper": "x = 1\n"}),
    ],
    ids=["script", "setting", "argument", "module"],
)
def test_what_the_script_runs_under_is_part_of_what_is_remembered(other: Submission, interpreted: list[object]) -> None:
    memory = Memory()
    report_on(submission(CODE), memory)
    before = len(interpreted)
    expected = report_on(other)
    interpreted_alone = len(interpreted) - before
    assert report_on(other, memory) == expected
    assert len(interpreted) == before + 2 * interpreted_alone


def test_claims_and_logs_of_one_pull_request_are_not_those_of_the_next() -> None:
    lines = "step:1 train_loss:3.1\nval_loss:3.4 val_bpb:1.4100\nfinal val_bpb:1.2100\n"
    with_log = submission(CODE, log=lines, claims=Claims(val_bpb=1.21))
    pulls = [submission(CODE), with_log, submission(CODE, claims=Claims(val_bpb=0.61)), submission(CODE), with_log]
    memory = Memory()
    for pull in pulls:
        assert report_on(pull, memory) == report_on(pull)
