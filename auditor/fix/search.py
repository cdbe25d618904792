"""From a flagged report to a change that is known to help: proposals, each audited, until one is clean."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from auditor.engine import Rule, audit
from auditor.fix.edit import Edit, apply
from auditor.fix.repairs import proposals
from auditor.fix.scope import unresolved
from auditor.fix.script import Script
from auditor.submission.model import Submission
from auditor.verdict import Claims, Finding, Level, Report

_ROUNDS = 4
"""Flags that are repaired one after the other."""
_AUDITS = 24
"""Proposals that are tried in all."""
_MASKABLE = ("bos-boundary-leak",)
"""Warnings for which there is a repair."""
_BARE = ("pure-neural",)
"""Classes of scripts in which nothing is adapted, counted or fitted while they score."""


@dataclass(frozen=True)
class Repair:
    """A change to the committed script, or to a module beside it."""

    files: Mapping[str, str]
    """What is changed, by path from the root of the repository: the whole file with the change."""
    diff: str
    """The change as a unified diff, with paths from the root of the repository."""
    steps: tuple[str, ...]
    """What was done, in words."""
    cls: str
    """What the changed script is, by the audit: `score-first-ttt`, `pure-neural`, ..."""


def repair(
    submission: Submission,
    report: Report,
    rules: Sequence[Rule],
    env: Mapping[str, str] | None = None,
    *,
    warnings: bool = False,
) -> Repair | None:
    """A change after which the script parses, has no new undefined name, and audits clean under the same settings.

    None where none was found: the script is packed, is not flagged, or nothing small enough helps. With `warnings`, for
    a script that is clean but for a gate that is not masked where documents begin: a change without that warning.
    """
    wanted: Level = "flag" if report.verdict == "flag" else "warning"
    if report.submission.packing or report.verdict not in ("flag", "clean") or (wanted == "warning" and not warnings):
        return None
    try:
        before = _sources(submission)
        search = _Search(before, [rule for rule in rules if rule.kind != "record"], report, env or {})
    except (UnicodeDecodeError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    # Logs and claims are of the program as it was: they give the settings and nothing else.
    plain = replace(submission, logs=(), claims=Claims())
    state = _State(plain, audit(plain, search.rules, env=search.env))
    if not {f.rule for f in _wanted(report, wanted)} <= {f.rule for f in _wanted(state.report, wanted)}:
        return None  # what is flagged shows in the logs alone: no change of the script can be seen to help
    steps: list[str] = []
    for _ in range(_ROUNDS):
        left = _wanted(state.report, wanted)
        if not left:
            break
        better = search.improved(state, left)
        if better is None:
            return None
        state, what = better
        steps.append(what)
    after = _sources(state.submission)
    changed = {path: text for path, text in after.items() if text != before[path]}
    if state.report.verdict != "clean" or not changed:
        return None
    diff = "".join(_diff(path, before[path], text) for path, text in changed.items())
    return Repair(changed, diff, tuple(steps), state.report.cls)


def _sources(submission: Submission) -> dict[str, str]:
    """The script and the modules beside it, by path."""
    modules = {_path(submission, name): code.decode() for name, code in submission.modules.items()}
    return {submission.script or "": submission.code.decode(), **modules}


def _path(submission: Submission, module: str) -> str:
    return f"{submission.folder}/{module.replace('.', '/')}.py"


def _edited(submission: Submission, path: str, source: str) -> Submission:
    if path == submission.script:
        return replace(submission, code=source.encode())
    modules = {n: source.encode() if _path(submission, n) == path else c for n, c in submission.modules.items()}
    return replace(submission, modules=modules)


@dataclass(frozen=True)
class _State:
    """A program on the way, and what the audit says of it."""

    submission: Submission
    report: Report


class _Search:
    """Tries proposals; what it may spend is for all rounds together."""

    def __init__(
        self, before: Mapping[str, str], rules: Sequence[Rule], report: Report, env: Mapping[str, str]
    ) -> None:
        self.rules = rules
        self.unbound = {path: unresolved(text) for path, text in before.items()}
        run = {name: value.value for name, value in report.submission.config.items() if value.source[:7] != "default"}
        self.env = {**run, **env}
        self.audits = _AUDITS

    def improved(self, state: _State, findings: Sequence[Finding]) -> tuple[_State, str] | None:
        """The first edit after which nothing is left; else the first without its finding, which may uncover another."""
        fewer: tuple[_State, str] | None = None
        tried: set[str] = set()
        level = findings[0].level
        before = _left(state.report, level)
        for finding, path, source, edit in self._edits(state, findings):
            edited = apply(source, edit)
            if edited is None or edited in tried or not _whole(edited, self.unbound[path]):
                continue
            tried.add(edited)
            if not self.audits:
                return fewer
            self.audits -= 1
            submission = _edited(state.submission, path, edited)
            found = _State(submission, audit(submission, self.rules, env=self.env))
            if _new(found.report, state.report) or (edit.keeps and found.report.cls in _BARE):
                continue
            left = _left(found.report, level)
            if found.report.verdict == "clean" and not left:
                return found, edit.what
            gone = (finding.rule, finding.function) not in left and len(left) <= len(before)
            if fewer is None and gone and found.report.verdict == state.report.verdict:
                fewer = found, edit.what
        return fewer

    def _edits(self, state: _State, findings: Sequence[Finding]) -> Iterator[tuple[Finding, str, str, Edit]]:
        """Proposals for the file that a finding is in, then for the script that leads there."""
        sources = _sources(state.submission)
        main = state.submission.script or ""
        for finding in findings:
            for path in dict.fromkeys((finding.file, main)):
                if path in sources:
                    script = Script(sources[path], ast.parse(sources[path]), path, main)
                    for edit in proposals(script, finding):
                        yield finding, path, sources[path], edit


def _wanted(report: Report, level: Level) -> list[Finding]:
    """What a repair is to take away: flags, or those warnings for which there is a repair."""
    return [f for f in report.findings if f.level == level and (level == "flag" or f.rule in _MASKABLE)]


def _left(report: Report, level: Level) -> set[tuple[str, str | None]]:
    """Which rules speak of which functions; one that holds counts as much as a flag."""
    holds = [f for f in report.findings if f.level == "hold"]
    return {(f.rule, f.function) for f in (*_wanted(report, level), *holds)}


def _whole(source: str, unbound: set[str]) -> bool:
    """Whether it parses, and reads no name that it has ceased to bind."""
    try:
        return unresolved(source) <= unbound
    except (SyntaxError, ValueError):
        return False


def _new(now: Report, before: Report) -> bool:
    """Whether a rule warns or holds that did not before, such as one on how the score comes about."""
    return not {f.rule for f in _doubts(now)} <= {f.rule for f in before.findings if f.level != "note"}


def _doubts(report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.level in ("hold", "warning")]


def _diff(path: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
