"""What every format shows of a report: order, quotation, reasons. Raw text; nothing is escaped here."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass

from auditor.verdict import LEVELS, Activation, ConfigValue, Finding, Report

UNPACKED = "!unpacked"
CONDITIONS = {
    "C1": "causality",
    "C2": "normalisation",
    "C3": "score before update",
    "C4": "single pass",
}
ACTIVATION: dict[Activation, str] = {
    "default": "on by the script's defaults",
    "run": "on in the reported run",
    "off": "present, not reached in the reported run",
    "unknown": "activation not established",
}
NOT_A_SUBMISSION = "not-a-submission"


@dataclass(frozen=True)
class Quote:
    """Some lines of the script; `marked` are the ones that the finding is about."""

    first: int
    lines: tuple[str, ...]
    marked: range


def worst_first(findings: tuple[Finding, ...]) -> list[Finding]:
    """Findings by level, then place."""
    return sorted(findings, key=lambda f: (LEVELS.index(f.level), f.file, f.line, f.rule))


def fingerprints(report: Report) -> tuple[str, ...]:
    """One distinct fingerprint a finding, in the order of `report.findings`.

    Equal fingerprints are numbered by place in the file (`-2`, `-3`), so that the same set of findings
    gets the same set of fingerprints in whatever order they were found.
    """
    names = [""] * len(report.findings)
    seen: Counter[str] = Counter()
    place = sorted(enumerate(report.findings), key=lambda item: (item[1].file, item[1].line, item[1].end_line or 0))
    for index, finding in place:
        name = finding.fingerprint
        seen[name] += 1
        names[index] = name if seen[name] == 1 else f"{name}-{seen[name]}"
    return tuple(names)


def quote(report: Report, finding: Finding, context: int = 2, limit: int = 12) -> Quote | None:
    """The lines of the finding with `context` lines around them; None when they are not in the audited text."""
    script = report.submission.script
    if script is None or finding.file.removesuffix(UNPACKED) != script:
        return None
    total = len(report.source_lines)
    if not 1 <= finding.line <= total:
        return None
    end = min(max(finding.end_line or finding.line, finding.line), finding.line + limit - 1, total)
    first = max(1, finding.line - context)
    return Quote(first, report.source_lines[first - 1 : min(total, end + context)], range(finding.line, end + 1))


def reason(report: Report) -> str:
    """Why a report is undecided or unreadable, in one sentence."""
    holds = [f.message for f in worst_first(report.findings) if f.level == "hold"]
    others = [f.message for f in worst_first(report.findings)]
    return next(iter([*holds, *others, report.submission.chosen_because or ""]), "") or "no reason was recorded"


def is_submission(report: Report) -> bool:
    """False for a target that holds nothing to judge."""
    return report.cls != NOT_A_SUBMISSION


def name_of(report: Report) -> str:
    """What the user asked for: `PR 715`, or a path."""
    target = report.target
    if target.pr is not None:
        return f"PR {target.pr}"
    return target.path or report.submission.script or "submission"


def repeat_command(report: Report) -> tuple[str, str]:
    """The command that gives this report again: the fixed part, and the (foreign) argument."""
    target = report.target
    return "pgolf audit", str(target.pr) if target.pr is not None else shlex.quote(target.path or ".")


def positive(report: Report) -> Finding | None:
    """The finding that describes the legal pattern which the submission follows."""
    return next((f for f in report.findings if f.rule == report.cls and f.level == "note"), None)


def telling_config(report: Report, limit: int = 12) -> list[tuple[str, ConfigValue]]:
    """Settings that bear on the findings: switches that the run set near them, those that a finding names, the rest.

    Where there are none, settings that something other than the script decided. This chooses what is shown
    and decides nothing, so names may be compared loosely (`args.ttt_lr` and `TTT_LR`).
    """
    config = sorted(report.submission.config.items())
    said, near = _words(_texts(report)), _words(_surroundings(report))
    shown = {name: setting for name, setting in config if name.upper() in said | near and _switched(setting)}
    for words in (said, near):
        shown |= {name: setting for name, setting in config if name.upper() in words and name not in shown}
    if not shown:
        shown = {name: setting for name, setting in config if not setting.source.startswith("default")}
    return list(shown.items())[:limit]


def _switched(setting: ConfigValue) -> bool:
    """Whether the run, not the script, turned something on or off."""
    return setting.value in ("0", "1") and not setting.source.startswith("default")


def _words(texts: list[str]) -> set[str]:
    return {word.upper() for text in texts for word in re.findall(r"\w+", text[:500])}


def _texts(report: Report) -> list[str]:
    """What the findings say."""
    texts = []
    for finding in report.findings:
        texts.append(finding.message)
        for evidence in finding.evidence:
            texts.extend(evidence.assumptions)
            texts.extend(part for step in evidence.path for part in (step.text, step.note))
    return texts


def _surroundings(report: Report, near: int = 15) -> list[str]:
    """The functions that the findings lie in, the lines before each step, and the tests before each call of them."""
    lines = report.source_lines
    numbers: set[int] = set()
    called = {finding.function for finding in report.findings if finding.function} - {"<module>"}
    for number, line in enumerate(lines, start=1):
        if any(f"{name}(" in line for name in called):
            before = range(max(1, number - near), number + 1)
            numbers.update(n for n in before if lines[n - 1].lstrip().startswith(("if ", "elif ")))
    for finding in report.findings:
        if quote(report, finding) is None:
            continue
        numbers.update(range(max(finding.function_line or 0, finding.line - 400), finding.line + near))
        steps = [step.line for evidence in finding.evidence for step in evidence.path if step.file is None]
        numbers.update(n for line in steps[:30] for n in range(line - near, line + 1))
    return [lines[n - 1] for n in sorted(numbers) if 1 <= n <= len(lines)]


def bpb(report: Report) -> str:
    """The claimed score for a reader: the number, `pending`, or `not stated`."""
    claims = report.claims
    if claims.val_bpb is not None:
        return f"{claims.val_bpb:.10g}"
    return "pending" if claims.status == "pending" else "not stated"
