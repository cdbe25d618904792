"""The one comment of ours on a pull request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from auditor.github.account import Account
from auditor.github.client import Client
from auditor.review import MAX_CHARACTERS, Review, read_marker, stale
from auditor.verdict import PgolfError

Done = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True)
class Comment:
    """A comment of ours."""

    id: int
    body: str


def ours(client: Client, repo: str, number: int, account: Account) -> list[Comment]:
    """Our comments, oldest first: with our marker, and by our account. Whoever copies the marker is not us."""
    listed = client.pages(f"/repos/{repo}/issues/{number}/comments")
    return [
        Comment(each["id"], each["body"])
        for each in sorted(listed, key=lambda each: each["id"])
        if each["user"] and each["user"]["id"] == account.id and read_marker(each["body"] or "")
    ]


def settle(client: Client, repo: str, number: int, account: Account, review: Review) -> Done:
    """Leave exactly one comment of ours, which says what `review` says; nothing is written when it does already.

    `PgolfError` when the token turns out to write as another account than `account`; what it wrote is taken back.
    """
    if len(review.body) > MAX_CHARACTERS:
        raise PgolfError(f"the review has {len(review.body):,} characters; GitHub takes {MAX_CHARACTERS:,}")

    done: Done = "unchanged"

    def step() -> None:
        nonlocal done
        found = ours(client, repo, number, account)
        if not found:
            done = "created"
            _create(client, repo, number, account, review)
            return
        kept, *surplus = found
        for extra in surplus:  # of a run beside this one, or of a request that was believed lost
            client.delete(f"/repos/{repo}/issues/comments/{extra.id}")
        marker = read_marker(kept.body)
        if marker is None or marker.digest != review.digest or marker.stale is not None:
            done = "updated"
            client.change(f"/repos/{repo}/issues/comments/{kept.id}", {"body": review.body})

    client.settle(step)
    return done


def mark_stale(client: Client, repo: str, number: int, account: Account, head: str) -> bool:
    """Say in our comment, if there is one of another commit than `head`, that it is; returns whether it now does."""
    for comment in ours(client, repo, number, account)[:1]:
        marker = read_marker(comment.body)
        if marker is None or marker.head == head:
            return False
        if marker.stale != head:
            client.change(f"/repos/{repo}/issues/comments/{comment.id}", {"body": stale(comment.body, head)})
        return True
    return False


def _create(client: Client, repo: str, number: int, account: Account, review: Review) -> None:
    made = client.create(f"/repos/{repo}/issues/{number}/comments", {"body": review.body})
    if made["user"]["id"] != account.id:  # the next run would not know it for ours, and comment again
        client.delete(f"/repos/{repo}/issues/comments/{made['id']}")
        raise PgolfError(f"the token writes as {made['user']['login']!r}, not as {account.login!r}: correct --as")
