"""`pgolf diff`: what changed between two files of reports, and one clear line on files that hold none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from auditor import cli
from auditor.demo import MINIATURES

Write = Callable[..., Path]


def pgolf(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def audited() -> list[dict[str, Any]]:
    folders = [miniature.folder for miniature in MINIATURES]
    return [json.loads(line) for line in pgolf("audit", *folders, "--format", "json").stdout.splitlines()]


@pytest.fixture
def reports(audited: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Reports that a test may change."""
    copy: list[dict[str, Any]] = json.loads(json.dumps(audited))
    for number, report in enumerate(copy, 1):
        report["target"] = {"repo": "owner/name", "pr": number, "head": "a" * 40, "title": None, "path": None}
    return copy


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(name: str, reports: list[dict[str, Any]]) -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(report) + "\n" for report in reports))
        return path

    return make


def test_the_same_reports_do_not_differ(reports: list[dict[str, Any]], write: Write) -> None:
    old = write("old", reports)
    for report in reports:
        report["timings_ms"] = {"parse": 1.0}
        for finding in report["findings"]:
            finding["line"] += 7
            finding["message"] += ", in other words"
    result = pgolf("diff", old, write("new", reports))
    assert result.exit_code == 0
    assert result.stdout == "0 of 4 reports differ\n"


def test_a_new_verdict_and_what_it_rests_on_are_shown(reports: list[dict[str, Any]], write: Write) -> None:
    old = write("old", reports)
    flag = next(finding for finding in reports[2]["findings"] if finding["level"] == "flag")
    reports[0]["findings"].append(flag)
    reports[0].update({"verdict": "flag", "class": flag["rule"]})
    reports[0]["target"]["head"] = "b" * 40
    new = write("new", reports)
    result = pgolf("diff", old, new)
    assert result.exit_code == 1
    first, second, last = result.stdout.splitlines()
    assert first == "owner/name#1: clean (score-first-ttt) -> flag (val-token-ttt), new head"
    assert second.startswith("  + flag val-token-ttt [")
    assert last == "1 of 4 reports differ, 1 clean -> flag"
    assert "\n  - flag val-token-ttt" in pgolf("diff", new, old).stdout


def test_a_finding_on_another_level_is_another_one(reports: list[dict[str, Any]], write: Write) -> None:
    old = write("old", reports)
    reports[3]["findings"][0].update({"level": "note", "activation": "off"})
    lines = pgolf("diff", old, write("new", reports)).stdout.splitlines()
    assert [line[:8] for line in lines[1:3]] == ["  - flag", "  + note"]


def test_what_only_one_file_has_is_named(reports: list[dict[str, Any]], write: Write) -> None:
    result = pgolf("diff", write("old", reports[:3]), write("new", reports[1:]))
    assert result.exit_code == 1
    assert "owner/name#1: only in the old file" in result.stdout
    assert "owner/name#4: only in the new file" in result.stdout


def test_as_json_it_holds_whole_findings(reports: list[dict[str, Any]], write: Write, tmp_path: Path) -> None:
    old = write("old", reports)
    gone = reports[3]["findings"].pop(0)
    out = tmp_path / "diff.json"
    assert pgolf("diff", old, write("new", reports), "--format", "json", "--output", out).exit_code == 1
    found = json.loads(out.read_text())
    assert (found["schema"], found["same"]) == ("pgolf.diff/1", 3)
    assert found["changes"][0]["gone"] == [gone]
    assert found["changes"][0]["target"]["pr"] == 4


def test_foreign_text_does_not_reach_the_terminal(reports: list[dict[str, Any]], write: Write) -> None:
    old = write("old", reports)
    reports[0]["class"] = "\x1b[2J\nforged line"
    result = pgolf("diff", old, write("new", reports))
    assert "\x1b" not in result.stdout
    assert len(result.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"garbage\n",
        b"\xff\xfe\x00\n",
        b"[]\n",
        b"\n",
        b'{"schema": "pgolf.report/2"}\n',
        b'{"schema": "pgolf.report/1"}\n',
        b'{"schema": "pgolf.report/1", "target": {}, "verdict": "clean", "class": "x", "findings": [3]}\n',
        b'{"schema": "pgolf.rep',
        b"[" * 100_000,
    ],
)
def test_garbage_is_one_line_that_says_where(
    reports: list[dict[str, Any]], write: Write, tmp_path: Path, content: bytes
) -> None:
    good, bad = write("good", reports), tmp_path / "bad"
    bad.write_bytes(good.read_bytes() + content)
    for arguments in ((good, bad), (bad, good)):
        result = pgolf("diff", *arguments)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        assert "bad, line 5" in result.stderr


def test_a_file_that_is_not_there_or_names_one_twice(
    reports: list[dict[str, Any]], write: Write, tmp_path: Path
) -> None:
    good, twice = write("good", reports), write("twice", [*reports, reports[0]])
    assert "No such file" in pgolf("diff", good, tmp_path / "absent").stderr
    assert "is a directory" in pgolf("diff", tmp_path, good).stderr.lower()
    assert "owner/name#1 already" in pgolf("diff", twice, good).stderr
