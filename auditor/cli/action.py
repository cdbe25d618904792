"""The GitHub Action, `python -m auditor.cli.action`: inputs from the environment, an audit, outputs.

Inputs come as environment variables and not as arguments, so that no shell ever sees them. What is printed may hold
foreign text; a line of it that looks like a workflow command is not taken for one.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from auditor.cli.auditing import audit_all
from auditor.cli.failing import about
from auditor.cli.options import DEFAULT_REPO
from auditor.cli.steps import open_and_audit
from auditor.console import warn
from auditor.report import FORMATS, render
from auditor.report.tool import RULESET
from auditor.verdict import Evidence, ExitCode, Outcome, PgolfError, Report, Unreachable

if TYPE_CHECKING:
    from auditor.submission.model import Submission

SUMMARY_BYTES = 1 << 20
"""GitHub shows no larger summary of a step."""
WORST_FIRST: tuple[Outcome, ...] = ("flag", "error", "hold", "clean")
FAILS: dict[str, tuple[ExitCode, ...]] = {
    "flag": (ExitCode.FLAG, ExitCode.USAGE, ExitCode.INTERNAL),
    "hold": (ExitCode.FLAG, ExitCode.HOLD, ExitCode.USAGE, ExitCode.INTERNAL),
    "never": (ExitCode.INTERNAL,),
}
"""Exit codes of the audit that fail the step. What cannot be read never passes for clean."""


@dataclass(frozen=True)
class Inputs:
    """What the workflow asked for."""

    targets: list[str]
    repo: str
    head: str | None
    fail_on: str
    format: str


def inputs(environment: Mapping[str, str]) -> Inputs:
    """Read and check the inputs; `PgolfError` on a wrong one.

    Without paths it is the pull request of the event that is audited, and without one the current folder.
    """
    asked = {name: environment.get(f"INPUT_{name}", "").strip() for name in ("RULESET", "FAIL_ON", "FORMAT", "HEAD")}
    if asked["RULESET"] not in ("", RULESET):
        raise PgolfError(f"ruleset: this version of pgolf knows {RULESET}, not {asked['RULESET']!r}")
    if asked["FAIL_ON"] not in FAILS:
        raise PgolfError(f"fail-on: one of {', '.join(FAILS)}, not {asked['FAIL_ON']!r}")
    if asked["FORMAT"] not in FORMATS:
        raise PgolfError(f"format: one of {', '.join(FORMATS)}, not {asked['FORMAT']!r}")
    paths = [line.strip() for line in environment.get("INPUT_PATHS", "").splitlines() if line.strip()]
    number = environment.get("PULL_NUMBER", "").strip()
    repo = environment.get("GITHUB_REPOSITORY") or DEFAULT_REPO
    return Inputs(paths or [number or "."], repo, asked["HEAD"] or None, asked["FAIL_ON"], asked["FORMAT"])


def act(environment: Mapping[str, str], out: TextIO) -> ExitCode:
    """Audit what the inputs name; returns what the step exits with.

    Writes a report, SARIF, the summary of the step and its outputs, and prints the reports in the format asked for.
    """
    from rules import catalogue
    from rules.rulings import rulings

    asked = inputs(environment)
    unreached = False
    submissions: list[Submission] = []

    def one(target: str) -> Report:
        nonlocal unreached
        try:
            submission, report = _audit(target, asked)
            submissions.append(submission)
            return report
        except Unreachable:
            unreached = True
            raise

    reports, code = audit_all(asked.targets, asked.repo, one)
    folder = Path(tempfile.mkdtemp(prefix="pgolf-", dir=environment.get("RUNNER_TEMP")))
    written = {}
    for name, fmt in (("report.json", "json"), ("pgolf.sarif", "sarif"), ("review.md", "markdown")):
        text = render(reports, fmt, rules=catalogue(), rulings=rulings(), color=False, width=None)
        written[name] = folder / name
        written[name].write_text(text, encoding="utf-8", errors="backslashreplace")
    _append(environment, "GITHUB_STEP_SUMMARY", _cut(written["review.md"].read_bytes()))
    _append(environment, "GITHUB_OUTPUT", outputs(reports, written, _draft(reports, submissions, folder)).encode())
    shown = render(reports, asked.format, rules=catalogue(), rulings=rulings(), color=False, width=100)
    out.write(shown if asked.format == "github" else fenced(shown))
    # A GitHub that does not answer is nobody's verdict: run it again.
    return code if unreached or code in FAILS[asked.fail_on] else ExitCode.CLEAN


def outputs(reports: list[Report], written: Mapping[str, Path], draft: Path | None) -> str:
    """The lines for `GITHUB_OUTPUT`; every value is ours."""
    counts = {verdict: sum(report.verdict == verdict for report in reports) for verdict in WORST_FIRST}
    values = {
        "verdict": next(verdict for verdict in WORST_FIRST if counts[verdict]),
        "counts": json.dumps(counts),
        "report-path": str(written["report.json"]),
        "sarif-path": str(written["pgolf.sarif"]),
        "draft-path": "" if draft is None else str(draft),
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def fenced(text: str) -> str:
    """Text in which the runner looks for no commands, with an end that nobody could foresee."""
    end = secrets.token_hex(16)
    return f"::stop-commands::{end}\n{text}\n::{end}::\n"


def _audit(target: str, asked: Inputs) -> tuple[Submission, Report]:
    submission, report = open_and_audit(target, mirror=None, repo=asked.repo, env={})
    if asked.head is not None and report.target.head != asked.head:
        raise PgolfError(f"it is not at commit {asked.head[:40]!r} any more: a later run will see to it")
    if report.target.path is not None:
        report = located(report, Path(report.target.path), Path.cwd())
    return submission, report


def located(report: Report, target: Path, root: Path) -> Report:
    """The report on a path with its files named from `root`, where GitHub looks for them.

    The report itself names them from the folder that was audited on, so that it is the same wherever that lies.
    """
    folder = target.resolve() if target.is_dir() else target.resolve().parent
    if not folder.parent.is_relative_to(root.resolve()):
        return report
    prefix = folder.parent.relative_to(root.resolve())

    def at(file: str) -> str:
        return (prefix / file).as_posix()

    def steps(evidence: Evidence) -> Evidence:
        return replace(evidence, path=tuple(replace(s, file=at(s.file) if s.file else None) for s in evidence.path))

    findings = tuple(
        replace(found, file=at(found.file), evidence=tuple(map(steps, found.evidence))) for found in report.findings
    )
    script = report.submission.script
    return replace(report, findings=findings, submission=replace(report.submission, script=script and at(script)))


def _draft(reports: list[Report], submissions: list[Submission], folder: Path) -> Path | None:
    """The draft of a review, when there is one pull request and something in it to review."""
    from auditor.report.view import is_submission

    if len(reports) != 1 or reports[0].target.pr is None or reports[0].target.head is None:
        return None
    if not is_submission(reports[0]):
        return None
    from auditor.fix import repair
    from auditor.github.draft import draft_of, dumps
    from auditor.review import render as review
    from rules import catalogue
    from rules.rulings import rulings

    path = folder / "draft.json"
    found = repair(submissions[0], reports[0], catalogue())
    made = review(reports[0], rules=catalogue(), rulings=rulings(), repair=found.diff if found else None)
    path.write_text(dumps(draft_of(reports[0], made)), encoding="utf-8")
    return path


def _cut(text: bytes) -> bytes:
    note = b"\n\nCut here: GitHub shows no more.\n"
    return text if len(text) <= SUMMARY_BYTES else text[: SUMMARY_BYTES - len(note)] + note


def _append(environment: Mapping[str, str], variable: str, text: bytes) -> None:
    if path := environment.get(variable):
        with open(path, "ab") as file:
            file.write(text)


def main() -> None:
    """Entry point; a wrong input is one line and exit code 2, as in every command."""
    from auditor.cli import limit_memory

    limit_memory()
    try:
        code = act(os.environ, sys.stdout)
    except PgolfError as error:
        warn(about("inputs", error))
        code = ExitCode.USAGE
    sys.exit(code)


if __name__ == "__main__":
    main()
