"""Commands that speak to the author of a submission: review."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from auditor.cli.failing import failing
from auditor.cli.fixing import repaired
from auditor.cli.options import DEFAULT_REPO, Env, Mirror, OneTarget, Output, Repo
from auditor.cli.posting import As, Label, posted
from auditor.cli.steps import open_and_audit, settings_from
from auditor.console import emit, writable, write_whole
from auditor.verdict import PgolfError


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
    validation: Annotated[
        Path | None, typer.Option("--validation", metavar="FILE", help="Show the validation.json of pgolf validate.")
    ] = None,
    output: Output = None,
    post: Annotated[
        bool, typer.Option("--post/--dry-run", help="Post it on GitHub instead of printing it.", show_default=False)
    ] = False,
    as_login: As = None,
    label: Label = False,
    draft: Annotated[
        Path | None, typer.Option("--draft", metavar="FILE", help="Also write what pgolf post takes, in another job.")
    ] = None,
    approve: Annotated[
        Path | None,
        typer.Option("--approve", metavar="DIR", help="Only approve the draft that pgolf watch DIR has made."),
    ] = None,
) -> None:
    """Write the review of a submission, as a comment for its pull request; nothing is posted without --post.

    The exit code is that of pgolf audit: 0 nothing found, 1 flagged, 3 undecided. In JSON the body comes with the title
    and summary of a check run, its annotations, and a digest that stays the same as long as the findings do.

    \b
    Examples:
      pgolf review 715                                  from GitHub
      pgolf review 715 --mirror pg.git --output 715.md  without network
      pgolf review . --smoke --probe                    with a sandboxed run of the script
      pgolf review 715 --post                           one comment, made or brought up to date
      pgolf review 715 --approve queue                  let pgolf watch queue --post post its draft
    """
    with failing(target):
        if approve is not None:
            emit(approved(target, repo, approve), output)
            return
        from auditor.github.draft import draft_of, dumps
        from auditor.review import render
        from rules import catalogue
        from rules.rulings import rulings

        settings = settings_from(env)
        writable(output)
        runs = None if validation is None else validated(validation)
        submission, report = open_and_audit(target, mirror=mirror, repo=repo, env=settings, smoke=smoke, probe=probe)
        if runs is not None and runs["target"]["head"] != report.target.head:
            raise PgolfError(f"--validation {validation} is of another commit than the one reviewed")
        found = repaired(submission, report, target, settings)
        diff = found.diff if found else None
        made = render(report, rules=catalogue(), rulings=rulings(), repair=diff, validation=runs)
        if draft is not None:
            write_whole(dumps(draft_of(report, made)), draft, shown=f"--draft {draft}")
        if post:
            emit(posted(draft_of(report, made), as_login, label=label), output)
        else:
            emit(made.body if format is MarkdownOrJson.markdown else made.as_json(), output)
        raise typer.Exit(report.exit_code)


def approved(target: str, repo: str, folder: Path) -> str:
    """Approve the draft of a pull request in the folder of a watch; returns a line that says so."""
    from auditor.submission import named_pull
    from auditor.watch.rounds import approve

    pull = named_pull(target, repo)
    if pull is None:
        raise PgolfError("only the review of a pull request can be approved: give its number")
    row = approve(folder, *pull)
    return f"pgolf: the review of {row.number} at {row.head[:12]} is approved; pgolf watch {folder} --post posts it\n"


def validated(file: Path) -> dict[str, Any]:
    """What pgolf validate has written; raises `PgolfError` when the file is something else."""
    from auditor.validate.model import SCHEMA

    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["schema"] == SCHEMA:
            return {**data}
    except OSError as error:
        raise PgolfError(f"--validation {file}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError):
        pass
    raise PgolfError(f"--validation {file} is no validation.json; pgolf validate writes one into its --out")
