"""The report as JSON, `pgolf.report/1`. Its schema is `report.schema.json`, beside this file."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from auditor.report.tool import RULESET, version
from auditor.report.view import fingerprints
from auditor.verdict import Evidence, Finding, Report, Step

SCHEMA_ID = "pgolf.report/1"
_SURROGATE = re.compile("[\ud800-\udfff]")


def to_dict(report: Report) -> dict[str, Any]:
    """The report as plain data, keys in the published order; `timings_ms` last, all else determined by the input."""
    submission, claims = report.submission, report.claims
    data = {
        "schema": SCHEMA_ID,
        "tool": {"version": version(), "ruleset": RULESET},
        "target": {
            "repo": report.target.repo,
            "pr": report.target.pr,
            "head": report.target.head,
            "title": report.target.title,
            "path": report.target.path,
        },
        "submission": {
            "track": submission.track,
            "folder": submission.folder,
            "script": submission.script,
            "chosen_because": submission.chosen_because,
            "script_sha256": submission.script_sha256,
            "code_bytes": submission.code_bytes,
            "packing": list(submission.packing),
            "other_folders": list(submission.other_folders),
            "model": {name: submission.model.get(name) for name in ("dim", "layers", "vocab")},
            "config": {
                name: {"value": setting.value, "from": setting.source}
                for name, setting in sorted(submission.config.items())
            },
        },
        "claims": {
            "val_bpb": claims.val_bpb,
            "seeds": list(claims.seeds),
            "artifact_bytes": list(claims.artifact_bytes),
            "from": claims.source,
            "status": claims.status,
        },
        "verdict": report.verdict,
        "class": report.cls,
        "findings": [
            finding_data(finding, fingerprint)
            for finding, fingerprint in zip(report.findings, fingerprints(report), strict=True)
        ],
        "smoke": report.smoke,
        "probe": report.probe,
        "records": report.records,
        "timings_ms": {stage: round(ms, 3) for stage, ms in report.timings_ms.items()},
    }
    return {key: _sound(value) for key, value in data.items()}


def dumps(report: Report, *, indent: int | None = 2) -> str:
    """The report as JSON text: pure ASCII, so that no terminal and no log reads anything else in it."""
    return json.dumps(to_dict(report), indent=indent, ensure_ascii=True, allow_nan=False)


def finding_data(finding: Finding, fingerprint: str | None = None) -> dict[str, Any]:
    """One finding as plain data; `fingerprint` where equal ones are told apart."""
    return {
        "rule": finding.rule,
        "level": finding.level,
        "activation": finding.activation,
        "file": finding.file,
        "line": finding.line,
        "end_line": finding.line if finding.end_line is None else finding.end_line,
        "function": finding.function,
        "function_line": finding.function_line,
        "message": finding.message,
        "conditions": list(finding.conditions),
        "rulings": list(finding.rulings),
        "evidence": [_evidence(evidence) for evidence in finding.evidence],
        "fingerprint": fingerprint or finding.fingerprint,
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "kind": evidence.kind,
        "path": [_step(step) for step in evidence.path],
        "assumptions": list(evidence.assumptions),
    }


def _step(step: Step) -> dict[str, Any]:
    data: dict[str, Any] = {"line": step.line, "text": step.text, "note": step.note, "function": step.function}
    if step.file is not None:
        data["file"] = step.file
    return data


def _sound(value: Any) -> Any:
    """Replace what JSON or UTF-8 cannot carry: lone surrogates by U+FFFD, NaN and infinities by null."""
    if isinstance(value, str):
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {_sound(key): _sound(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sound(item) for item in value]
    return value
