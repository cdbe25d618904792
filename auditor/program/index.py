"""Which lines of a script can lead to an update of state: a cheap, syntactic over-approximation."""

from __future__ import annotations

import ast

UPDATING = frozenset({"backward", "grad", "at", "scatter_add_", "index_add_", "bincount", "register_forward_hook"})
"""Library methods without which no state is updated from data (tables by subscript apart)."""


class CallIndex:
    """Calls by line, functions by name, branches: collected in one walk over the tree."""

    def __init__(self, tree: ast.Module) -> None:
        self.calls: list[tuple[int, str, bool]] = []
        self.functions: dict[str, list[tuple[int, int]]] = {}
        self.branches: list[ast.If] = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Attribute):
                    self.calls.append((node.lineno, node.func.attr, True))
                elif isinstance(node.func, ast.Name):
                    self.calls.append((node.lineno, node.func.id, False))
            elif isinstance(node, ast.FunctionDef):
                self.functions.setdefault(node.name, []).append((node.lineno, node.end_lineno or node.lineno))
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Subscript):
                self.calls.append((node.lineno, "at", True))
            elif isinstance(node, ast.If):
                self.branches.append(node)
        self._updating = self._functions_that_update()

    def _functions_that_update(self) -> set[str]:
        found: set[str] = set()
        changed = True
        while changed:
            changed = False
            for name, spans in self.functions.items():
                if name not in found and any(self._direct(low, high, found) for low, high in spans):
                    found.add(name)
                    changed = True
        return found

    def _direct(self, low: int, high: int, updating: set[str]) -> bool:
        return any(
            low <= line <= high and (name in updating or (is_method and name in UPDATING))
            for line, name, is_method in self.calls
        )

    def updates(self, low: int, high: int) -> bool:
        """Whether lines `low` to `high` call anything that may update state, also through functions."""
        return self._direct(low, high, self._updating)

    def switches(self) -> frozenset[int]:
        """Lines of the branches that decide whether state may be updated."""
        out = set()
        for node in self.branches:
            for body in (node.body, node.orelse):
                if body and self.updates(body[0].lineno, body[-1].end_lineno or body[-1].lineno):
                    out.add(node.lineno)
        return frozenset(out)
