"""Small rewrites that may make a flagged script legal. Whether one does is for the audit to say, not for them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from auditor.fix.edit import Edit, begin, end
from auditor.fix.scope import Block, Function, blocks, bound, functions, read, spans, written
from auditor.verdict import Finding

_BOOKKEEPING = frozenset(
    ("print", "log", "log0", "info", "synchronize", "barrier", "empty_cache", "collect", "eval", "train", "reset",
     "time", "perf_counter")
)  # fmt: skip
"""Last names of calls that go with what they announce or time."""
_MAX_DEPTH = 3


def proposals(source: str, tree: ast.Module, finding: Finding) -> Iterator[Edit]:
    """Rewrites for one finding, the best first."""
    lines = source.split("\n")
    places = [finding.line, *(s.line for evidence in finding.evidence for s in evidence.path if s.file is None)]
    if {"C3", "C4"} & set(finding.conditions):  # else order is not what is wrong, and the lines are those of the score
        yield from score_first(tree, lines, finding)
        yield from without_adaptation(tree, lines, finding)
    yield from without_mixture(tree, lines, finding, places)


def score_first(tree: ast.Module, lines: Sequence[str], finding: Finding) -> Iterator[Edit]:
    """Move what scores a chunk, and counts the score, before what learns from it.

    Statements change places only when neither reads or binds a name that the other binds: the state that both share is
    the model or the cache, which is the point.
    """
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While)]
    for block in (block for loop in loops for block in blocks(loop)):
        update = next((i for i, statement in enumerate(block) if spans(statement, finding.line)), len(block))
        for start in range(update + 1, len(block)):
            for stop in range(len(block), start, -1):
                moved = block[start:stop]
                to = next((to for to in range(update + 1) if _commute(block[to:start], moved)), None)
                if to is not None:
                    order = [*block[:to], *moved, *block[to:start], *block[stop:]]
                    what = f"score before the update: move line {moved[0].lineno} before line {block[to].lineno}"
                    yield Edit(what, order=tuple(begin(statement, lines) for statement in order))


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


def without_adaptation(tree: ast.Module, lines: Sequence[str], finding: Finding) -> Iterator[Edit]:
    """Leave out the adaptation: the call that starts it, or the loop that it is.

    Callers come before what they call, so that no empty shell of the adaptation stays. What holds a line at which
    something is scored or reported afterwards is left alone: without it there would be no score.
    """
    steps = [step.line for evidence in finding.evidence for step in evidence.path if step.file is None]
    update = steps.index(finding.line) if finding.line in steps else len(steps)
    afterwards = [line for line in steps[update:] if line != finding.line]

    def spared(node: ast.stmt) -> bool:
        return any(spans(node, line) for line in afterwards)

    defined = functions(tree)
    chains: list[list[str]] = [[finding.function or ""]]
    for _ in range(_MAX_DEPTH):
        callers = {f.name for name in chains[-1] for f in _callers(tree, name)}
        chains.append(sorted(callers - {name for chain in chains for name in chain}))
    for name in (name for names in reversed(chains) for name in names):
        if name not in defined or any(map(spared, defined[name])):
            continue
        for block in blocks(tree):
            for statement in block:
                if _is_call_of(statement, name):
                    yield from _removals(tree, lines, block, statement, f"leave out the call of `{name}`")
    inside: Sequence[ast.AST] = defined.get(finding.function or "", []) or [tree]
    for block in (block for function in inside for block in blocks(function)):
        for statement in block:
            compound = isinstance(statement, ast.For | ast.While | ast.If | ast.With)
            if compound and spans(statement, finding.line) and not spared(statement):
                what = f"leave out lines {statement.lineno} to {statement.end_lineno}"
                yield from _removals(tree, lines, block, statement, what)


def _removals(tree: ast.Module, lines: Sequence[str], block: Block, statement: ast.stmt, what: str) -> Iterator[Edit]:
    """One statement whose names nothing needs afterwards, with the `if` around it when nothing else is done there."""
    around = _only_in(tree, block, statement)
    for gone in (around, statement):
        if _unread(tree, gone):
            yield Edit(what, remove=(begin(gone, lines),))
            return


def _only_in(tree: ast.Module, block: Block, statement: ast.stmt) -> ast.stmt:
    """The `if` that is there for this statement alone, else the statement itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and node.body is block:
            rest = [each for each in block if each is not statement]
            announced = bound([statement]) & read(rest)  # a score that is printed is no adaptation
            return statement if node.orelse or announced or not all(map(_is_bookkeeping, rest)) else node
    return statement


def _unread(tree: ast.Module, statement: ast.stmt) -> bool:
    """Whether no name that the statement binds is read after it in the function around it, unless bound anew there.

    That goes for what is written into lists, arrays and tables as well; parameters are written by optimisers.
    """
    around: ast.AST = tree
    for node in ast.walk(tree):
        if isinstance(node, Function) and node is not statement and spans(node, statement.lineno):
            around = node  # ast.walk goes from the outside in
    names = bound([statement]) | written([statement])
    last = statement.end_lineno or statement.lineno
    after = [n for n in ast.walk(around) if isinstance(n, ast.Name) and n.id in names and n.lineno > last]
    for name in sorted(after, key=lambda n: (n.lineno, isinstance(n.ctx, ast.Store), n.col_offset)):
        if isinstance(name.ctx, ast.Load) and name.id in names:
            return False
        names.discard(name.id)
    return True


def without_mixture(tree: ast.Module, lines: Sequence[str], finding: Finding, places: Sequence[int]) -> Iterator[Edit]:
    """Keep the network's own probability where something is blended into it."""
    for block in blocks(tree):
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
                        yield Edit(what, replace={(begin(node, lines), end(node, lines)): text})  # type: ignore[arg-type]
                    else:
                        gone = _only_in(tree, block, statement)
                        yield Edit(f"leave out the mixture at line {statement.lineno}", remove=(begin(gone, lines),))
            again = isinstance(statement, ast.Assign) and bound([statement]) & read([statement.value])
            if again and spans(statement, finding.line):
                yield Edit(f"leave out the change at line {statement.lineno}", remove=(begin(statement, lines),))


def _parts(node: ast.AST) -> list[ast.expr]:
    """What is blended: `p` and `q` in `(1 - a) * p + a * q`, or the arguments of a function that mixes."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = [
            side for side in (node.left, node.right) if isinstance(side, ast.BinOp) and isinstance(side.op, ast.Mult)
        ]
        if len(sides) == 2:
            return _unweighted(*sides)
    if isinstance(node, ast.Call) and _last_name(node.func) in ("logaddexp", "minimum", "maximum", "where", "lerp"):
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


def _callers(tree: ast.Module, name: str) -> list[Function]:
    return [
        function
        for defined in functions(tree).values()
        for function in defined
        if any(isinstance(node, ast.Call) and _last_name(node.func) == name for node in ast.walk(function))
    ]


def _is_call_of(statement: ast.stmt, name: str) -> bool:
    call = statement.value if isinstance(statement, ast.Expr | ast.Assign | ast.AnnAssign) else None
    return isinstance(call, ast.Call) and _last_name(call.func) == name


def _is_bookkeeping(statement: ast.stmt) -> bool:
    """Printing, timing, waiting: what only goes with the thing that is left out."""
    call = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
    return isinstance(call, ast.Call) and _last_name(call.func) in _BOOKKEEPING


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
