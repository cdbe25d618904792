"""The accepted rows, for `pgolf leaderboard`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from auditor.records.statistics import variance
from auditor.report.terminal import Page

_COLUMNS = ("score", "sd", "runs", "bytes/token", "date", "pull request")


def as_json(commit: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows, and the commit of the contest's repository that they were read at."""
    return json.dumps({"commit": commit, "rows": list(rows)}, indent=2, allow_nan=False) + "\n"


def as_text(commit: str, rows: Sequence[Mapping[str, Any]], *, color: bool, width: int | None = None) -> str:
    """The same for people: one row a line."""
    page = Page(color=color, width=width)
    page.table(_COLUMNS, [_row(row) for row in rows])
    page.gap()
    page.line((f"as of {commit[:9]}; bits per byte, sample deviation over the runs of the row", "dim"))
    return page.finish()


def _row(row: Mapping[str, Any]) -> list[Text]:
    scores, ratio = row["scores"], row["bytes_per_token"]
    pull = "-" if row["pr"] is None else f"#{row['pr']}" + (f", runs of #{row['evidence']}" if row["evidence"] else "")
    cells = (
        f"{row['score']:.4f}",
        f"{variance(scores) ** 0.5:.5f}" if len(scores) > 1 else "-",
        str(len(scores) or "-"),
        "-" if ratio is None else f"{ratio:.4f}",
        row["date"],
        pull,
    )
    return [Text(cell) for cell in cells]
