"""The first line of a review, by which its author finds it again, and the note that marks a review as stale."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARKER = re.compile(
    r"<!-- pgolf:review v1 head=(?P<head>[0-9a-f]{40}|none) digest=(?P<digest>[0-9a-f]{16})"
    r"(?: stale=(?P<stale>[0-9a-f]{40}))? -->"
)
_NOTE = re.compile(r"\n\n> \*\*Stale\.\*\*[^\n]*")


@dataclass(frozen=True)
class Marker:
    """What the first line of a review says."""

    head: str | None
    """The commit that was judged, 40 hexadecimal digits; None for a path."""
    digest: str
    """`Review.digest`."""
    stale: str | None = None
    """The commit that has taken the place of `head` since."""

    def __str__(self) -> str:
        """The line itself, an HTML comment."""
        stale = f" stale={self.stale}" if self.stale else ""
        return f"<!-- pgolf:review v1 head={self.head or 'none'} digest={self.digest}{stale} -->"


def read_marker(body: str) -> Marker | None:
    """The marker of a comment; None unless the first line is one, all of it.

    Anybody can write such a line: only in a comment of one's own does it mean anything.
    """
    found = _MARKER.fullmatch(body.partition("\n")[0].rstrip())
    if found is None:
        return None
    head = None if found["head"] == "none" else found["head"]
    return Marker(head, found["digest"], found["stale"])


def stale(body: str, new_head: str) -> str:
    """The same review, marked as one of a commit that `new_head` (40 hexadecimal digits) has replaced.

    Marking it again for another commit replaces the note. Raises `ValueError` when `body` is no review or
    `new_head` no commit id.
    """
    marker = read_marker(body)
    if marker is None:
        raise ValueError("not a review: the first line is no marker")
    if not re.fullmatch("[0-9a-f]{40}", new_head):
        raise ValueError(f"not a commit id: {new_head!r}")
    rest = body.partition("\n")[2].replace("\r\n", "\n").lstrip("\n")
    if marker.stale is not None:
        rest = _NOTE.sub("", "\n\n" + rest, count=1).lstrip("\n")
    old = f" of commit `{marker.head[:12]}`" if marker.head else ""
    note = (
        f"> **Stale.** What follows is a review{old}. The pull request has moved to `{new_head[:12]}`, "
        "which has not been read yet; the verdict below does not speak of it."
    )
    return f"{Marker(marker.head, marker.digest, new_head)}\n\n{note}\n\n{rest}"
