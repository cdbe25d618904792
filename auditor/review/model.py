"""What a review consists of."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

AnnotationLevel = Literal["failure", "warning", "notice"]
"""The words of GitHub's check runs."""


@dataclass(frozen=True)
class Annotation:
    """A finding at a line of a committed file. Plain text, safe to print; GitHub does not read Markdown here."""

    path: str
    """Relative to the root of the repository. Foreign text, as the submission spells it."""
    line: int
    level: AnnotationLevel
    title: str
    message: str


@dataclass(frozen=True)
class Review:
    """A report in the form in which it is posted."""

    title: str
    """One plain line without foreign text, for a check run."""
    body: str
    """Markdown of at most `MAX_CHARACTERS`; the first line is an HTML comment, the marker."""
    digest: str
    """Of the facts that the review states: equal digests need no new comment."""
    summary: str
    """One line of Markdown without foreign text, for a check run."""
    annotations: tuple[Annotation, ...] = ()
    """Worst first."""

    def as_json(self) -> str:
        """All of it as one JSON object."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=True) + "\n"
