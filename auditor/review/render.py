"""From a report to a review."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from auditor.report import markdown, view
from auditor.report.escape import one_line
from auditor.review.digest import digest_of
from auditor.review.marker import Marker, stale
from auditor.review.model import Annotation, AnnotationLevel, Review
from auditor.verdict import Finding, Level, Report

if TYPE_CHECKING:
    from rules.base import Rule
    from rules.rulings import Rulings

MAX_CHARACTERS = 60_000
"""GitHub takes 65,536 characters in a comment."""
_ANNOTATED: dict[Level, AnnotationLevel] = {"flag": "failure", "hold": "warning", "warning": "warning"}


def render(report: Report, *, rules: Sequence[Rule], rulings: Rulings, stale_since: str | None = None) -> Review:
    """The review of one report.

    `stale_since` is the commit (40 hexadecimal digits) that the pull request has moved to since the report was
    made; the body then says so on top.
    """
    digest = digest_of(report)
    body = f"{Marker(report.target.head, digest)}\n\n{markdown.render(report, rules, rulings)}"
    if stale_since is not None:
        body = stale(body, stale_since)
    return Review(_title(report), body, digest, _summary(report), _annotations(report))


def _title(report: Report) -> str:
    if not view.is_submission(report):
        return "not a submission"
    if report.verdict in ("flag", "clean"):
        return f"{report.verdict}: {report.cls}"
    return "hold: a person has to decide" if report.verdict == "hold" else "not read"


def _summary(report: Report) -> str:
    commit = f" at commit `{report.target.head[:12]}`" if report.target.head else ""
    counts = [(level, sum(f.level == level for f in report.findings)) for level in ("flag", "hold", "warning")]
    found = ", ".join(f"{number} {level}{'s' * (number > 1)}" for level, number in counts if number)
    return f"{_title(report)}, by these checks{commit}; {found or 'nothing to look at'}."


def _annotations(report: Report) -> tuple[Annotation, ...]:
    """What a maintainer should look at; notes stay in the comment."""
    return tuple(
        _annotation(finding, _ANNOTATED[finding.level])
        for finding in view.worst_first(report.findings)
        if finding.level in _ANNOTATED and finding.file
    )


def _annotation(finding: Finding, level: AnnotationLevel) -> Annotation:
    message, line = finding.message, max(finding.line, 1)
    if finding.file.endswith(view.UNPACKED):  # the committed file has no such line
        message, line = f"line {line} of the unpacked source: {message}", 1
    title = f"{finding.rule} ({view.ACTIVATION[finding.activation]})"
    return Annotation(finding.file.removesuffix(view.UNPACKED), line, level, title, one_line(message, 1000))
