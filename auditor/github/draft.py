"""A review on its way: what is posted where, as data that one job or one day hands to another."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from auditor.review import MAX_CHARACTERS, Annotation, Review, read_marker
from auditor.review.model import AnnotationLevel
from auditor.verdict import Outcome, PgolfError, Report

SCHEMA = "pgolf.draft/1"
MAX_BYTES = 4 << 20
MAX_ANNOTATIONS = 1_000


@dataclass(frozen=True)
class Draft:
    """The review of one pull request at one commit."""

    repo: str
    """`owner/name`."""
    pr: int
    head: str
    """The commit that was judged, 40 hexadecimal digits."""
    verdict: Outcome
    review: Review


def draft_of(report: Report, review: Review) -> Draft:
    """The draft of a review; `PgolfError` when the report is not on a pull request."""
    target = report.target
    if target.repo is None or target.pr is None or target.head is None:
        raise PgolfError("only the review of a pull request can be posted: give its number")
    return Draft(target.repo, target.pr, target.head, report.verdict, review)


def dumps(draft: Draft) -> str:
    """As JSON."""
    return json.dumps({"schema": SCHEMA, **asdict(draft)}, indent=1) + "\n"


def loads(text: str) -> Draft:
    """From JSON, which is read as if a stranger had written it; `PgolfError` unless all of it is as it should be."""
    try:
        if len(text) > MAX_BYTES:
            raise ValueError("too long")
        data = json.loads(text)
        if data.pop("schema") != SCHEMA:
            raise ValueError("schema")
        review = data.pop("review")
        notes = [Annotation(**_typed(Annotation, each)) for each in review.pop("annotations")]
        draft = Draft(review=Review(annotations=tuple(notes), **_typed(Review, review)), **_typed(Draft, data))
        _check(draft)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise PgolfError(f"not a draft of a review that this version wrote ({error}): make it again") from None
    return draft


_TYPES: dict[str, type] = {"pr": int, "line": int}


def _typed(kind: type, data: dict[str, Any]) -> dict[str, Any]:
    known = {field.name for field in fields(kind)}
    for name, value in data.items():
        if name not in known or type(value) is not _TYPES.get(name, str):
            raise ValueError(name)
    return data


def _check(draft: Draft) -> None:
    review = draft.review
    marker = read_marker(review.body)
    right = {
        "repo": re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9_.-]+", draft.repo),
        "pr": 0 < draft.pr < 10**8,
        "head": re.fullmatch("[0-9a-f]{40}", draft.head),
        "verdict": draft.verdict in get_args(Outcome),
        "body": len(review.body) <= MAX_CHARACTERS,
        "marker": marker is not None and (marker.head, marker.digest) == (draft.head, review.digest),
        "annotations": len(review.annotations) <= MAX_ANNOTATIONS,
        "level": all(each.level in get_args(AnnotationLevel) for each in review.annotations),
    }
    if wrong := [name for name, is_right in right.items() if not is_right]:
        raise ValueError(", ".join(wrong))
