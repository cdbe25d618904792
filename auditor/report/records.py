"""Logs, claims and what the rules on records found, for `pgolf records`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from auditor.report.as_json import finding_data
from auditor.report.escape import one_line
from auditor.report.terminal import LEVEL_STYLE, Page
from auditor.report.view import worst_first
from auditor.verdict import Finding

_COLUMNS = ("seed", "BPB", "artifact", "train s", "eval s", "steps", "log")
_MET = {True: "met", False: "not met", None: "open"}
_MAX_ROWS = 40
_MAX_CLAIMS = 5


def as_json(records: Mapping[str, Any], findings: Sequence[Finding]) -> str:
    """The records and the findings as one JSON object."""
    data = {**records, "findings": [finding_data(finding) for finding in worst_first(tuple(findings))]}
    return json.dumps(data, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def as_text(
    name: str, records: Mapping[str, Any], findings: Sequence[Finding], *, color: bool, width: int | None
) -> str:
    """The same for people: a table of the logs, the claims, the findings."""
    page = Page(color=color, width=width)
    page.line((one_line(name), "bold"))
    page.gap()
    logs = records["logs"]
    if logs:
        page.table(_COLUMNS, [_row(log) for log in logs[:_MAX_ROWS]])
        if len(logs) > _MAX_ROWS:
            page.line(f"and {len(logs) - _MAX_ROWS} more (--format json)")
    else:
        page.line("no logs")
    page.gap()
    for quantity, claims in records["claims"].items():
        for claim in claims[:_MAX_CLAIMS]:
            number = f"{claim['value']:,.10g}" if quantity != "seed" else f"{claim['value']:d}"
            page.field(one_line(quantity), number, (f"  ({one_line(claim['from'])})", "dim"), column=15)
        if len(claims) > _MAX_CLAIMS:
            page.field("", (f"and {len(claims) - _MAX_CLAIMS} more (--format json)", "dim"), column=15)
    for line in significance_lines(records["significance"]):
        page.line(line)
    page.gap()
    for finding in worst_first(tuple(findings)):
        page.line((finding.level, LEVEL_STYLE[finding.level]), " ", (finding.rule, "bold"))
        page.line(one_line(finding.message, 1000), indent=2)
        for evidence in finding.evidence:
            for step in evidence.path[:3]:
                where = one_line((step.file or finding.file).rpartition("/")[2])
                page.exact((f"{where}:{step.line} ", "dim"), one_line(step.text, 200), indent=4)
    if not findings:
        page.line("nothing found")
    return page.finish()


def significance_lines(significance: Mapping[str, Any]) -> list[str]:
    """Both verdicts on significance, in words and numbers; none where nothing competes."""
    readme, applied = significance["readme_rule"], significance["applied_rule"]
    if not readme:
        return []
    row = readme["against"]
    spread = "" if readme["sd"] is None else f", sd {readme['sd']:.5f}"
    bar = f", {row['n']} runs, sd {row['sd']:.5f}" if row["sd"] is not None else ", one number"
    nats = "" if readme["gain_nats"] is None else f" = {readme['gain_nats']:+.5f} nats per token"
    lines = [
        f"significance: n = {readme['n']}, mean {readme['mean']:.5f}{spread};"
        f" best earlier row {row['row']}: {row['mean']:.5f}{bar}; gain {readme['gain_bpb']:+.5f} BPB{nats}"
    ]
    for name, rule in (("README rule, 0.005 nats at p < 0.01", readme), ("as applied since April, p < 0.25", applied)):
        lines.append(f"{name}: {_MET[rule['met']]}{_numbers(rule)}")
    return lines


def _numbers(rule: Mapping[str, Any]) -> str:
    """The test behind a verdict, or why there is none."""
    if "p" not in rule:
        return f"; {rule['reason']}" if rule["reason"] else ""
    low, high = rule["interval_nats"] or rule["interval_bpb"]
    unit, found = ("nats", rule["detectable_nats"]) if rule["interval_nats"] else ("BPB", rule["detectable_bpb"])
    return (
        f"; {rule['test']} t = {rule['t']:.2f}, df = {rule['df']:.1f}, p = {rule['p']:.3g}; 95 % interval of the gain"
        f" {low:+.4f} to {high:+.4f} {unit}; a gain of {found:.4f} {unit} would pass in {rule['power']:.0%} of cases"
    )


def _row(log: Mapping[str, Any]) -> list[Text]:
    cells = (
        _shown(log["seed"], "d"),
        _shown(log["val_bpb"], ".6g"),
        _shown(log["artifact_bytes"], ",d"),
        _shown(log["train_s"], ".1f"),
        _shown(log["eval_s"], ".1f"),
        _shown(log["steps"], "d"),
        one_line(log["file"].rpartition("/")[2]),
    )
    return [Text(cell) for cell in cells]


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
