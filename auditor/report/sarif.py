"""SARIF 2.1.0 for code scanning: one run for all reports, one result a finding, paths as code flows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from auditor.report import rule_text, view
from auditor.report.escape import clip, code_line, one_line
from auditor.report.tool import NAME, version
from auditor.verdict import LEVELS, Evidence, ExitCode, Finding, Level, Report

if TYPE_CHECKING:
    from rules.base import Rule
    from rules.rulings import Rulings

SCHEMA_URI = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
# What GitHub shows of an upload (it takes more, and drops the rest without order).
MAX_RESULTS = 5000
MAX_FLOW_STEPS = 1000
MAX_TAGS = 10

# SARIF wants level `none` for every kind but `fail`.
_KIND_AND_LEVEL: dict[Level, tuple[str, str]] = {
    "flag": ("fail", "error"),
    "hold": ("open", "none"),
    "warning": ("fail", "warning"),
    "note": ("informational", "none"),
}
_RULE_LEVEL: dict[Level, str] = {"flag": "error", "hold": "warning", "warning": "warning", "note": "note"}


def render(reports: Sequence[Report], rules: Sequence[Rule], rulings: Rulings) -> str:
    """One SARIF log, pure ASCII."""
    return json.dumps(to_dict(reports, rules, rulings), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def to_dict(reports: Sequence[Report], rules: Sequence[Rule], rulings: Rulings) -> dict[str, Any]:
    """One SARIF log as plain data; results worst first, at most as many as GitHub shows."""
    found = [
        (finding, fingerprint, report)
        for report in reports
        if report.verdict != "error"  # nothing was read: a notification, not a result
        for finding, fingerprint in zip(report.findings, view.fingerprints(report), strict=True)
    ]
    found.sort(key=lambda item: (LEVELS.index(item[0].level), item[0].file, item[0].line, item[0].rule, item[1]))
    descriptors = _descriptors(rules, rulings, [finding for finding, _, _ in found])
    index = {descriptor["id"]: position for position, descriptor in enumerate(descriptors)}
    positive = {rule.id for rule in rules if rule.kind == "positive"}
    run: dict[str, Any] = {
        "tool": {"driver": {"name": NAME, "semanticVersion": version(), "rules": descriptors}},
        "invocations": [_invocation(reports)],
        "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "The root of the repository."}}},
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(finding, fingerprint, report, index[_rule_id(finding)], finding.rule in positive)
            for finding, fingerprint, report in found[:MAX_RESULTS]
        ],
    }
    revisions = [
        {"repositoryUri": f"https://github.com/{quote(r.target.repo, safe='/')}", "revisionId": one_line(r.target.head)}
        for r in reports
        if r.target.repo and r.target.head
    ]
    if revisions:
        run["versionControlProvenance"] = _distinct(revisions)
    return {"$schema": SCHEMA_URI, "version": "2.1.0", "runs": [run]}


def _descriptors(rules: Sequence[Rule], rulings: Rulings, findings: list[Finding]) -> list[dict[str, Any]]:
    """Every rule with its metadata, by id; a bare entry for an id that no given rule has."""
    descriptors = {rule.id: _descriptor(rule, rulings) for rule in rules}
    for finding in findings:
        descriptors.setdefault(_rule_id(finding), {"id": _rule_id(finding)})
    return [descriptors[name] for name in sorted(descriptors)]


def _descriptor(rule: Rule, rulings: Rulings) -> dict[str, Any]:
    text = rule_text.read(rule)
    cited = rulings.cited(rule.rulings)
    lines = [text.body, *(f"- {r.who}, {r.when}: {r.says} ({r.url})" for r in cited)]
    level = "none" if rule.kind == "positive" else _RULE_LEVEL[rule.level]
    descriptor: dict[str, Any] = {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in rule.id.split("-")),
        "shortDescription": {"text": text.summary or rule.id},
        "fullDescription": {"text": clip(text.section("What it does") or text.summary or rule.id, 1000)},
        "help": {"text": "\n".join(lines), "markdown": "\n".join(lines)},
        "defaultConfiguration": {"level": level},
        "properties": {
            "precision": "high" if rule.level == "flag" else "medium",
            "problem.severity": "error" if rule.level == "flag" else "recommendation",
            "tags": ["parameter-golf", rule.kind, *rule.conditions][:MAX_TAGS],
            "rulings": list(rule.rulings),
        },
    }
    if cited:
        descriptor["helpUri"] = cited[0].url
    return descriptor


def _result(finding: Finding, fingerprint: str, report: Report, index: int, positive: bool) -> dict[str, Any]:
    kind, level = ("pass", "none") if positive else _KIND_AND_LEVEL[finding.level]
    result: dict[str, Any] = {
        "ruleId": _rule_id(finding),
        "ruleIndex": index,
        "kind": kind,
        "level": level,
        "message": {"text": _message(finding)},
        "locations": [_location(finding, report)],
        "partialFingerprints": {"pgolf/v1": fingerprint},
        "properties": {
            "target": one_line(view.name_of(report)),
            "activation": finding.activation,
            "conditions": list(finding.conditions),
            "rulings": [one_line(ruling) for ruling in finding.rulings],
        },
    }
    flows = [_code_flow(evidence, finding) for evidence in finding.evidence if evidence.path]
    if flows:
        result["codeFlows"] = flows
    return result


def _location(finding: Finding, report: Report) -> dict[str, Any]:
    shown = view.quote(report, finding, context=0)
    snippet = "\n".join(map(code_line, shown.lines)) if shown else ""
    place = _place(finding.file, finding.line, finding.end_line, snippet)
    if finding.function:
        place["logicalLocations"] = [{"name": one_line(finding.function), "kind": "function"}]
    return place


def _code_flow(evidence: Evidence, finding: Finding) -> dict[str, Any]:
    steps = []
    for order, step in enumerate(evidence.path[:MAX_FLOW_STEPS], start=1):
        file = step.file or finding.file
        location = _place(file, step.line, None, code_line(step.text))
        note = step.note or step.text
        location["message"] = {"text": _plain(f"unpacked line {step.line}: {note}" if _packed(file) else note) or "-"}
        steps.append({"executionOrder": order, "location": location})
    flow: dict[str, Any] = {"threadFlows": [{"locations": steps}]}
    if evidence.assumptions:
        flow["message"] = {"text": _plain("Assumes: " + "; ".join(evidence.assumptions))}
    return flow


def _place(file: str, line: int, end_line: int | None, snippet: str) -> dict[str, Any]:
    """A location; a packed script is shown at its first line, since its committed file has no other."""
    line = 1 if _packed(file) else max(line, 1)
    region: dict[str, Any] = {"startLine": line}
    if end_line is not None and end_line > line and not _packed(file):
        region["endLine"] = end_line
    if snippet:
        region["snippet"] = {"text": snippet}
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": relative_uri(file), "uriBaseId": "%SRCROOT%"},
            "region": region,
        }
    }


def relative_uri(file: str) -> str:
    """A path as a relative URI reference: no scheme, no host, nothing above the root."""
    segments = [part for part in file.removesuffix(view.UNPACKED).split("/") if part not in ("", ".")]
    # A dot segment may not appear in a SARIF URI, not even percent-encoded.
    named = ["__" if part == ".." else part for part in segments]
    return "/".join(quote(part, safe="", errors="replace") for part in named) or "unnamed"


def _invocation(reports: Sequence[Report]) -> dict[str, Any]:
    notifications = []
    for report in reports:
        if not view.is_submission(report):
            level, kind = "note", view.NOT_A_SUBMISSION
        elif report.verdict in ("hold", "error"):
            level, kind = ("error" if report.verdict == "error" else "warning"), report.verdict
        else:
            continue
        text = _plain(f"{view.name_of(report)}: {kind}: {view.reason(report)}")
        notifications.append({"level": level, "descriptor": {"id": kind}, "message": {"text": text}})
    return {
        "executionSuccessful": all(report.exit_code is not ExitCode.USAGE for report in reports),
        "toolExecutionNotifications": notifications,
    }


def _rule_id(finding: Finding) -> str:
    return one_line(finding.rule) or "unnamed"


def _message(finding: Finding) -> str:
    where = f"Line {finding.line} of the unpacked source: " if _packed(finding.file) else ""
    return _plain(where + finding.message) or finding.rule


def _plain(text: str | None) -> str:
    """Text for a SARIF message: no embedded link `[text](target)`, no placeholder `{0}`."""
    return one_line(text or "", 1000).replace("](", "] (").replace("{", "{{").replace("}", "}}")


def _packed(file: str) -> bool:
    return file.endswith(view.UNPACKED)


def _distinct(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row for position, row in enumerate(rows) if row not in rows[:position]]
