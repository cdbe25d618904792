"""Commands that speak to the author of a submission: review."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from auditor.cli.failing import failing
from auditor.cli.options import DEFAULT_REPO, Env, Mirror, OneTarget, Output, Repo
from auditor.cli.steps import audit_one, settings_from, with_probe
from auditor.console import emit, writable


class MarkdownOrJson(StrEnum):
    """Output formats of a review."""

    markdown = "markdown"
    json = "json"


def review(
    target: OneTarget,
    mirror: Mirror = None,
    repo: Repo = DEFAULT_REPO,
    env: Env = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Run the smoke test too (see pgolf smoke).")] = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="Run the experiment too (see pgolf probe); it can change the verdict.")
    ] = False,
    format: Annotated[
        MarkdownOrJson, typer.Option("--format", help="How to print.", case_sensitive=False)
    ] = MarkdownOrJson.markdown,
    output: Output = None,
) -> None:
    """Write the review of a submission, as a comment for its pull request; nothing is posted.

    The exit code is that of pgolf audit: 0 nothing found, 1 flagged, 3 undecided. In JSON the body comes with the title
    and summary of a check run, its annotations, and a digest that stays the same as long as the findings do.

    \b
    Examples:
      pgolf review 715                                  from GitHub
      pgolf review 715 --mirror pg.git --output 715.md  without network
      pgolf review . --smoke --probe                    with a sandboxed run of the script
    """
    with failing(target):
        from auditor.review import render
        from rules import catalogue
        from rules.rulings import rulings

        settings = settings_from(env)
        writable(output)
        report = audit_one(target, mirror=mirror, repo=repo, env=settings, smoke=smoke)
        if probe:
            report = with_probe(report, target, mirror=mirror, repo=repo, env=settings)
        made = render(report, rules=catalogue(), rulings=rulings())
        emit(made.body if format is MarkdownOrJson.markdown else made.as_json(), output)
        raise typer.Exit(report.exit_code)
