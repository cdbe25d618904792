"""GitHub annotations: workflow commands on standard output, worst first.

GitHub shows ten annotations a step; what is left out is counted in a plain last line.
"""

from __future__ import annotations

from collections.abc import Sequence

from auditor.report import view
from auditor.report.escape import one_line, workflow_data, workflow_property
from auditor.verdict import Finding, Level, Report

MAX_ANNOTATIONS = 10
_COMMAND: dict[Level, str] = {"flag": "error", "hold": "warning", "warning": "warning", "note": "notice"}

_SHOWN_FIRST = ("::error", "::warning", "::notice")


def render(reports: Sequence[Report]) -> str:
    """At most ten annotations for all reports together, then one summary line a report."""
    unread = [r for r in reports if r.verdict == "error" or (r.verdict == "hold" and not r.findings)]
    found = [finding for report in reports if report not in unread for finding in report.findings]
    lines = [_unread(report) for report in unread] + [_annotation(f) for f in view.worst_first(tuple(found))]
    lines.sort(key=lambda line: _SHOWN_FIRST.index(line.partition(" ")[0]))
    shown = lines[:MAX_ANNOTATIONS]
    if len(lines) > len(shown):
        shown.append(f"pgolf: {len(lines) - len(shown)} more findings are not shown as annotations")
    for report in reports:
        summary = one_line(f"pgolf: {view.name_of(report)}: {report.verdict} ({report.cls})")
        shown.append(summary.replace("##[", "## ["))
    return "\n".join(shown) + "\n"


def _annotation(finding: Finding) -> str:
    packed = finding.file.endswith(view.UNPACKED)
    message = finding.message
    line, end = max(finding.line, 1), max(finding.end_line or 0, finding.line, 1)
    if packed:  # the committed file has no such line
        message = f"line {line} of the unpacked source: {message}"
        line = end = 1
    properties = {
        "file": finding.file.removesuffix(view.UNPACKED),
        "line": str(line),
        "endLine": str(end),
        "title": f"{finding.rule} ({view.ACTIVATION[finding.activation]})",
    }
    return _command(_COMMAND[finding.level], properties, message)


def _unread(report: Report) -> str:
    level = "error" if report.verdict == "error" else "warning" if view.is_submission(report) else "notice"
    properties = {"title": f"pgolf: {report.verdict if view.is_submission(report) else report.cls}"}
    if report.submission.script:
        properties = {"file": report.submission.script, **properties}
    return _command(level, properties, view.reason(report))


def _command(name: str, properties: dict[str, str], message: str) -> str:
    listed = ",".join(f"{key}={workflow_property(value)}" for key, value in properties.items())
    return f"::{name} {listed}::{workflow_data(message)}"
