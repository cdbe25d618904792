"""Annotations: worst first, ten at most, and nothing foreign that a runner would obey."""

from __future__ import annotations

import dataclasses
import re

from hypothesis import given

from auditor.report.github import MAX_ANNOTATIONS, render
from auditor.verdict import Report
from tests.report.hostile import reports
from tests.report.report_samples import CLEAN, DORMANT, ERROR, FLAG, HOLD, NGRAM, SCRIPT

COMMAND = re.compile(r"::(error|warning|notice) ([^:\r\n]+)::[^\r\n]*")


@given(reports)
def test_every_line_is_one_of_our_commands_or_plain(report: Report) -> None:
    lines = render([report, report]).removesuffix("\n").split("\n")
    commands = [line for line in lines if line.lstrip().startswith("::")]
    assert len(commands) <= MAX_ANNOTATIONS
    for line in commands:
        match = COMMAND.fullmatch(line)
        assert match
        keys = [item.partition("=")[0] for item in match[2].split(",")]
        assert set(keys) <= {"file", "line", "endLine", "title"} and len(keys) == len(set(keys))
    for line in lines:
        assert line in commands or (line.startswith("pgolf: ") and "##[" not in line)


def test_the_worst_come_first_and_the_rest_is_counted() -> None:
    notes = tuple(dataclasses.replace(DORMANT, line=n) for n in range(12))
    lines = render([dataclasses.replace(FLAG, findings=(*notes, NGRAM))]).splitlines()
    assert lines[0].startswith("::error ")
    assert sum(line.startswith("::") for line in lines) == 10
    assert "pgolf: 3 more findings are not shown as annotations" in lines


def test_columns_are_left_out() -> None:
    assert "col" not in render([FLAG]).partition("::error ")[2].partition("::")[0].lower()


def test_a_line_of_unpacked_source_is_told_not_pointed_at() -> None:
    packed = dataclasses.replace(NGRAM, file=f"{SCRIPT}!unpacked", line=900)
    first = render([dataclasses.replace(FLAG, findings=(packed,))]).splitlines()[0]
    assert f"file={SCRIPT},line=1,endLine=1," in first
    assert "::line 900 of the unpacked source: " in first


def test_unread_and_undecided_targets_are_annotated() -> None:
    assert render([ERROR]).startswith("::error title=pgolf%3A error::no such file\n")
    assert render([HOLD]).startswith("::warning file=")
    assert render([dataclasses.replace(HOLD, findings=())]).startswith("::warning file=")


def test_the_last_lines_give_each_verdict() -> None:
    assert render([FLAG, CLEAN]).splitlines()[-2:] == [
        "pgolf: PR 9001: flag (ngram-target-in-key)",
        "pgolf: PR 9002: clean (score-first-ttt)",
    ]
