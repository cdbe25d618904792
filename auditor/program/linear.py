"""Symbolic integers: linear expressions over opaque atoms, for comparing token positions.

`ws + s + 1` and `1 + s + ws` are the same position; `j - (n - k)` lies before `j` when `n - k` is
known to be positive. Nothing here solves anything: two positions are equal when their normal forms are.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_TERMS = 8


class Linear(NamedTuple):
    """`const + sum(coefficient * atom)`; `terms` is sorted and holds no zero coefficient."""

    const: int
    terms: tuple[tuple[int, int], ...] = ()


ZERO = Linear(0)


def atom(number: int) -> Linear:
    """The expression that is one opaque atom."""
    return Linear(0, ((number, 1),))


def add(left: Linear | None, right: Linear | None, sign: int = 1) -> Linear | None:
    """`left + sign * right`, or None when either is unknown or the sum has too many terms."""
    if left is None or right is None:
        return None
    if not right.terms:
        return left if not right.const else Linear(left.const + sign * right.const, left.terms)
    total = dict(left.terms)
    for name, coefficient in right.terms:
        value = total.get(name, 0) + sign * coefficient
        if value:
            total[name] = value
        else:
            total.pop(name, None)
    if len(total) > MAX_TERMS:
        return None
    return Linear(left.const + sign * right.const, tuple(sorted(total.items())))


def scale(expression: Linear | None, factor: int) -> Linear | None:
    """`factor * expression`."""
    if expression is None:
        return None
    if factor == 0:
        return ZERO
    return Linear(expression.const * factor, tuple((name, c * factor) for name, c in expression.terms))
