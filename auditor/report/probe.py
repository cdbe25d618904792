"""The experiment for people and as JSON, for `pgolf probe` and the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from auditor.report.escape import one_line
from auditor.report.terminal import Page
from auditor.report.view import CONDITIONS

_STYLE = {"violated": "bold red", "not-refuted": "green", "could-not-run": "yellow", "inconclusive": "yellow"}


def as_json(probe: Mapping[str, Any]) -> str:
    """The `probe` object of the report."""
    return json.dumps(probe, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def as_text(name: str, probe: Mapping[str, Any], *, color: bool = False, width: int | None = None) -> str:
    """One row a condition, what was judged, and how to repeat it."""
    page = Page(color=color, width=width)
    page.line((one_line(name), "bold"))
    for condition, found in probe["conditions"].items():
        answer = found["answer"]
        page.line(f"{condition} {CONDITIONS[condition]:<24}", (answer.replace("-", " "), _STYLE[answer]), indent=2)
        if found["reason"]:
            page.line(one_line(found["reason"], 400), indent=5)
        if found["numbers"]:
            page.line((_numbers(found["numbers"]), "dim"), indent=5)
    judged = probe["evaluation"]
    page.gap()
    if judged:
        page.field("judged", f"{one_line(judged['label'], 80)}: {_result(judged)}")
        order = "in stream order" if judged["in_stream_order"] else "not in stream order; cuts follow the scores' order"
        page.field(
            "scores", f"{judged['scored']:,} of {judged['tokens']:,} tokens, {order}: {one_line(judged['site'])}"
        )
    if probe["env"]:
        page.field("with", " ".join(f"{one_line(k)}={one_line(v, 60)}" for k, v in sorted(probe["env"].items())))
    cost = probe["cost"]
    page.field("cost", f"{cost['runs']} runs, {cost['seconds']:.1f} s, {cost['max_rss_mb']:,} MB")
    page.field("repeat", one_line(probe["repeat"], 400))
    page.gap()
    page.line((probe["distance"], "dim"))
    return page.finish()


def probe_line(probe: Mapping[str, Any]) -> str:
    """All answers in one line."""
    return ", ".join(f"{name} {found['answer'].replace('-', ' ')}" for name, found in probe["conditions"].items())


def _numbers(numbers: Mapping[str, Any]) -> str:
    def shown(value: Any) -> str:
        return f"{value:.6g}" if isinstance(value, float) else f"{value:,}"

    return ", ".join(f"{name.replace('_', ' ')} {shown(value)}" for name, value in numbers.items())


def _result(judged: Mapping[str, Any]) -> str:
    agrees = "as counted again" if judged["bpb_agrees"] else "NOT as counted again"
    return f"{judged['val_bpb']:.4f} BPB, {agrees} ({judged['recounted_bpb']:.4f})"
