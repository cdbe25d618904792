"""What changed between two files of reports: verdicts, classes, and findings that came or went.

A finding is recognised by its rule and fingerprint, so one that only moved, or is worded otherwise, is the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.report.as_json import SCHEMA_ID
from auditor.report.escape import code_line
from auditor.verdict import PgolfError

Reports = Mapping[str, dict[str, Any]]
_WHOLE = {"target": dict, "verdict": str, "class": str, "findings": list}
_FINDING = {"rule": str, "level": str, "activation": str, "fingerprint": str, "file": str, "line": int, "message": str}


@dataclass(frozen=True)
class Change:
    """One target on which the two files disagree."""

    name: str
    old: dict[str, Any]
    new: dict[str, Any]
    came: tuple[dict[str, Any], ...]
    gone: tuple[dict[str, Any], ...]

    @property
    def outcome(self) -> tuple[str, str]:
        """Verdict and class, before and after."""
        return _outcome(self.old), _outcome(self.new)


@dataclass(frozen=True)
class Comparison:
    """Two files side by side; the targets that only one of them has are named."""

    changes: tuple[Change, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    same: int

    @property
    def differs(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.changes or self.only_old or self.only_new)


def load(path: Path) -> Reports:
    """Reports by the name of their target, in the order of the file; `PgolfError` on anything that is no report."""
    reports: dict[str, dict[str, Any]] = {}
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                report = _report(line, f"{path}, line {number}")
                name = _name(report["target"])
                if name in reports:
                    raise PgolfError(f"{path}, line {number}: there is a report on {name} already")
                reports[name] = report
    except OSError as error:
        raise PgolfError(f"{path}: {error.strerror}") from None
    return reports


def compare(old: Reports, new: Reports) -> Comparison:
    """What is different in `new`."""
    changes, same = [], 0
    for name, before in old.items():
        if name not in new:
            continue
        after = new[name]
        left, right = _findings(before), _findings(after)
        came = tuple(right[each] for each in right if each not in left)
        gone = tuple(left[each] for each in left if each not in right)
        if came or gone or _outcome(before) != _outcome(after):
            changes.append(Change(name, before, after, came, gone))
        else:
            same += 1
    only_old = tuple(name for name in old if name not in new)
    only_new = tuple(name for name in new if name not in old)
    return Comparison(tuple(changes), only_old, only_new, same)


def as_text(found: Comparison) -> str:
    """For reading: each change with its findings, and a count at the end."""
    lines = []
    for change in found.changes:
        before, after = change.outcome
        lines.append(f"{change.name}: {before if before == after else f'{before} -> {after}'}{_new_head(change)}")
        lines += [f"  {sign} {_shown(f)}" for sign, part in (("-", change.gone), ("+", change.came)) for f in part]
    for where, names in (("old", found.only_old), ("new", found.only_new)):
        lines += [f"{name}: only in the {where} file" for name in names]
    moves = Counter((c.old["verdict"], c.new["verdict"]) for c in found.changes if c.old["verdict"] != c.new["verdict"])
    total = found.same + len(found.changes)
    counted = "".join(f", {count:,} {old} -> {new}" for (old, new), count in sorted(moves.items()))
    lines.append(f"{len(found.changes):,} of {total:,} reports differ{counted}")
    return "".join(code_line(line, 300) + "\n" for line in lines)


def as_json(found: Comparison) -> str:
    """For programs: the same, with whole findings."""
    changes = [
        {
            "target": change.new["target"],
            "verdict": [change.old["verdict"], change.new["verdict"]],
            "class": [change.old["class"], change.new["class"]],
            "head": [change.old["target"].get("head"), change.new["target"].get("head")],
            "came": change.came,
            "gone": change.gone,
        }
        for change in found.changes
    ]
    data = {
        "schema": "pgolf.diff/1",
        "changes": changes,
        "only_old": found.only_old,
        "only_new": found.only_new,
        "same": found.same,
    }
    return json.dumps(data, indent=2) + "\n"


def _report(line: bytes, place: str) -> dict[str, Any]:
    try:
        report = json.loads(line)
    except (ValueError, RecursionError):
        raise PgolfError(f"{place} is no JSON object; pgolf sweep writes one report a line") from None
    if not isinstance(report, dict) or report.get("schema") != SCHEMA_ID or not _has(report, _WHOLE):
        raise PgolfError(f"{place} is no report of the schema {SCHEMA_ID}; pgolf sweep writes one a line")
    if not all(isinstance(finding, dict) and _has(finding, _FINDING) for finding in report["findings"]):
        raise PgolfError(f"{place} holds a finding that is not of the schema {SCHEMA_ID}")
    return report


def _has(data: Mapping[str, Any], fields: Mapping[str, type]) -> bool:
    return all(isinstance(data.get(name), kind) for name, kind in fields.items())


def _name(target: Mapping[str, Any]) -> str:
    return str(target.get("path")) if target.get("pr") is None else f"{target.get('repo')}#{target['pr']}"


def _outcome(report: Mapping[str, Any]) -> str:
    return f"{report['verdict']} ({report['class']})"


def _findings(report: Mapping[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    """Findings by what makes one the same as another."""
    return {(f["rule"], f["fingerprint"], f["level"], f["activation"]): f for f in report["findings"]}


def _new_head(change: Change) -> str:
    return "" if change.old["target"].get("head") == change.new["target"].get("head") else ", new head"


def _shown(finding: Mapping[str, Any]) -> str:
    where = f"{finding['file'].rpartition('/')[2]}:{finding['line']}"
    return f"{finding['level']} {finding['rule']} [{finding['activation']}] {where}: {finding['message']}"
