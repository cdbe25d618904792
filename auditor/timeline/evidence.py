"""What the logs say of the code that ran.

A message that only one place prints proves that the place was reached; a message that a place must print, and that a
complete log lacks, proves that it was not.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from auditor.timeline.events import ReportEvent, Skipped

MIN_PREFIX = 6
CLAIM_SPREAD = 0.006
"""A claimed mean over seeds may lie this far from the number in one log."""
_NUMBER = re.compile(r"(?<![\w.])[0-4]\.\d{3,}")


@dataclass(frozen=True)
class Message:
    """The fixed text that a message begins with, where it is printed, and whether its function must print it."""

    text: str
    line: int
    certain: bool


@dataclass
class Messages:
    """All messages of a script and who calls whom, collected in one walk."""

    tree: ast.Module
    log: frozenset[str] = field(default_factory=frozenset)
    """Lines of the log, stripped."""

    def __post_init__(self) -> None:
        self.all: list[Message] = []
        self.calls: list[tuple[str, int]] = []
        self.functions: dict[str, ast.FunctionDef] = {}
        self._visit(self.tree, True)

    def _visit(self, node: ast.AST, certain: bool) -> None:
        todo: list[tuple[ast.AST, bool]] = [(node, certain)]
        while todo:
            current, sure = todo.pop()
            if isinstance(current, ast.FunctionDef):
                self.functions.setdefault(current.name, current)
                sure = True
            elif isinstance(current, ast.Call):
                self._call(current, sure)
            inner = sure and not isinstance(current, ast.For | ast.While | ast.Try | ast.IfExp | ast.Lambda)
            for child in ast.iter_child_nodes(current):
                if isinstance(current, ast.If) and child is not current.test:
                    todo.append((child, False))
                else:
                    todo.append((child, inner))

    def _call(self, node: ast.Call, certain: bool) -> None:
        if isinstance(node.func, ast.Name):
            self.calls.append((node.func.id, node.lineno))
        if not node.args:
            return
        first = node.args[0]
        text = ""
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            text = first.value
        elif isinstance(first, ast.JoinedStr) and first.values and isinstance(first.values[0], ast.Constant):
            text = str(first.values[0].value)
        lines = text.strip().splitlines()
        if lines and len(lines[0]) >= MIN_PREFIX and not lines[0].startswith(("--", "{", "_")):
            self.all.append(Message(lines[0], node.lineno, certain))

    @cached_property
    def logged(self) -> frozenset[str]:
        """Texts of messages that stand in the log."""
        return frozenset(m.text for m in self.all if any(line.startswith(m.text) for line in self.log))

    def spans(self, block: Skipped) -> list[tuple[int, int]]:
        """The block, and the functions that are called from it alone."""
        out = [(block.line, block.end_line)]
        for name in {name for name, line in self.calls if block.line <= line <= block.end_line}:
            target = self.functions.get(name)
            if target is not None and all(block.line <= line <= block.end_line for n, line in self.calls if n == name):
                out.append((target.lineno, target.end_lineno or target.lineno))
        return out

    def own(self, block: Skipped) -> list[Message]:
        """Messages that only this block prints."""
        spans = self.spans(block)
        inside = [m for m in self.all if any(low <= m.line <= high for low, high in spans)]
        outside = {m.text for m in self.all if not any(low <= m.line <= high for low, high in spans)}
        return [m for m in inside if m.text not in outside]


def executed(messages: Messages, skipped: Sequence[Skipped]) -> list[Skipped]:
    """Blocks that the configuration skips and the log shows."""
    return [block for block in skipped if any(m.text in messages.logged for m in messages.own(block))]


def claimed_report(messages: Messages, reports: Sequence[ReportEvent], claim: float) -> int:
    """Line of the report that printed the claimed number; 0 when the last report did, or when the log does not tell."""
    by_line = {m.line: m.text for m in messages.all if m.text in messages.logged}
    distances: dict[int, float] = {}
    for report in reports:
        text = by_line.get(report.place.line)
        if text is None or not report.bits:
            continue
        numbers = [
            float(n) for line in messages.log if line.startswith(text) for n in _NUMBER.findall(line[len(text) - 1 :])
        ]
        if numbers:
            distances[report.place.line] = min(abs(n - claim) for n in numbers)
    if not distances or not reports:
        return 0
    final = max((r for r in reports if r.bits), key=lambda r: r.order).place.line
    never_printed = final not in by_line and any(m.line == final for m in messages.all)
    best = min(distances, key=lambda line: (distances[line], -line))
    if distances[best] > CLAIM_SPREAD or distances.get(final, 0.0 if not never_printed else 9.0) <= CLAIM_SPREAD:
        return 0
    return best


def not_executed(messages: Messages, taken: Sequence[Skipped], report_lines: Sequence[int]) -> list[Skipped]:
    """Blocks that the configuration runs and the log lacks, although it holds one of the final reports."""
    logged_lines = {m.line for m in messages.all if m.text in messages.logged}
    if not logged_lines & set(report_lines):
        return []
    missing = []
    for block in taken:
        must = [m for m in messages.own(block) if _unconditional(messages, m, block)]
        if must and not any(m.text in messages.logged for m in messages.own(block)):
            missing.append(block)
    return missing


def _unconditional(messages: Messages, message: Message, block: Skipped) -> bool:
    """A message that is printed whenever the block runs: directly in it, or in a function that it calls."""
    if block.line <= message.line <= block.end_line:
        return message.line in _direct_lines(messages.tree, block)
    return message.certain


def _direct_lines(tree: ast.Module, block: Skipped) -> set[int]:
    """Lines of the block that lie under no further branch or loop."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and node.lineno == block.branch_line:
            body = node.body if block.branch else node.orelse
            return {n.lineno for s in body if isinstance(s, ast.Expr) for n in ast.walk(s) if isinstance(n, ast.Call)}
    return set()
