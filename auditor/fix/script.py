"""A script as repairs see it: its tree, its lines, and what calls what."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from auditor.fix.edit import Place, begin, end
from auditor.fix.scope import Block, Function, blocks, functions, spans
from auditor.verdict import Finding, Step

_BOOKKEEPING = frozenset(
    ("print", "log", "log0", "info", "synchronize", "barrier", "empty_cache", "collect", "eval", "train", "reset",
     "time", "perf_counter")
)  # fmt: skip
"""Last names of calls that go with what they announce or time."""
_MAX_DEPTH = 3


@dataclass(frozen=True)
class Script:
    """The flagged script, or a module beside it, parsed."""

    source: str
    tree: ast.Module
    path: str
    main: str
    """The path of the script that is run."""

    @cached_property
    def lines(self) -> list[str]:
        """The source by lines."""
        return self.source.split("\n")

    @cached_property
    def functions(self) -> dict[str, list[Function]]:
        """Definitions by name, at any depth."""
        return functions(self.tree)

    def begin(self, node: ast.stmt | ast.expr) -> Place:
        """Where a node begins."""
        return begin(node, self.lines)

    def span(self, node: ast.stmt | ast.expr) -> tuple[Place, Place]:
        """Where a node begins and ends."""
        return begin(node, self.lines), end(node, self.lines)

    def around(self, node: ast.stmt | ast.expr) -> ast.Module | Function:
        """The innermost function that a node lies in, else the module."""
        found: ast.Module | Function = self.tree
        for each in ast.walk(self.tree):
            if isinstance(each, Function) and each is not node and spans(each, node.lineno):
                found = each  # ast.walk goes from the outside in
        return found

    def steps(self, finding: Finding) -> list[int]:
        """Lines of this file on the path of a finding, in the order of the path."""
        return [step.line for e in finding.evidence for step in e.path if self._holds(step)]

    def path_lines(self, finding: Finding) -> list[int]:
        """The same, with the line of the finding first where it is in this file."""
        return [finding.line] * (finding.file == self.path) + self.steps(finding)

    def _holds(self, step: Step) -> bool:
        if step.file is None:
            return self.path == self.main
        return self.path.endswith(f"/{step.file.replace('.', '/')}.py")

    def callers(self, name: str | None) -> list[str]:
        """Names of the functions from which one is reached, the outermost first, itself last."""
        chains = [[name or ""]]
        for _ in range(_MAX_DEPTH):
            above = {f.name for callee in chains[-1] for f in self._callers(callee)}
            chains.append(sorted(above - {known for chain in chains for known in chain}))
        return [known for chain in reversed(chains) for known in chain]

    def calls(self, name: str) -> Iterator[tuple[Block, ast.stmt]]:
        """Statements that are a call of a function, alone or assigned, each in its block."""
        for block in blocks(self.tree):
            for statement in block:
                call = statement.value if isinstance(statement, ast.Expr | ast.Assign | ast.AnnAssign) else None
                if isinstance(call, ast.Call) and last_name(call.func) == name:
                    yield block, statement

    def _callers(self, name: str) -> list[Function]:
        return [
            function
            for defined in self.functions.values()
            for function in defined
            if any(isinstance(node, ast.Call) and last_name(node.func) == name for node in ast.walk(function))
        ]


def last_name(node: ast.expr) -> str:
    """`c` of `a.b.c`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def is_bookkeeping(statement: ast.stmt) -> bool:
    """Printing, timing, waiting: what only goes with the thing that is left out."""
    if isinstance(statement, ast.If):
        return all(map(is_bookkeeping, [*statement.body, *statement.orelse]))
    if isinstance(statement, ast.Pass):
        return True
    call = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
    return isinstance(call, ast.Call) and last_name(call.func) in _BOOKKEEPING
