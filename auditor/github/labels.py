"""One label with the verdict on a pull request; for repositories that want it."""

from __future__ import annotations

from urllib.parse import quote

from auditor.github.client import Client
from auditor.verdict import Outcome

PREFIX = "pgolf: "


def settle(client: Client, repo: str, number: int, verdict: Outcome) -> bool:
    """Leave the label of this verdict and no other of ours; returns whether anything was changed."""
    path = f"/repos/{repo}/issues/{number}/labels"
    wanted = PREFIX + verdict
    there = {label["name"] for label in client.pages(path)}
    surplus = sorted(name for name in there if name.startswith(PREFIX) and name != wanted)
    for name in surplus:
        client.delete(f"{path}/{quote(name, safe='')}")
    if wanted not in there:
        client.settle(lambda: client.create(path, {"labels": [wanted]}))  # adding it twice is as good as once
    return bool(surplus) or wanted not in there
