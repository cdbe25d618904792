"""Leave out a mixture: the network's own probability is scored where something is blended into it.

PR 779 and issue 1017, conditions C1 and C2: what is scored must be a distribution over the vocabulary, fixed before the
token is looked at. A table whose keys hold the scored token says nothing of the other tokens: no row over the
vocabulary, and no hint to tilt towards, can be had of it by a rewrite. What is left is the score without it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from auditor.fix.edit import Edit
from auditor.fix.removal import only_in
from auditor.fix.scope import blocks, bound, read, spans
from auditor.fix.script import Script, last_name
from auditor.verdict import Finding


def without_mixture(script: Script, finding: Finding) -> Iterator[Edit]:
    """Each part of each blend on the path of a finding, alone; then the line without which there is no blend."""
    places = script.path_lines(finding)
    for block in blocks(script.tree):
        for statement in block:
            if not any(spans(statement, place) for place in places) or not isinstance(
                statement, ast.Assign | ast.AugAssign | ast.Expr | ast.Return
            ):
                continue
            targets = {ast.unparse(target) for target in getattr(statement, "targets", [])}
            for node in ast.walk(statement):
                parts = _parts(node)
                # `kept = minimum(kept, x)` keeps what came before, not the network's own; within a larger sum
                # nothing is known of what the target stands for.
                itself = bool(targets & set(map(ast.unparse, parts)))
                if itself and not (isinstance(node, ast.BinOp) and node is getattr(statement, "value", None)):
                    continue
                for kept in parts:
                    text = ast.unparse(kept)
                    if text not in targets:
                        what = f"score with `{text}` alone at line {statement.lineno}"
                        yield Edit(what, replace={script.span(node): text})  # type: ignore[arg-type]
                    else:
                        gone = only_in(script, block, statement)
                        yield Edit(f"leave out the mixture at line {statement.lineno}", remove=(script.begin(gone),))
            again = isinstance(statement, ast.Assign) and bound([statement]) & read([statement.value])
            if again and spans(statement, finding.line):
                yield Edit(f"leave out the change at line {statement.lineno}", remove=(script.begin(statement),))


def _parts(node: ast.AST) -> list[ast.expr]:
    """What is blended: `p` and `q` in `(1 - a) * p + a * q`, or the arguments of a function that mixes."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = [
            side for side in (node.left, node.right) if isinstance(side, ast.BinOp) and isinstance(side.op, ast.Mult)
        ]
        if len(sides) == 2:
            return _unweighted(*sides)
    if isinstance(node, ast.Call) and last_name(node.func) in ("logaddexp", "minimum", "maximum", "where", "lerp"):
        return [part for part in node.args if isinstance(part, ast.Name | ast.Subscript | ast.Call | ast.Attribute)]
    return []


def _unweighted(one: ast.BinOp, other: ast.BinOp) -> list[ast.expr]:
    """The two parts of a weighted sum, that of weight `1 - a` first; none where the weights are not plain to see."""
    for first, second in ((one, other), (other, one)):
        for rest, part in ((first.left, first.right), (first.right, first.left)):
            if isinstance(rest, ast.BinOp) and isinstance(rest.op, ast.Sub) and _is_one(rest.left):
                weight = ast.unparse(rest.right)
                others = [side for side in (second.left, second.right) if ast.unparse(side) != weight]
                return [part, *others] if len(others) == 1 else [part]
    numbers = [
        [side for side in (term.left, term.right) if not isinstance(side, ast.Constant)] for term in (one, other)
    ]
    return [*numbers[0], *numbers[1]] if [len(each) for each in numbers] == [1, 1] else []


def _is_one(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 1
