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

    A call of an adaptation is left out, a score is moved before the update, a mixture is dropped; whatever is tried is
    audited again under the settings of the reported run, and only what is clean then is printed. What the changed
    script scores, a run has to tell. Exits with 0 when there is such a change or nothing is flagged, with 3 otherwise.

    \b
    Examples:
      pgolf fix --diff .
      pgolf fix --diff 290 --mirror pg.git | git apply
    """
    with failing(target):
        settings = settings_from(env)
        writable(output)
        submission, report = open_and_audit(target, mirror=mirror, repo=repo, env=settings, records=False)
        if report.verdict != "flag":
            warn(f"{target}: {report.verdict}, nothing to repair")
            raise typer.Exit(report.exit_code)
        found = repaired(submission, report, target, settings)
        if found is None:
            warn(f"{target}: no small change was found that makes it clean; pgolf explain {report.cls} says what helps")
            raise typer.Exit(ExitCode.HOLD)
        warn(f"{target}: {'; '.join(found.steps)}; {found.cls} by these checks then")
        emit(found.diff, output)


def repaired(submission: Submission, report: Report, target: str, env: dict[str, str]) -> Repair | None:
    """The repair of what was audited, with a note on standard error while it is looked for."""
    from auditor.fix import repair
    from rules import catalogue

    with working(f"looking for a repair of {target}"):
        return repair(submission, report, catalogue(), env)
