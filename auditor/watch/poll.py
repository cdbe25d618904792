"""What moved among the pull requests since the last time, in as few requests as that takes.

The list is read by time of change, newest first, down to where it was read before; an unchanged first page costs
nothing, for GitHub does not count an answer of 304 (see "Best practices for using the REST API").
"""

from __future__ import annotations

from auditor.github.client import MAX_PAGES, PER_PAGE, Client
from auditor.verdict import PgolfError
from auditor.watch.store import Seen, Store


def poll(client: Client, repo: str, store: Store) -> int:
    """Bring the store up to date; returns how many pull requests were looked at.

    Everything is taken in together at the end: a round that was killed reads the same again.
    """
    until = store.fact("until") or ""
    found: dict[int, Seen] = {}
    facts: dict[str, str] = {}
    for page in range(1, MAX_PAGES + 1):
        answer = client.get(
            f"/repos/{repo}/pulls",
            {"state": "all", "sort": "updated", "direction": "desc", "per_page": PER_PAGE, "page": page},
            etag=store.fact("etag") if page == 1 else None,
        )
        if answer.status == 304:
            return 0
        pulls = answer.data
        if page == 1:
            facts = {"etag": answer.headers.get("etag", ""), "until": pulls[0]["updated_at"] if pulls else until}
        for pull in pulls:
            # One that changes meanwhile comes up again further ahead: the newer word is read first, and stays.
            seen = Seen(pull["number"], pull["head"]["sha"], pull["state"] == "open")
            found.setdefault(seen.number, seen)
        if len(pulls) < PER_PAGE or pulls[-1]["updated_at"] < until:
            store.saw(found.values(), facts)
            return len(found)
    raise PgolfError(f"{repo} lists more than {MAX_PAGES * PER_PAGE:,} pull requests")
