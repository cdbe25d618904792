"""From a flagged report to a change that is known to help: proposals, each audited, until one is clean."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from auditor.engine import Rule, audit
from auditor.fix.edit import Edit, apply
from auditor.fix.patterns import proposals
from auditor.fix.scope import unresolved
from auditor.submission.model import Submission
from auditor.verdict import Finding, Report

_ROUNDS = 4
"""Flags that are repaired one after the other."""
_AUDITS = 24
"""Proposals that are tried in all."""


@dataclass(frozen=True)
class Repair:
    """A change to the committed script."""

    path: str
    source: str
    """The script with the change."""
    diff: str
    """The change as a unified diff, with paths from the root of the repository."""
    steps: tuple[str, ...]
    """What was done, in words."""
    cls: str
    """What the changed script is, by the audit: `score-first-ttt`, `pure-neural`, ..."""


def repair(
    submission: Submission, report: Report, rules: Sequence[Rule], env: Mapping[str, str] | None = None
) -> Repair | None:
    """A change after which the script parses, has no new undefined name, and audits clean under the same settings.

    None where none was found: the script is packed, is not flagged, or nothing small enough helps.
    """
    path = submission.script
    if report.verdict != "flag" or report.submission.packing or path is None:
        return None
    try:
        before = submission.code.decode()
        unbound = unresolved(before)
    except (UnicodeDecodeError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    chosen = [rule for rule in rules if rule.kind != "record"]
    # The logs are of the program as it was: they give the settings, and are no evidence of what the changed one does.
    run = {name: value.value for name, value in report.submission.config.items() if value.source[:7] != "default"}
    submission, env = replace(submission, logs=()), {**run, **(env or {})}
    source, current = before, report
    steps: list[str] = []
    left = [_AUDITS]
    for _ in range(_ROUNDS):
        better = _improved(submission, source, current, chosen, env, unbound, left)
        if better is None:
            return None
        source, current, edit = better
        steps.append(edit.what)
        if current.verdict == "clean":
            return Repair(path, source, _diff(path, before, source), tuple(steps), current.cls)
    return None


def _improved(
    submission: Submission,
    source: str,
    report: Report,
    rules: Sequence[Rule],
    env: Mapping[str, str],
    unbound: set[str],
    left: list[int],
) -> tuple[str, Report, Edit] | None:
    """The first edit that makes the script clean; else the first with fewer flags and nothing new."""
    tree = ast.parse(source)
    flags = [finding for finding in report.findings if finding.level == "flag" and finding.file == submission.script]
    fewer: tuple[str, Report, Edit] | None = None
    tried = {source}
    for finding in flags:
        for edit in proposals(source, tree, finding):
            edited = apply(source, edit)
            if edited is None or edited in tried:
                continue
            tried.add(edited)
            if not _whole(edited, unbound):
                continue
            if not left[0]:
                return fewer
            left[0] -= 1
            found = audit(replace(submission, code=edited.encode()), rules, env=env)
            if found.verdict == "clean":
                return edited, found, edit
            if fewer is None and found.verdict == "flag" and _fewer(found.findings, report.findings):
                fewer = edited, found, edit
    return fewer


def _whole(source: str, unbound: set[str]) -> bool:
    """Whether it parses, and reads no name that it has ceased to bind."""
    try:
        return unresolved(source) <= unbound
    except (SyntaxError, ValueError):
        return False


def _fewer(now: Sequence[Finding], before: Sequence[Finding]) -> bool:
    flags, old = ([f.rule for f in findings if f.level in ("flag", "hold")] for findings in (now, before))
    return len(flags) < len(old) and set(flags) <= set(old)


def _diff(path: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
