"""Student's t against published tables, and what must hold for any sample."""

from __future__ import annotations

from math import atan, inf, pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.records.statistics import interval, lower_than, mean, power, quantile, tail, variance

TABLE = {
    (1, 0.05): 6.314,
    (1, 0.01): 31.821,
    (2, 0.25): 0.816,
    (2, 0.05): 2.920,
    (2, 0.01): 6.965,
    (4, 0.25): 0.741,
    (4, 0.025): 2.776,
    (4, 0.01): 3.747,
    (4, 0.005): 4.604,
    (10, 0.025): 2.228,
    (30, 0.01): 2.457,
    (120, 0.05): 1.658,
}
"""(degrees of freedom, upper tail): t, as printed in the NIST/SEMATECH e-Handbook, section 1.3.6.7.2."""
R_POWER = 0.8689528
"""`power.t.test(n = 20, delta = 1, sd = 1)` in the documentation of R: two-sided at 0.05, the other tail left out."""

freedoms = st.floats(1, 500)
scores = st.floats(0.5, 2.0)
samples = st.lists(scores, min_size=2, max_size=6).filter(lambda sample: variance(sample) > 1e-10)


@pytest.mark.parametrize(("freedom", "level"), TABLE)
def test_quantiles_are_those_of_the_table(freedom: int, level: float) -> None:
    assert quantile(level, freedom) == pytest.approx(TABLE[freedom, level], abs=6e-4)


@given(st.floats(-50, 50))
def test_one_degree_of_freedom_is_cauchy(t: float) -> None:
    assert tail(t, 1) == pytest.approx(0.5 - atan(t) / pi, abs=1e-13)


@given(st.floats(-50, 50))
def test_two_degrees_of_freedom_have_a_closed_form(t: float) -> None:
    assert tail(t, 2) == pytest.approx(0.5 - t / (2 * (2 + t * t) ** 0.5), abs=1e-13)


@given(st.floats(-40, 40), freedoms)
def test_the_tails_are_symmetric_and_fall(t: float, freedom: float) -> None:
    assert tail(t, freedom) + tail(-t, freedom) == pytest.approx(1)
    assert tail(t + 0.1, freedom) < tail(t, freedom) or tail(t, freedom) in (0, 1)


@given(st.floats(0.001, 0.999), freedoms)
def test_the_quantile_is_the_inverse(p: float, freedom: float) -> None:
    assert tail(quantile(p, freedom), freedom) == pytest.approx(p, abs=1e-9)


def test_far_out_there_is_nothing_left() -> None:
    assert (tail(inf, 3), tail(-inf, 3)) == (0, 1)


@given(samples, samples)
def test_welch_is_antisymmetric_and_does_not_care_for_order(one: list[float], other: list[float]) -> None:
    there, back = lower_than(one, other), lower_than(other, one)
    assert there.p + back.p == pytest.approx(1)
    assert lower_than(one[::-1], other[::-1]).p == pytest.approx(there.p)
    assert min(len(one), len(other)) - 1 - 1e-9 <= there.freedom <= len(one) + len(other) - 2 + 1e-9


@given(samples, samples, st.floats(0.01, 100), st.floats(-1, 1))
def test_unit_and_origin_do_not_matter(one: list[float], other: list[float], unit: float, origin: float) -> None:
    moved = lower_than([origin + unit * x for x in one], [origin + unit * x for x in other])
    assert moved.p == pytest.approx(lower_than(one, other).p, abs=1e-6)


@given(samples, samples, st.floats(0.001, 1))
def test_a_larger_requirement_is_harder(one: list[float], other: list[float], by: float) -> None:
    assert lower_than(one, other, by=by).p >= lower_than(one, other).p


def test_equal_sizes_and_spreads_are_the_classical_test() -> None:
    test = lower_than([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    assert (test.method, test.difference) == ("welch", -1)
    assert test.freedom == pytest.approx(4)
    assert test.t == pytest.approx(-1.224745, abs=1e-6)
    assert test.p == pytest.approx(0.1439, abs=1e-4)


def test_a_single_number_is_taken_for_exact() -> None:
    test = lower_than([1.0, 2.0, 3.0], [4.0])
    assert (test.method, test.freedom) == ("one-sample", 2)
    assert test.t == pytest.approx(-2 * 3**0.5)


def test_without_spread_the_answer_is_certain() -> None:
    assert lower_than([1.0, 1.0], [2.0]).p == 0
    assert lower_than([2.0, 2.0], [1.0]).p == 1
    assert lower_than([1.0, 1.0], [1.0]).p == 0.5


@given(samples, samples)
def test_the_interval_holds_the_difference_and_what_the_test_does_not_reject(
    one: list[float], other: list[float]
) -> None:
    test = lower_than(one, other)
    low, high = interval(test)
    assert low < test.difference < high
    assert (high < 0) == (test.p < 0.025)
    assert mean(one) - mean(other) == pytest.approx(test.difference)


def test_power_is_that_of_r() -> None:
    assert power((20 / 2) ** 0.5, 38, 0.025) == pytest.approx(R_POWER, abs=1e-7)


@given(st.floats(1, 60), st.sampled_from((0.01, 0.05, 0.25)))
def test_power_without_an_effect_is_the_level(freedom: float, level: float) -> None:
    assert power(0, freedom, level) == pytest.approx(level, abs=2e-3)


@given(st.floats(0, 8), st.floats(2, 60), st.sampled_from((0.01, 0.25)))
def test_power_rises_with_the_effect(effect: float, freedom: float, level: float) -> None:
    assert power(effect, freedom, level) <= power(effect + 0.5, freedom, level) + 1e-9
