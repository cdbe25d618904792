"""What the logs say of the code that ran: a message printed only in one place proves that the place was reached."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from auditor.timeline.events import Skipped

MIN_PREFIX = 6


def executed(tree: ast.Module, skipped: Sequence[Skipped], log_lines: Iterable[str]) -> list[Skipped]:
    """Skipped blocks of which a message stands in the logs, that no other code prints."""
    if not skipped:
        return []
    prefixes = _messages(tree)
    lines = [line.strip() for line in log_lines]
    functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    found = []
    for block in skipped:
        own = {text for text, line in prefixes if block.line <= line <= block.end_line}
        for name in _called(tree, block):
            target = functions.get(name)
            if target is not None:
                own |= {t for t, line in prefixes if target.lineno <= line <= (target.end_lineno or 0)}
        elsewhere = {text for text, line in prefixes if text in own and not _inside(line, block, tree, functions)}
        proof = own - elsewhere
        if any(line.startswith(text) for text in proof for line in lines):
            found.append(block)
    return found


def _inside(line: int, block: Skipped, tree: ast.Module, functions: dict[str, ast.FunctionDef]) -> bool:
    if block.line <= line <= block.end_line:
        return True
    for name in _called(tree, block):
        target = functions.get(name)
        if target is not None and target.lineno <= line <= (target.end_lineno or 0):
            return _calls_outside(tree, name, block) == 0
    return False


def _calls_outside(tree: ast.Module, name: str, block: Skipped) -> int:
    return sum(
        1
        for n in ast.walk(tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == name and not block.line <= n.lineno <= block.end_line
    )


def _called(tree: ast.Module, block: Skipped) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and block.line <= node.lineno <= block.end_line:
            names.append(node.func.id)
    return names


def _messages(tree: ast.Module) -> list[tuple[str, int]]:
    """The fixed text that each message of the script begins with, and its line."""
    out = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        first = node.args[0]
        text = ""
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            text = first.value
        elif isinstance(first, ast.JoinedStr) and first.values and isinstance(first.values[0], ast.Constant):
            text = str(first.values[0].value)
        text = text.strip()
        if len(text) >= MIN_PREFIX and not text.startswith(("--", "{", "_")):
            out.append((text.splitlines()[0], node.lineno))
    return out
