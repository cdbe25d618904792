"""Which open pull requests are at a commit.

The event of a run that a fork has started does not name its pull request (actions/runner#3444), and what that run
itself says of it may be a lie; the commit of the event is not.
"""

from __future__ import annotations

import re

from auditor.github.client import Client
from auditor.verdict import PgolfError

MOST = 5
"""Anybody can open further pull requests at the same commit; the first ones are reviewed."""


def open_at(client: Client, repo: str, head: str) -> list[int]:
    """Their numbers, lowest first, at most `MOST`; `PgolfError` when `head` is no commit id."""
    if not re.fullmatch("[0-9a-f]{40}", head):
        raise PgolfError(f"not a commit id: {head[:80]!r}")
    listed = client.pages(f"/repos/{repo}/pulls", {"state": "open"})
    return sorted(pull["number"] for pull in listed if pull["head"]["sha"] == head)[:MOST]
