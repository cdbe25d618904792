"""Score before update: what scores a chunk, and counts the score, moves before what learns from it.

Issue 1017, condition C3; issue 402 and PR 549: a token may be trained on once its score has been counted. The other
order is what `val-token-ttt`, `slot-scored-region` and `cache-before-score` report.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from auditor.fix.edit import Edit
from auditor.fix.scope import Block, Function, blocks, bound, read, spans
from auditor.fix.script import Script
from auditor.verdict import Finding


def score_first(script: Script, finding: Finding) -> Iterator[Edit]:
    """Move what scores a chunk, and counts the score, before what learns from it.

    Statements change places only when neither reads or binds a name that the other binds: the state that both share is
    the model or the cache, which is the point.
    """
    loops = [node for node in ast.walk(script.tree) if isinstance(node, ast.For | ast.While)]
    for block in (block for loop in loops for block in blocks(loop)):
        update = next((i for i, statement in enumerate(block) if spans(statement, finding.line)), len(block))
        for start in range(update + 1, len(block)):
            for stop in range(len(block), start, -1):
                moved = block[start:stop]
                to = next((to for to in range(update + 1) if _commute(block[to:start], moved)), None)
                if to is not None:
                    order = [*block[:to], *moved, *block[to:start], *block[stop:]]
                    what = f"score before the update: move line {moved[0].lineno} before line {block[to].lineno}"
                    yield Edit(what, order=tuple(map(script.begin, order)), keeps=True)


def _commute(one: Block, other: Block) -> bool:
    """Whether two runs of statements may change places, as far as names go; neither may leave the block."""
    if any(map(_leaves, [*one, *other])):
        return False
    return not (bound(one) & (read(other) | bound(other)) or bound(other) & read(one))


def _leaves(node: ast.AST, in_loop: bool = False) -> bool:
    """Whether a statement may end the block or the function around it."""
    if isinstance(node, ast.Return | ast.Raise | ast.Yield | ast.YieldFrom):
        return True
    if isinstance(node, ast.Break | ast.Continue):
        return not in_loop
    if isinstance(node, Function | ast.Lambda):
        return False
    return any(_leaves(child, in_loop or isinstance(node, ast.For | ast.While)) for child in ast.iter_child_nodes(node))
