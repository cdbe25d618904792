"""The table of records: what is claimed, what each log prints, and the bytes that follow from loss and score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditor.report import view
from auditor.report.escape import markdown_text
from auditor.review.environment import Safe
from auditor.review.links import Links
from auditor.verdict import Report

_MAX_LOGS = 8
_COLUMNS = (
    ("seed", "seed", "d"),
    ("BPB", "val_bpb", ".8g"),
    ("loss, nats", "val_loss", ".8g"),
    ("bytes of the set, from both", "implied_bytes", ",d"),
    ("artifact, bytes", "artifact_bytes", ",d"),
    ("training, s", "train_s", ".1f"),
    ("evaluation, s", "eval_s", ".1f"),
)


def records_table(report: Report, links: Links) -> Safe:
    """The table in Markdown; empty where there is neither a claim nor a log."""
    logs = (report.records or {"logs": []})["logs"]
    claimed = _claimed(report)
    if not logs and not claimed:
        return Safe()
    rows = [("claimed", claimed)] if claimed else []
    for log in logs[:_MAX_LOGS]:
        rows.append((_name(log["file"], links), _printed(log)))
    columns = [(title, key) for title, key, _ in _COLUMNS if any(row.get(key) for _, row in rows)]
    lines = [f"| | {' | '.join(title for title, _ in columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(row.get(key, '') for _, key in columns)} |" for name, row in rows]
    if len(logs) > _MAX_LOGS:
        lines += ["", f"and {len(logs) - _MAX_LOGS} more logs."]
    return Safe("\n".join(lines))


def _claimed(report: Report) -> dict[str, str]:
    claims = report.claims
    found = {
        "seed": " ".join(map(str, claims.seeds[:10])),
        "artifact_bytes": " ".join(f"{size:,}" for size in list(dict.fromkeys(claims.artifact_bytes))[:3]),
    }
    if claims.val_bpb is not None or claims.status == "pending":
        found["val_bpb"] = view.bpb(report)
    said = (report.records or {"claims": {}})["claims"]
    for key, form in (("val_loss", ".8g"), ("train_s", ".1f"), ("eval_s", ".1f")):
        if said.get(key):
            found[key] = format(said[key][0]["value"], form)
    return {key: text for key, text in found.items() if text}


def _printed(log: Mapping[str, Any]) -> dict[str, str]:
    return {key: format(log[key], form) for _, key, form in _COLUMNS if log[key] is not None}


def _name(path: str, links: Links) -> Safe:
    """The log's name; a code span could hold a bar, which ends the cell."""
    return links.blob(path, Safe(markdown_text(path.rpartition("/")[2], 60)))
