"""The command fix, and what the command review takes from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli.failing import failing
from auditor.cli.options import DEFAULT_REPO, Env, Mirror, OneTarget, Output, Repo
from auditor.cli.steps import open_and_audit, settings_from
from auditor.console import emit, warn, working, writable
from auditor.verdict import ExitCode, Report

if TYPE_CHECKING:
    from auditor.fix import Repair
    from auditor.submission.model import Submission


def fix(
    target: OneTarget,
    diff: Annotated[bool, typer.Option("--diff", help="Print the change as a unified diff (the default).")] = True,
    mirror: Mirror = None,
    repo: Repo = DEFAULT_REPO,
    env: Env = None,
    output: Output = None,
) -> None:
    """Look for a small change with which a flagged submission audits clean, and print it as a diff.

    First what keeps the idea: score before update, chunk by chunk, calibration on training shards. Then what leaves it
    out: a switch, a branch, a call, a mixture. Whatever is tried is audited again under the settings of the reported
    run, and only what is clean then is printed. For a clean script whose previous-token gate is not masked where
    documents begin, the mask. What the changed script scores, a run has to tell. Exits with 0 when there is such a
    change or nothing is flagged, with 3 otherwise.

    \b
    Examples:
      pgolf fix --diff .
      pgolf fix --diff 290 --mirror pg.git | git apply
    """
    with failing(target):
        settings = settings_from(env)
        writable(output)
        submission, report = open_and_audit(target, mirror=mirror, repo=repo, env=settings, records=False)
        found = repaired(submission, report, target, settings, warnings=True)
        if found is None and report.verdict != "flag":
            warn(f"{target}: {report.verdict}, nothing to repair")
            raise typer.Exit(report.exit_code)
        if found is None:
            warn(f"{target}: no small change was found that makes it clean; pgolf explain {report.cls} says what helps")
            raise typer.Exit(ExitCode.HOLD)
        warn(f"{target}: {'; '.join(found.steps)}; {found.cls} by these checks then")
        emit(found.diff, output)


def repaired(
    submission: Submission, report: Report, target: str, env: dict[str, str], *, warnings: bool = False
) -> Repair | None:
    """The repair of what was audited, with a note on standard error while it is looked for."""
    from auditor.fix import repair
    from rules import catalogue

    with working(f"looking for a repair of {target}"):
        return repair(submission, report, catalogue(), env, warnings=warnings)
