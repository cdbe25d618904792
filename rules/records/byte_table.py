"""What a script says of the bytes of a token, read from its text: a space that is counted twice, a fixed ratio.

Names decide nothing: a table is what is filled by subscript, a mark of a leading space is the string U+2581, and a sum
is an addition. What is found is one place in the source.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from math import isclose, log

from auditor.facts import Facts
from auditor.program import fstrings

SPACE = "\u2581"
"""How SentencePiece writes a space."""
PLAUSIBLE = (1.5, 6.0)
"""Bytes per token that a tokenizer of text may have."""


Trees = Mapping[str, ast.Module]
"""The script's tree under the empty name, and those of the modules beside it."""


def trees_of(facts: Facts) -> Trees:
    """What can be parsed of the script, where nobody has done it, and of the modules beside it."""
    tree: ast.AST | None = facts.tree
    if tree is None:
        try:
            tree = fstrings.parse(facts.text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last: nested too deeply to be parsed
            tree = None
    return {**({"": tree} if isinstance(tree, ast.Module) else {}), **facts.modules}


def doubled_space(trees: Trees) -> tuple[str, ast.stmt] | None:
    """Where a table counts the leading space of a token that another table marks, while a sum adds the mark again.

    With the module that holds it; None where any other table leaves the space out.
    """
    doubled: tuple[str, ast.stmt] | None = None
    for name, branch in ((name, node) for name, tree in trees.items() for node in ast.walk(tree)):
        if not (isinstance(branch, ast.If) and _asks_for_space(branch.test)):
            continue
        filled = [each for statement in branch.body for each in ast.walk(statement) if _fills_table(each)]
        if not any(isinstance(each, ast.Assign) and _is_true(each.value) for each in filled):
            continue
        counting = next((each for each in filled if _counts_one_more(each)), None)
        if counting is None:
            return None
        doubled = doubled or (name, counting)  # type: ignore[assignment]
    return doubled if doubled and any(_adds_mark(node) for tree in trees.values() for node in ast.walk(tree)) else None


def fixed_ratio(trees: Trees) -> tuple[str, ast.expr, float] | None:
    """Where a loss is turned into bits and divided by a fixed number of bytes per token: module, place, that number."""
    values = {name: number for each in trees.values() for name, number in _constants(each)}
    for module, node in ((module, node) for module, tree in trees.items() for node in ast.walk(tree)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Mult):
            over, under = _factors(node, values)
            ratios = [value for value in under if PLAUSIBLE[0] < value < PLAUSIBLE[1]]
            ratios += [1 / value for value in over if value and PLAUSIBLE[0] < 1 / value < PLAUSIBLE[1]]
            ratios = [value for value in ratios if not isclose(value, 1 / log(2), rel_tol=1e-3)]
            if ratios and (_has(under, log(2)) or _has(over, 1 / log(2))):
                return module, node, ratios[0]
    return None


def _asks_for_space(test: ast.expr) -> bool:
    """Whether a condition is about a token that begins with a space."""
    return any(isinstance(part, ast.Constant) and part.value in (SPACE, SPACE.encode()) for part in ast.walk(test))


def _fills_table(node: ast.AST) -> bool:
    """Whether a statement puts something into a place of a table."""
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Subscript)
    return isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Subscript)


def _is_true(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value in (True, 1)


def _counts_one_more(node: ast.AST) -> bool:
    """Whether a place of a table is a length and one more."""
    if isinstance(node, ast.AugAssign):
        return isinstance(node.op, ast.Add) and _is_true(node.value)
    return isinstance(node, ast.Assign) and any(
        isinstance(part, ast.BinOp)
        and isinstance(part.op, ast.Add)
        and ((_is_true(part.right) and _measures(part.left)) or (_is_true(part.left) and _measures(part.right)))
        for part in ast.walk(node.value)
    )


def _measures(value: ast.expr) -> bool:
    return any(isinstance(p, ast.Call) and isinstance(p.func, ast.Name) and p.func.id == "len" for p in ast.walk(value))


def _adds_mark(node: ast.AST) -> bool:
    """Whether something is added that is so in one table and not so in another: `marks[t] & ~bounds[p]`."""
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
        terms = [node.value]
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        terms = [node.left, node.right]
    else:
        return False
    return any(
        isinstance(part, ast.BinOp)
        and isinstance(part.op, ast.BitAnd)
        and _reads_table(part.left)
        and isinstance(part.right, ast.UnaryOp)
        and isinstance(part.right.op, ast.Invert)
        and _reads_table(part.right.operand)
        for term in terms
        for part in ast.walk(term)
    )


def _reads_table(value: ast.expr) -> bool:
    return any(isinstance(part, ast.Subscript) for part in ast.walk(value))


def _constants(tree: ast.Module) -> Iterator[tuple[str, float]]:
    """Names that are assigned a number once and nothing else."""
    seen: dict[str, int] = {}
    found: dict[str, float] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            seen[node.id] = seen.get(node.id, 0) + 1
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            number = _number(node.value, {})
            if number is not None:
                found[node.targets[0].id] = number
    return ((name, number) for name, number in found.items() if seen[name] == 1)


def _factors(node: ast.expr, values: Mapping[str, float]) -> tuple[list[float], list[float]]:
    """The numbers that a product multiplies with and divides by; what is no number is left out."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Mult):
        over, under = _factors(node.left, values)
        more, less = _factors(node.right, values)
        return (over + more, under + less) if isinstance(node.op, ast.Mult) else (over + less, under + more)
    number = _number(node, values)
    return ([] if number is None else [number]), []


def _number(node: ast.expr, values: Mapping[str, float]) -> float | None:
    """The number that an expression is: a literal, the logarithm of one, a name for one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value)
    if isinstance(node, ast.Name):
        return values.get(node.id)
    if isinstance(node, ast.Attribute):
        return values.get(node.attr)
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        inner = _number(node.args[0], values) if called in ("log", "float") else None
        if inner is not None and (called == "float" or inner > 0):
            return log(inner) if called == "log" else inner
    return None


def _has(numbers: list[float], wanted: float) -> bool:
    return any(isclose(number, wanted, rel_tol=1e-3) for number in numbers)
