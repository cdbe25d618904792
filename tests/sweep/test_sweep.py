"""Sweeps: one line each in order, whatever a pull request does to its process; nothing done twice."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from auditor import cli
from auditor.report.schema import schema_text
from auditor.submission.github import ApiPull, Entry
from auditor.submission.mirror import Mirror
from auditor.submission.model import Submission
from auditor.sweep import places, run
from auditor.verdict import PgolfError, Report, Unreachable
from tests.forge import Forge
from tests.sweep.conftest import CORPUS, Sweep


def reports(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def when(number: int, do: Callable[[], object]) -> Callable[..., Report]:
    """An audit that does something else to one pull request."""
    usual = run.audit

    def audit(submission: Submission, *rest: Any, **options: Any) -> Report:
        if submission.target.pr == number:
            do()
        return usual(submission, *rest, **options)

    return audit


def test_every_pull_request_gets_one_line_in_order(sweep: Sweep, tmp_path: Path) -> None:
    result = sweep("all.jsonl")
    assert result.exit_code == 1
    found = reports(tmp_path / "all.jsonl")
    assert [report["target"]["pr"] for report in found] == list(range(1, CORPUS + 1))
    for report in found:
        jsonschema.validate(report, json.loads(schema_text()))


def test_lines_are_the_reports_of_an_audit_without_timings(sweep: Sweep, mirror: Path, tmp_path: Path) -> None:
    sweep("all.jsonl", "--prs", "1-3")
    numbers = [str(report["target"]["pr"]) for report in reports(tmp_path / "all.jsonl")]
    audited = CliRunner().invoke(cli.app, ["audit", *numbers, "--mirror", str(mirror), "--format", "json"])
    expected = [{**json.loads(line), "timings_ms": {}} for line in audited.stdout.splitlines()]
    assert reports(tmp_path / "all.jsonl") == expected


def test_the_number_of_processes_and_the_cache_change_nothing(sweep: Sweep, tmp_path: Path) -> None:
    sweep("one.jsonl", "--jobs", 1, cached=False)
    sweep("three.jsonl", "--jobs", 3)
    sweep("again.jsonl")
    first, second, third = ((tmp_path / f"{name}.jsonl").read_bytes() for name in ("one", "three", "again"))
    assert first == second == third


def test_a_file_that_is_there_is_made_anew(sweep: Sweep, tmp_path: Path) -> None:
    sweep("all.jsonl")
    before = (tmp_path / "all.jsonl").read_bytes()
    sweep("all.jsonl")
    assert (tmp_path / "all.jsonl").read_bytes() == before
    sweep("all.jsonl", "--prs", "2,4")
    assert [report["target"]["pr"] for report in reports(tmp_path / "all.jsonl")] == [2, 4]


def test_nothing_but_the_file_is_left(sweep: Sweep, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    sweep("all.jsonl", cached=False)
    assert set(tmp_path.iterdir()) - before == {tmp_path / "all.jsonl"}


def test_the_summary_counts_verdicts_classes_and_rules(sweep: Sweep) -> None:
    text = sweep("all.jsonl").stdout
    assert "12 pull requests: 4 clean, 4 flag, 4 hold, 0 error" in text
    assert "val-token-ttt" in text
    assert "not-a-submission" in text


@pytest.mark.parametrize(
    ("listed", "numbers"), [("3", [3]), ("2-4", [2, 3, 4]), ("7, 1-2,2", [1, 2, 7]), ("11-2149", [11, 12])]
)
def test_lists_of_pull_requests(sweep: Sweep, tmp_path: Path, listed: str, numbers: list[int]) -> None:
    sweep("some.jsonl", "--prs", listed)
    assert [report["target"]["pr"] for report in reports(tmp_path / "some.jsonl")] == numbers


def test_numbers_without_a_pull_request_are_counted(sweep: Sweep) -> None:
    assert "99 of the numbers asked for" in sweep("some.jsonl", "--prs", "12-111").stderr


@pytest.mark.parametrize("listed", ["", ",", "1-", "-3", "3-1", "0", "a", "1-2-3", "1;2", "99999999", "٣", "400-500"])
def test_a_list_that_names_nothing_is_one_line(sweep: Sweep, tmp_path: Path, listed: str) -> None:
    result = sweep("some.jsonl", "--prs", listed)
    assert result.exit_code == 2
    assert result.stderr.startswith("pgolf: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "some.jsonl").exists()


@pytest.mark.parametrize(
    ("deed", "reason", "code"),
    [
        (lambda: 1 / 0, "internal error: ZeroDivisionError", 4),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "internal error: the process was ended by SIGKILL", 4),
        (lambda: os._exit(7), "internal error: the process ended with code 7", 4),
        (lambda: time.sleep(60), "it took more than 3 s", 2),
    ],
)
def test_one_that_fails_is_an_error_line_and_the_others_go_on(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deed: Callable[[], object], reason: str, code: int
) -> None:
    monkeypatch.setattr(run, "audit", when(3, deed))
    result = sweep("all.jsonl", "--timeout", 3)
    assert result.exit_code == code
    found = reports(tmp_path / "all.jsonl")
    assert [report["target"]["pr"] for report in found] == list(range(1, CORPUS + 1))
    assert [report["target"]["pr"] for report in found if report["verdict"] == "error"] == [3]
    assert found[2]["findings"][0]["message"].startswith(reason)
    assert found[2]["target"]["head"]
    assert f"#3: {reason}" in result.stdout


def test_a_failure_is_not_remembered(sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(run, "audit", when(3, lambda: 1 / 0))
        sweep("first.jsonl")
    sweep("second.jsonl")
    assert reports(tmp_path / "second.jsonl")[2]["verdict"] != "error"


def test_what_cannot_be_read_is_an_error_line_for_exit_2(forge: Forge, mirror: Path, sweep: Sweep) -> None:
    files = {b"records/track_x/2026-01-01_y/train_gpt.py": b" ", b"records/track_x/2026-01-01_y/submission.json": b"{}"}
    forge.pull(13, forge.commit(files))
    result = sweep("one.jsonl", "--prs", "13")
    assert result.exit_code == 2
    assert "is empty" in result.stdout


def test_settings_reach_the_audit_and_the_key(sweep: Sweep, tmp_path: Path) -> None:
    sweep("usual.jsonl", "--prs", "2")
    sweep("other.jsonl", "--prs", "2", "--env", "TTT_ENABLED=0")
    verdicts = [reports(tmp_path / name)[0]["verdict"] for name in ("usual.jsonl", "other.jsonl")]
    assert verdicts == ["flag", "clean"]


# The cache.


def test_a_second_sweep_audits_nothing_and_reads_no_file(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep("first.jsonl")
    monkeypatch.setattr(run.Task, "__call__", lambda *_: pytest.fail("audited again"))
    monkeypatch.setattr(Mirror, "blob", lambda *_: pytest.fail("read a file"))
    assert sweep("second.jsonl").exit_code == 1
    assert (tmp_path / "first.jsonl").read_bytes() == (tmp_path / "second.jsonl").read_bytes()


def audits(sweep: Sweep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> set[int]:
    """Which pull requests a sweep does not find in the cache."""
    seen = tmp_path / "audited"
    seen.unlink(missing_ok=True)
    usual = run.Task.__call__

    def noted(task: run.Task, job: run.Job) -> run.Line:
        with seen.open("a") as file:
            file.write(f"{job.number}\n")
        return usual(task, job)

    with monkeypatch.context() as patch:
        patch.setattr(run.Task, "__call__", noted)
        sweep("noted.jsonl")
    return {int(line) for line in seen.read_text().split()} if seen.exists() else set()


def test_a_new_head_is_audited_and_the_others_are_not(
    sweep: Sweep, forge: Forge, mirror: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert audits(sweep, monkeypatch, tmp_path) == set(range(1, CORPUS + 1))
    assert audits(sweep, monkeypatch, tmp_path) == set()
    forge.pull(4, forge.commit({b"records/track_x/2026-01-01_y/train_gpt.py": b"print('fineweb')\n"}))
    assert audits(sweep, monkeypatch, tmp_path) == {4}


def test_a_default_branch_that_moves_makes_only_those_new_whose_files_it_holds(
    sweep: Sweep, forge: Forge, mirror: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    audits(sweep, monkeypatch, tmp_path)
    with Mirror(mirror) as clone:
        base = clone._history.base_of(clone.head(1) or "")
        path = clone.open(1).tree.paths()[0]
        content = clone.open(1).tree.read(path)
    assert base
    forge.ref("heads/main", forge.commit({b"README.md": b"rules", path.encode(): content, b"new": b"1"}, base))
    assert audits(sweep, monkeypatch, tmp_path) == {1}


def test_changed_rules_make_all_of_it_new(sweep: Sweep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    audits(sweep, monkeypatch, tmp_path)
    monkeypatch.setattr("auditor.sweep.keys.engine", lambda _: "another")
    assert audits(sweep, monkeypatch, tmp_path) == set(range(1, CORPUS + 1))


def test_without_a_cache_nothing_is_kept(sweep: Sweep, tmp_path: Path) -> None:
    sweep("all.jsonl", cached=False)
    assert not (tmp_path / "cache").exists()


def test_a_file_that_the_clone_gains_is_read(
    sweep: Sweep, forge: Forge, mirror: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    readme = forge.store(b"blob", submission_readme())
    lost = forge.gitdir / "objects" / readme[:2] / readme[2:]
    data = lost.read_bytes()
    lost.unlink()
    lacking = audits(sweep, monkeypatch, tmp_path)
    assert lacking == set(range(1, CORPUS + 1))
    assert audits(sweep, monkeypatch, tmp_path) == set()
    lost.write_bytes(data)
    assert audits(sweep, monkeypatch, tmp_path) == {5, 11}


def submission_readme() -> bytes:
    return b"no script"


# GitHub.


class Api:
    """GitHub with two pull requests, which is out of reach after a number of questions."""

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def pull(self, number: int) -> ApiPull:
        self.patience -= 1
        if self.patience < 0:
            raise Unreachable("GitHub's rate limit is used up: set GITHUB_TOKEN")
        if number > 2:
            raise PgolfError(f"owner/name has no pull request {number}")
        return ApiPull(number, "a title", "a" * 40, "main", False, {"README.md": True})

    def tree(self, ref: str) -> list[Entry]:
        return [Entry("README.md", "100644", "b" * 40, 3)]

    def blob(self, oid: str) -> bytes:
        return b"hi\n"


def from_github(monkeypatch: pytest.MonkeyPatch, patience: int, *options: object) -> Any:
    api = Api(patience)
    opened = places.open_pull
    monkeypatch.setattr(places, "open_pull", lambda repo, number: opened(repo, number, api))
    return CliRunner().invoke(cli.app, ["sweep", "--jobs", "1", "--no-cache", *map(str, options)])


def test_pull_requests_of_github_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = from_github(monkeypatch, 9, "--out", tmp_path / "x.jsonl")
    assert result.exit_code == 2
    assert "--prs" in result.stderr


def test_one_that_github_lacks_is_an_error_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from_github(monkeypatch, 9, "--out", tmp_path / "x.jsonl", "--prs", "1-3")
    assert [report["verdict"] for report in reports(tmp_path / "x.jsonl")] == ["hold", "hold", "error"]


def test_when_github_is_out_of_reach_the_sweep_stops_and_can_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result = from_github(monkeypatch, 1, "--out", tmp_path / "x.jsonl", "--prs", "1-2")
    assert result.exit_code == 2
    assert "rate limit" in result.stderr
    assert len(reports(tmp_path / "x.jsonl")) == 1
    with monkeypatch.context() as patch:
        from_github(patch, 1, "--out", tmp_path / "x.jsonl", "--prs", "1-2")
    assert len(reports(tmp_path / "x.jsonl")) == 2
