"""Leave a branch out: the script runs as it does where the test of an `if` has the other outcome.

For what no rewrite of a few lines makes legal (a cache keyed with the scored token, an offset fitted on the scored
window, bytes mixed with one token's probability: PR 779, PR 1240, PR 1902) while the script has a legal evaluation as
well, behind `else` or before it: that one becomes the score. Where the evaluation stands alone, it goes with the lines
that print it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from auditor.fix.edit import Edit
from auditor.fix.removal import read_after
from auditor.fix.scope import Block, bound, read, spans
from auditor.fix.script import Script, is_bookkeeping, last_name
from auditor.verdict import Finding

_MAX_LINES = 400
"""A branch that is longer holds more than what is flagged."""
_PLAIN = ("bool", "int", "float", "len", "get", "getattr", "getenv", "isinstance")
"""Calls in tests of settings."""
_SHOWN = 60
"""Characters of a test that are shown."""


def other_branch(script: Script, finding: Finding) -> Iterator[Edit]:
    """Each `if` on the way to the finding that tests a setting, with all that test the same; then the evaluations."""
    for node in ways(script, finding):
        same = [each for each in _ifs(script.around(node)) if ast.dump(each.test) == ast.dump(node.test)]
        for gone in ([node], same) if len(same) > 1 else ([node],):
            if _unneeded(script, gone):
                places = " and ".join(str(each.lineno) for each in gone)
                rest = "; what follows `else` is done" if any(each.orelse for each in gone) else ""
                what = f"leave out the branch `if {ast.unparse(node.test)[:_SHOWN]}` at line {places}{rest}"
                yield Edit(what, otherwise=tuple(map(script.begin, gone)))
    for name in script.callers(finding.function):
        for block, statement in script.calls(name):
            reports = _with_reports(script, block, statement)
            if reports is not None:
                what = f"leave out the evaluation at line {statement.lineno} and what prints its score"
                yield Edit(what, remove=tuple(map(script.begin, reports)))


def ways(script: Script, finding: Finding) -> list[ast.If]:
    """Tests of settings on the way to a finding, those in its own function first, the innermost first of all."""
    calls = [call.lineno for name in reversed(script.callers(finding.function)) for _, call in script.calls(name)]
    found: dict[int, ast.If] = {}
    for line in (*script.path_lines(finding), *calls):
        around = [
            node
            for node in _ifs(script.tree)
            if node.body[0].lineno <= line <= (node.body[-1].end_lineno or 0) and _length(node) <= _MAX_LINES
        ]
        for node in sorted(around, key=_length):
            if _is_switch(script, node):
                found.setdefault(node.lineno, node)
    return list(found.values())


def _ifs(around: ast.AST) -> list[ast.If]:
    return [node for node in ast.walk(around) if isinstance(node, ast.If)]


def _length(node: ast.If) -> int:
    return (node.body[-1].end_lineno or 0) - node.lineno


def _is_switch(script: Script, node: ast.If) -> bool:
    """Whether a test looks at nothing that changes from token to token: no call, no name that a loop binds."""
    if any(isinstance(part, ast.Call) and last_name(part.func) not in _PLAIN for part in ast.walk(node.test)):
        return False
    loops = [n for n in ast.walk(script.around(node)) if isinstance(n, ast.For | ast.While)]
    names = {n.id for n in ast.walk(node.test) if isinstance(n, ast.Name)}
    return bool(names) and "__name__" not in names and not names & bound(loops)


def _unneeded(script: Script, gone: list[ast.If]) -> bool:
    """Whether every name that the branches bind is bound without them as well, or not read afterwards.

    Without the branch the script is what it is when the test fails; this leaves out the tests that never do.
    """
    first, last = gone[0], gone[-1]
    around = script.around(first)
    body = [statement for node in gone for statement in node.body]
    names = bound(body) - bound([s for node in gone for s in node.orelse]) - _bound_before(around, first.lineno)
    return not read_after(around, last, names) and not names & read(_between(around, gone))


def _between(around: ast.AST, gone: list[ast.If]) -> list[ast.AST]:
    """Names that stay, from the first branch to the last."""
    low, high = gone[0].lineno, gone[-1].lineno
    return [
        n
        for n in ast.walk(around)
        if isinstance(n, ast.Name) and low < n.lineno < high and not any(spans(node, n.lineno) for node in gone)
    ]


def _bound_before(around: ast.AST, line: int) -> set[str]:
    """Names of a function, or of the module, that have a value at a line."""
    found = {n.arg for n in ast.walk(around) if isinstance(n, ast.arg)}
    for node in ast.walk(around):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.lineno < line:
            found.add(node.id)
    return found


def _with_reports(script: Script, block: Block, statement: ast.stmt) -> list[ast.stmt] | None:
    """An evaluation whose result is only printed, with the lines that print it; None where it serves something else."""
    if not isinstance(statement, ast.Assign):
        return None
    names = bound([statement])
    gone = [statement, *(each for each in block if each.lineno > statement.lineno and read([each]) & names)]
    if not all(map(is_bookkeeping, gone[1:])):
        return None
    return None if read_after(script.around(statement), gone[-1], names) else gone
