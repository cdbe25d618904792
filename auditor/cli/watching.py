"""The queue of a reviewer: watch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from auditor.cli.failing import INTERRUPTED, failing
from auditor.cli.options import DEFAULT_REPO, Repo
from auditor.cli.posting import As
from auditor.console import emit, warn
from auditor.verdict import PgolfError


def watch(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the queue and the drafts are kept.", show_default=False)
    ],
    repo: Repo = DEFAULT_REPO,
    post: Annotated[
        bool, typer.Option("--post", help="Post approved drafts, and mark posted reviews of older commits.")
    ] = False,
    as_login: As = None,
    once: Annotated[bool, typer.Option("--once", help="Go round once and leave, for cron.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=60, help="Between two rounds.")
    ] = 300.0,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", min=1, max=16, help="Pull requests read at a time.")] = 1,
    list_only: Annotated[bool, typer.Option("--list", help="Print the queue and leave.")] = False,
) -> None:
    """Follow the pull requests of a repository: audit every new head and draft its review, for you to approve.

    Drafts are DIR/drafts/N.md. Nothing is written on GitHub without --post, and then only drafts that you approved
    with pgolf review N --approve DIR. One watch runs in a folder at a time; a killed one goes on where it was.

    \b
    Examples:
      pgolf watch queue                        until interrupted, drafts only
      pgolf watch queue --list                 what waits for you
      pgolf watch queue --once --post          one round, from cron
    """
    with failing(None):
        from auditor.github.account import own
        from auditor.github.client import Client
        from auditor.token import find, required
        from auditor.watch import store as queue
        from auditor.watch.rounds import Watch, listing

        if list_only:
            emit(listing(folder, repo), None)
            return
        folder.mkdir(parents=True, exist_ok=True)
        token = required() if post else find()
        with queue.Lock(folder), queue.Store(folder, repo) as store:
            client = Client(token)
            account = own(client, as_login) if post else None
            watching = Watch(folder, repo, store, client, account, warn, jobs)
            while True:
                try:
                    watching.round()
                except KeyboardInterrupt:
                    raise typer.Exit(INTERRUPTED) from None
                except PgolfError as error:
                    if once:
                        raise
                    warn(str(error))
                if once:
                    return
                try:
                    time.sleep(interval)
                except KeyboardInterrupt:
                    raise typer.Exit(INTERRUPTED) from None
