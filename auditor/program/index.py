"""Which lines of a script can lead to an update of state: a cheap, textual over-approximation.

Statements are walked, expressions are not: calls are found by their text, so names in comments count too.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence

_UPDATING = re.compile(
    r"\.(?:backward|grad|at|scatter_add_|index_add_|bincount)\s*\(|\.get\([^\n]{1,40}, ?0\) ?\+ ?1\b"
)
"""Library methods without which no weights and no arrays of counts are updated from data; and counting in a `dict`."""
_CALL = re.compile(r"\b([^\W\d]\w*+)\s*+\(")
_DEFINED = re.compile(r"def\s+")


_DEFINITIONS = frozenset({ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef})
_WITHS = frozenset({ast.With, ast.AsyncWith})
_BRANCHING = frozenset({ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.TryStar, ast.Match})
_COMPOUND = _DEFINITIONS | _WITHS | _BRANCHING


def statements(body: list[ast.stmt], certain: bool = True) -> Iterator[tuple[ast.stmt, bool]]:
    """Every statement, and whether it runs whenever its function does."""
    todo = [(statement, certain) for statement in reversed(body)]
    while todo:
        statement, sure = todo.pop()
        yield statement, sure
        kind = type(statement)
        if kind not in _COMPOUND:
            continue
        inner = kind in _DEFINITIONS or (sure and kind in _WITHS)
        for name in ("finalbody", "orelse", "handlers", "body", "cases"):
            for child in reversed(getattr(statement, name, ())):
                if isinstance(child, ast.stmt):
                    todo.append((child, inner))
                else:  # an exception handler or a case
                    todo.extend((part, False) for part in reversed(child.body))


def mentions(expression: ast.expr) -> set[str]:
    """Names, attributes and texts in an expression."""
    found = set()
    for part in ast.walk(expression):
        if isinstance(part, ast.Name):
            found.add(part.id)
        elif isinstance(part, ast.Attribute):
            found.add(part.attr)
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            found.add(part.value)
    return found


def texts(tree: ast.Module) -> Iterator[str]:
    """All string constants of a program."""
    return (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


class CallIndex:
    """Functions, branches, and the lines that call them, of one script."""

    def __init__(self, tree: ast.Module, text: str) -> None:
        self.statements = list(statements(tree.body))
        """Every statement, and whether it runs whenever its function does."""
        self.branches: list[ast.If] = []
        self.said: list[tuple[ast.Call, bool]] = []
        """Calls that are statements and are given something, and whether they run whenever their function does."""
        self._around: dict[int, tuple[int, int] | None] = {}
        """The innermost function around a line, by that line."""
        self._classes: list[tuple[int, int]] = []
        self._assigned: dict[str, list[ast.expr]] = {}
        self.functions: dict[str, list[tuple[int, int]]] = {}
        for statement, certain in self.statements:
            if isinstance(statement, ast.Expr):
                if isinstance(statement.value, ast.Call) and statement.value.args:
                    self.said.append((statement.value, certain))
            elif isinstance(statement, ast.FunctionDef):
                span = (statement.lineno, statement.end_lineno or statement.lineno)
                self.functions.setdefault(statement.name, []).append(span)
            elif isinstance(statement, ast.ClassDef):
                self._classes.append((statement.lineno, statement.end_lineno or statement.lineno))
            elif isinstance(statement, ast.If):
                self.branches.append(statement)
            elif isinstance(statement, ast.Assign):
                self._note_assigned(statement.targets[0], statement.value)
            elif isinstance(statement, ast.AnnAssign | ast.Return) and statement.value is not None:
                self._note_assigned(getattr(statement, "target", None), statement.value)
        self._spans = [span for spans in self.functions.values() for span in spans]
        self._guards = [(node, node.end_lineno or node.lineno, _leaves(node)) for node in self.branches]
        starts = [m.end() for m in re.finditer("\n", text)]
        updating = [bisect_right(starts, m.start()) + 1 for m in _UPDATING.finditer(text)]
        self.calls: list[tuple[int, str]] = []
        """(line, name) of each call of a function of the script, by line."""
        if self.functions:
            defined = {m.end() for m in _DEFINED.finditer(text)}
            for m in _CALL.finditer(text):
                name = m.group(1)
                if name in self.functions and m.start() not in defined:
                    self.calls.append((bisect_right(starts, m.start()) + 1, name))
        self._lines = [line for line, _ in self.calls]
        self._callees = {
            name: set().union(*(self.called(*span) for span in spans)) for name, spans in self.functions.items()
        }
        self._leading = self._lines_to(updating)
        """Lines that update state or call what does."""

    def _note_assigned(self, target: ast.expr | None, value: ast.expr) -> None:
        name = target.id if isinstance(target, ast.Name) else target.attr if isinstance(target, ast.Attribute) else None
        if name is not None:
            self._assigned.setdefault(name, []).append(value)
        for keyword in value.keywords if isinstance(value, ast.Call) else ():
            if keyword.arg is not None:
                self._assigned.setdefault(keyword.arg, []).append(keyword.value)

    def guards(self, lines: Sequence[int]) -> Iterator[ast.If]:
        """Branches that decide whether any of these lines is reached: around it, or leaving its function before it."""
        for node, end, leaves in self._guards:
            for line in lines:
                if node.lineno < line <= end or (leaves and end < line and self.same_function(node.lineno, line)):
                    yield node
                    break

    def same_function(self, first: int, second: int) -> bool:
        """Whether a line lies in the innermost function around another, or in one inside of it."""
        if first not in self._around:
            self._around[first] = max((span for span in self._spans if span[0] <= first <= span[1]), default=None)
        around = self._around[first]
        return around is not None and around[0] <= second <= around[1]

    def settings(self, test: ast.expr) -> set[str]:
        """What a test may depend on: names and texts in it, and in what its variables are assigned from."""
        found = mentions(test)
        for name in tuple(found):
            for value in self._assigned.get(name, ()):
                found |= mentions(value)
        return found

    def called(self, low: int, high: int) -> set[str]:
        """Functions of the script that lines `low` to `high` call."""
        return {name for _, name in self.calls[bisect_left(self._lines, low) : bisect_right(self._lines, high)]}

    def _lines_to(self, lines: Sequence[int]) -> list[int]:
        """The ascending `lines`, and those that call a function which leads to one of them."""
        found = {name for name, spans in self.functions.items() if any(_any_between(lines, *span) for span in spans)}
        changed = True
        while changed:
            more = {name for name, used in self._callees.items() if name not in found and used & found}
            found |= more
            changed = bool(more)
        return sorted({*lines, *(line for line, name in self.calls if name in found)})

    def updates(self, low: int, high: int) -> bool:
        """Whether lines `low` to `high` call anything that may update state, also through functions."""
        return _any_between(self._leading, low, high)

    def loops_apart(self, explored: Collection[int], hidden: Collection[tuple[int, int]]) -> frozenset[int]:
        """Lines of loops that lead to none of the `explored` lines, and to which the `hidden` code does not lead.

        Loops in methods are none of them: who calls a method is not seen here.
        """
        reached = {name for span in hidden for name in self.called(*span)}
        todo = [*reached]
        while todo:
            more = self._callees[todo.pop()] - reached
            reached |= more
            todo += more
        within = [*hidden, *self._classes, *(span for name in reached for span in self.functions[name])]
        lines = self._lines_to(sorted(explored))
        return frozenset(
            node.lineno
            for node, _ in self.statements
            if isinstance(node, ast.For | ast.While)
            and not any(low <= node.lineno <= high for low, high in within)
            and not _any_between(lines, node.lineno, node.end_lineno or node.lineno)
        )

    def switches(self) -> frozenset[int]:
        """Lines of the branches that decide whether state may be updated."""
        out = set()
        for node in self.branches:
            for body in (node.body, node.orelse):
                if body and self.updates(body[0].lineno, body[-1].end_lineno or body[-1].lineno):
                    out.add(node.lineno)
        return frozenset(out)


def _leaves(node: ast.If) -> bool:
    """Whether control does not get past a branch where its test holds; the run got past a `raise`."""
    return isinstance(node.body[-1], ast.Return | ast.Continue | ast.Break)


def _any_between(lines: Sequence[int], low: int, high: int) -> bool:
    """Whether any of the ascending `lines` lies from `low` to `high`."""
    at = bisect_left(lines, low)
    return at < len(lines) and lines[at] <= high
