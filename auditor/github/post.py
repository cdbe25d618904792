"""Posts one draft: comment, check run, label, unless the pull request has moved on meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.github import check_run, comment, labels
from auditor.github.account import Account
from auditor.github.client import Client
from auditor.github.diff import shown_lines
from auditor.github.draft import Draft
from auditor.review import Annotation
from auditor.verdict import PgolfError


class Moved(PgolfError):
    """The pull request has another head than the one that was judged: nothing was posted."""

    def __init__(self, draft: Draft, head: str) -> None:
        super().__init__(
            f"pull request {draft.pr} has moved from {draft.head[:12]} to {head[:12]}, and nothing was posted; "
            f"type: pgolf review {draft.pr} --repo {draft.repo} --post"
        )
        self.head = head


@dataclass(frozen=True)
class Posted:
    """What was done; the check run is None for an account that cannot write any."""

    comment: comment.Done
    check_run: str | None
    label: bool
    left_out: int
    """Annotations at lines that are not in the diff, which the comment alone has."""


def post(client: Client, account: Account, draft: Draft, *, label: bool = False, hint: str | None = None) -> Posted:
    """Bring the pull request to what `draft` says, with as few writes as that takes.

    `hint` is a sentence, ours, on what an untrusted job reported; it goes into the check run. Raises `Moved` when the
    head is another one by now; our comment is then marked stale.
    """
    notes: tuple[Annotation, ...] = ()
    if account.app is not None and draft.review.annotations:
        shown = shown_lines(client, draft.repo, draft.pr)
        notes = tuple(each for each in draft.review.annotations if each.line in shown.get(each.path, ()))
    left_out = len(draft.review.annotations) - len(notes) if account.app is not None else 0
    now = head(client, draft.repo, draft.pr)
    if now != draft.head:
        comment.mark_stale(client, draft.repo, draft.pr, account, now)
        raise Moved(draft, now)
    commented = comment.settle(client, draft.repo, draft.pr, account, draft.review)
    checked = None
    if account.app is not None:
        content = check_run.Content(
            check_run.CONCLUSION[draft.verdict], draft.review.title, _summary(draft, left_out, hint), notes
        )
        checked = check_run.settle(client, draft.repo, draft.head, account.app, content)
    labelled = label and labels.settle(client, draft.repo, draft.pr, draft.verdict)
    return Posted(commented, checked, labelled, left_out)


def head(client: Client, repo: str, number: int) -> str:
    """The commit that the pull request is at now."""
    return str(client.get(f"/repos/{repo}/pulls/{number}").data["head"]["sha"])


def _summary(draft: Draft, left_out: int, hint: str | None) -> str:
    parts = [draft.review.summary]
    if left_out:
        parts.append(f"{left_out} of the findings are at lines outside the diff; the comment has them all.")
    if hint is not None:
        parts.append(hint)
    return "\n\n".join(parts)
