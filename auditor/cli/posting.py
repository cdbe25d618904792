"""Writing on GitHub: the options of it, and the commands post and pulls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli.failing import failing
from auditor.cli.options import DEFAULT_REPO, Repo
from auditor.console import emit
from auditor.verdict import PgolfError

if TYPE_CHECKING:
    from auditor.github.draft import Draft

As = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="LOGIN",
        help="The account that the token writes as, where it may not ask: 'github-actions[bot]' in a workflow.",
    ),
]

Label = Annotated[bool, typer.Option("--label", help="Also set a label with the verdict, such as 'pgolf: clean'.")]


def post(
    draft: Annotated[
        Path,
        typer.Argument(metavar="DRAFT", help="What pgolf review --draft has written.", show_default=False),
    ],
    as_login: As = None,
    head: Annotated[
        str | None, typer.Option("--head", metavar="SHA", help="Refuse a draft of any other commit than this.")
    ] = None,
    label: Label = False,
    hint: Annotated[
        list[Path] | None,
        typer.Option(
            "--hint", metavar="FILE", help="--format json of pgolf smoke or probe, by a job that is not trusted."
        ),
    ] = None,
) -> None:
    """Post a review that another job wrote: one comment and one check run, created or brought up to date.

    Nothing is written when nothing changed, and nothing when the pull request has moved on since the draft was made.
    The token is taken from GITHUB_TOKEN or GH_TOKEN. DRAFT comes from pgolf review 715 --draft 715.json.

    \b
    Examples:
      pgolf post 715.json
      pgolf post 715.json --as 'github-actions[bot]'   in a workflow
    """
    with failing(None):
        from auditor.github.draft import loads
        from auditor.github.hint import sentence

        try:
            text = draft.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PgolfError(f"{draft}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
        found = loads(text)
        if head is not None and found.head != head:
            raise PgolfError(f"{draft} is of commit {found.head[:12]}, not of {head[:12]!r}")
        emit(posted(found, as_login, label=label, hint=sentence(hint) if hint else None), None)


def pulls(
    head: Annotated[
        str, typer.Option("--head", metavar="SHA", help="Commit, 40 hexadecimal digits.", show_default=False)
    ],
    repo: Repo = DEFAULT_REPO,
) -> None:
    """Print the numbers of the open pull requests that are at a commit, as a JSON list.

    For workflows that a fork's run has started: the event names the commit, but not the pull request.

    \b
    Examples:
      pgolf pulls --head 6ce7ee938a199fdcb0b23ead3bf65dda48e3ce81
    """
    with failing(None):
        from auditor.github.client import Client
        from auditor.github.heads import open_at
        from auditor.token import find

        emit(json.dumps(open_at(Client(find()), repo, head)) + "\n", None)


def posted(draft: Draft, as_login: str | None, *, label: bool, hint: str | None = None) -> str:
    """Post a draft with the token of the environment; returns a line on what was done."""
    from auditor.github.account import own
    from auditor.github.client import Client
    from auditor.github.post import post as send
    from auditor.token import required

    client = Client(required())
    done = send(client, own(client, as_login), draft, label=label, hint=hint)
    parts = [f"comment {done.comment}"]
    parts.append(
        f"check run {done.check_run}" if done.check_run else "no check run (only an app's token can write one)"
    )
    if label:
        parts.append("label changed" if done.label else "label unchanged")
    return f"pgolf: {draft.repo} pull request {draft.pr} at {draft.head[:12]}: {', '.join(parts)}\n"
