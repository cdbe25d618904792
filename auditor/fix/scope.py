"""Which names a piece of code reads and binds: what an edit must leave in order."""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterable, Iterator

_WRITES = frozenset(("append", "extend", "insert", "update", "setdefault", "add", "add_", "copy_", "fill_", "mul_"))
Function = ast.FunctionDef | ast.AsyncFunctionDef
Block = list[ast.stmt]


def bound(nodes: Iterable[ast.AST]) -> set[str]:
    """Names that are assigned, deleted, imported or defined."""
    found = set()
    for node in _inside(nodes):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, Function | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found


def read(nodes: Iterable[ast.AST]) -> set[str]:
    """Names whose value is taken; the target of `x += 1` is one."""
    found = set()
    for node in _inside(nodes):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def written(nodes: Iterable[ast.AST]) -> set[str]:
    """Names of what is written into: `x[i] = ...`, `x.append(...)`."""
    found = set()
    for node in _inside(nodes):
        part: ast.expr | None = None
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            part = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _WRITES:
            part = node.func.value
        while isinstance(part, ast.Subscript | ast.Attribute):
            part = part.value
        if isinstance(part, ast.Name):
            found.add(part.id)
    return found


def blocks(node: ast.AST) -> Iterator[Block]:
    """Every list of statements below a node."""
    for part in ast.walk(node):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(part, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                yield block


def functions(tree: ast.Module) -> dict[str, list[Function]]:
    """Definitions by name, at any depth."""
    found: dict[str, list[Function]] = {}
    for node in ast.walk(tree):
        if isinstance(node, Function):
            found.setdefault(node.name, []).append(node)
    return found


def spans(node: ast.stmt, line: int) -> bool:
    """Whether a line lies in a statement."""
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def unresolved(source: str) -> set[str]:
    """Names that are read somewhere and bound nowhere that the read can see."""
    table = symtable.symtable(source, "script", "exec")
    known = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    known |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_namespace()} | set(dir(builtins))
    known |= {"__file__", "__name__"}
    found, todo = set(), [table]
    while todo:
        scope = todo.pop()
        todo += scope.get_children()
        for symbol in scope.get_symbols():
            outside = symbol.is_global() or scope.get_type() == "module"
            if symbol.is_referenced() and outside and symbol.get_name() not in known:
                found.add(symbol.get_name())
    return found


def _inside(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    return (part for node in nodes for part in ast.walk(node))
