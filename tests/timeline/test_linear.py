"""Symbolic integers agree with arithmetic, and equal expressions have one normal form."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from auditor.program.linear import MAX_TERMS, ZERO, Linear, add, atom, scale

ATOMS = range(MAX_TERMS)
values = st.fixed_dictionaries({name: st.integers(-1000, 1000) for name in ATOMS})
small = st.integers(-50, 50)
expressions = st.builds(
    lambda const, terms: Linear(const, tuple(sorted((name, c) for name, c in terms.items() if c))),
    small,
    st.dictionaries(st.sampled_from(ATOMS), small),
)


def evaluated(expression: Linear | None, at: dict[int, int]) -> int:
    assert expression is not None
    return expression.const + sum(c * at[name] for name, c in expression.terms)


def in_normal_form(expression: Linear) -> bool:
    names = [name for name, _ in expression.terms]
    return names == sorted(set(names)) and all(c for _, c in expression.terms)


@given(expressions, expressions, st.sampled_from((1, -1)), values)
def test_a_sum_is_the_sum(left: Linear, right: Linear, sign: int, at: dict[int, int]) -> None:
    total = add(left, right, sign)
    assert evaluated(total, at) == evaluated(left, at) + sign * evaluated(right, at)
    assert total is not None
    assert in_normal_form(total)


@given(expressions, small, values)
def test_a_multiple_is_the_multiple(expression: Linear, factor: int, at: dict[int, int]) -> None:
    product = scale(expression, factor)
    assert evaluated(product, at) == factor * evaluated(expression, at)
    assert product is not None
    assert in_normal_form(product)


@given(expressions, expressions, expressions)
def test_the_order_of_terms_does_not_matter(a: Linear, b: Linear, c: Linear) -> None:
    assert add(a, b) == add(b, a)
    assert add(add(a, b), c) == add(a, add(b, c))
    assert add(a, a, -1) == ZERO
    assert add(a, b, -1) == add(a, scale(b, -1))


@given(expressions)
def test_what_is_unknown_stays_unknown(expression: Linear) -> None:
    assert add(None, expression) is None
    assert add(expression, None) is None
    assert scale(None, 0) is None


def test_a_sum_of_too_many_terms_is_unknown() -> None:
    total: Linear | None = ZERO
    for name in range(MAX_TERMS):
        total = add(total, atom(name))
    assert total == Linear(0, tuple((name, 1) for name in range(MAX_TERMS)))
    assert add(total, atom(MAX_TERMS)) is None
    assert add(total, atom(0), -1) == Linear(0, tuple((name, 1) for name in range(1, MAX_TERMS)))
