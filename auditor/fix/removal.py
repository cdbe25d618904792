"""Statements that can go: nothing that stays needs what they bind."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from auditor.fix.edit import Edit
from auditor.fix.scope import Block, bound, read, written
from auditor.fix.script import Script, is_bookkeeping


def removals(script: Script, block: Block, statement: ast.stmt, what: str) -> Iterator[Edit]:
    """One statement whose names nothing needs afterwards, with the `if` around it when nothing else is done there."""
    for gone in (only_in(script, block, statement), statement):
        if unread(script, gone):
            yield Edit(what, remove=(script.begin(gone),))
            return


def only_in(script: Script, block: Block, statement: ast.stmt) -> ast.stmt:
    """The `if` that is there for this statement alone, else the statement itself."""
    for node in ast.walk(script.tree):
        if isinstance(node, ast.If) and node.body is block:
            rest = [each for each in block if each is not statement]
            announced = bound([statement]) & read(rest)  # a score that is printed is no adaptation
            return statement if node.orelse or announced or not all(map(is_bookkeeping, rest)) else node
    return statement


def unread(script: Script, statement: ast.stmt) -> bool:
    """Whether no name that the statement binds is read after it in the function around it, unless bound anew there.

    That goes for what is written into lists, arrays and tables as well; parameters are written by optimisers.
    """
    return not read_after(script.around(statement), statement, bound([statement]) | written([statement]))


def read_after(around: ast.AST, statement: ast.stmt, names: set[str]) -> bool:
    """Whether one of the names is read after a statement before it is bound anew."""
    left = set(names)
    last = statement.end_lineno or statement.lineno
    after = [n for n in ast.walk(around) if isinstance(n, ast.Name) and n.id in left and n.lineno > last]
    for name in sorted(after, key=lambda n: (n.lineno, isinstance(n.ctx, ast.Store), n.col_offset)):
        if isinstance(name.ctx, ast.Load) and name.id in left:
            return True
        left.discard(name.id)
    return False
