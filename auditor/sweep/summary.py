"""What came out of many audits, counted from the lines of output."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from auditor.report.escape import one_line
from auditor.verdict import LEVELS, ExitCode

DEFECT = "internal error: "
"""How the reason of an error begins that is pgolf's own."""
VERDICTS = ("clean", "flag", "hold", "error")
_CODES = {"clean": ExitCode.CLEAN, "flag": ExitCode.FLAG, "hold": ExitCode.HOLD, "error": ExitCode.USAGE}
_SHOWN_ERRORS = 20


class Tally:
    """Counts over reports, added line by line."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.classes: Counter[tuple[str, str]] = Counter()
        """(class, verdict) -> pull requests."""
        self.rules: Counter[tuple[str, str]] = Counter()
        """(rule, level) -> pull requests with such a finding."""
        self.errors: list[tuple[int, str]] = []
        self.codes: set[ExitCode] = {ExitCode.CLEAN}

    @property
    def total(self) -> int:
        """Pull requests so far."""
        return sum(self.verdicts.values())

    def add(self, line: str) -> None:
        """Count one report."""
        report = json.loads(line)
        verdict = report["verdict"]
        self.verdicts[verdict] += 1
        self.classes[report["class"], verdict] += 1
        code = _CODES[verdict]
        if verdict == "error":
            reason = report["findings"][0]["message"]
            self.errors.append((report["target"]["pr"], reason))
            code = ExitCode.INTERNAL if reason.startswith(DEFECT) else code
        else:
            self.rules.update({(finding["rule"], finding["level"]) for finding in report["findings"]})
        self.codes.add(code)

    def __str__(self) -> str:
        """The tables that end a sweep."""
        counted = ", ".join(f"{self.verdicts[verdict]:,} {verdict}" for verdict in VERDICTS)
        parts = [f"{self.total:,} pull requests: {counted}\n", table("class", VERDICTS, self.classes)]
        if self.rules:
            parts.append(table("rule (pull requests)", LEVELS, self.rules))
        if self.errors:
            lines = [f"#{number}: {one_line(reason, 150)}\n" for number, reason in self.errors[:_SHOWN_ERRORS]]
            if len(self.errors) > _SHOWN_ERRORS:
                lines.append(f"and {len(self.errors) - _SHOWN_ERRORS:,} more\n")
            parts.append("errors\n" + "".join(lines))
        return "\n".join(parts)


def table(title: str, columns: Sequence[str], counts: Counter[tuple[str, str]]) -> str:
    """Counts by (row, column), the largest row first; zeros are left blank."""
    totals: Counter[str] = Counter()
    for (row, _), count in counts.items():
        totals[row] += count
    width = max(map(len, [title, *totals])) + 2
    lines = [title.ljust(width) + "".join(f"{column:>9}" for column in columns)]
    for row, _ in sorted(totals.items(), key=lambda item: (-item[1], item[0])):
        cells = (counts[row, column] for column in columns)
        lines.append(one_line(row, 60).ljust(width) + "".join(f"{count or '':>9}" for count in cells))
    return "".join(line.rstrip() + "\n" for line in lines)
