"""The smoke test for people and as JSON, for `pgolf smoke` and the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from auditor.report.escape import one_line

_SAYS = {
    "script": "the script itself fails",
    "environment": "something is missing here",
    "runtime": "a CPU cannot run this",
}


def as_json(smoke: Mapping[str, Any]) -> str:
    """The `smoke` object of the report."""
    return json.dumps(smoke, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def as_text(name: str, smoke: Mapping[str, Any]) -> str:
    """A line on the outcome, and one on what it took."""
    lines = [f"{one_line(name)}: {one_line(smoke_line(smoke), 1000)}"]
    used = smoke["sandbox"]
    if used is not None:
        lines.append(f"  sandbox {used['status']}, {used['time_s']:.1f} s, {used['max_rss_mb']:,.0f} MB")
    if smoke["env"]:
        settings = " ".join(f"{one_line(name)}={one_line(value, 80)}" for name, value in sorted(smoke["env"].items()))
        lines.append(f"  with {settings}")
    return "\n".join(lines) + "\n"


def smoke_line(smoke: Mapping[str, Any]) -> str:
    """The outcome in one line."""
    size = f"code={smoke['code_bytes']} B"
    if smoke["status"] == "pass":
        model = [f"{key}={smoke[key]}" for key in ("dim", "layers", "vocab") if smoke[key] is not None]
        # a script without a `main` part takes its first step while it is imported
        took = "" if smoke["import_s"] is None else f" in {smoke['import_s']:.2f}s"
        parts = [f"import OK{took}", *model, f"params={smoke['params']:,}", size]
        return f"PASS: {', '.join(parts)}"
    if smoke["status"] == "skipped":
        return f"SKIPPED: {smoke['reason']}"
    return f"FAIL: {_SAYS[smoke['fault']]}: {smoke['reason']}, {size}"
