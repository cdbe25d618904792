"""Reports in every format that `pgolf` prints: text, json, sarif, github, markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from auditor.verdict import PgolfError, Report

if TYPE_CHECKING:
    from rules.base import Rule
    from rules.rulings import Rulings

FORMATS = ("text", "json", "sarif", "github", "markdown")


def render(
    reports: Sequence[Report], fmt: str, *, rules: Sequence[Rule], rulings: Rulings, color: bool, width: int | None
) -> str:
    """All reports in one format; `color` and `width` matter to `text` only.

    JSON is one indented object for one report and one compact object a line for several. Raises `PgolfError`
    for an unknown format.
    """
    # Each format is imported when it is asked for: rich alone takes a tenth of a second.
    if fmt == "json":
        from auditor.report.as_json import dumps

        return "".join(dumps(report, indent=2 if len(reports) == 1 else None) + "\n" for report in reports)
    if fmt == "text":
        from auditor.report import text

        return "\n".join(text.render(report, rulings, color=color, width=width) for report in reports)
    if fmt == "sarif":
        from auditor.report import sarif

        return sarif.render(reports, rules, rulings)
    if fmt == "github":
        from auditor.report import github

        return github.render(reports)
    if fmt == "markdown":
        from auditor.review import render as review

        return "\n---\n\n".join(review(report, rules=rules, rulings=rulings).body for report in reports)
    raise PgolfError(f"unknown format {fmt!r}; choose one of {', '.join(FORMATS)}")
