"""From a report to a review: the template that fits, within the length that GitHub takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auditor.report import view
from auditor.report.escape import one_line
from auditor.review.digest import digest_of
from auditor.review.environment import fill
from auditor.review.marker import Marker, stale
from auditor.review.model import Annotation, AnnotationLevel, Review
from auditor.review.page import page
from auditor.verdict import Finding, Level, Report

if TYPE_CHECKING:
    from rules.base import Rule
    from rules.rulings import Rulings

MAX_CHARACTERS = 60_000
"""GitHub takes 65,536 characters in a comment."""
_IN_FULL = (5, 2, 1, 0)
"""Findings that are shown with their paths: as many of these as there is room for."""
_CLEAN = {"score-first-ttt": "clean_score_first", "context-only-ngram": "clean_ngram", "pure-neural": "clean_neural"}
_ANNOTATED: dict[Level, AnnotationLevel] = {"flag": "failure", "hold": "warning", "warning": "warning"}


def render(
    report: Report,
    *,
    rules: Sequence[Rule],
    rulings: Rulings,
    stale_since: str | None = None,
    repair: str | None = None,
    validation: Mapping[str, Any] | None = None,
) -> Review:
    """The review of one report.

    `stale_since` is the commit (40 hexadecimal digits) that the pull request has moved to since the report was
    made; the body then says so on top. `repair` is a unified diff with which the script audits clean, `validation` what
    `pgolf validate` found (`pgolf.validation/1`).
    """
    digest = digest_of(report, repair, validation)
    for full in _IN_FULL:
        shown = page(report, rules, rulings, full=full, repair=repair, validation=validation)
        text = fill(f"{_template(report)}.md.j2", vars(shown))
        body = f"{Marker(report.target.head, digest)}\n\n{text}"
        if stale_since is not None:
            body = stale(body, stale_since)
        if len(body) <= MAX_CHARACTERS:
            break
    return Review(_title(report), body, digest, _summary(report), _annotations(report))


def _template(report: Report) -> str:
    if not view.is_submission(report):
        return "not_a_submission"
    if report.verdict == "clean":
        return _CLEAN.get(report.cls, "clean")
    if report.verdict == "hold" and report.cls == "broken-script":
        return "broken_script"
    return {"flag": "flagged", "hold": "hold", "error": "unread"}[report.verdict]


def _title(report: Report) -> str:
    """The verdict in a few words, all of them ours."""
    if not view.is_submission(report):
        return "not a submission"
    return {
        "clean": f"looks clean by these checks, at this commit: {report.cls}",
        "flag": f"flag: {report.cls}",
        "hold": "hold: a person has to decide",
        "error": "not read",
    }[report.verdict]


def _summary(report: Report) -> str:
    commit = f" Read at commit `{report.target.head[:12]}`." if report.target.head else ""
    counts = [(level, sum(f.level == level for f in report.findings)) for level in ("flag", "hold", "warning")]
    found = ", ".join(f"{number} {level}{'s' * (number > 1)}" for level, number in counts if number)
    return f"{_title(report)}; {found or 'nothing to look at'}.{commit}"


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
