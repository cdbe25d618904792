"""Student's t for a few runs: tails, quantiles, Welch's test, intervals and power, without scipy.

scipy is 113 MB and a second of import for the four functions that are needed here. The tail is the regularised
incomplete beta function by Lentz's continued fraction (Press et al., *Numerical Recipes*, 3rd ed., section 6.4), exact
to about 1e-14; power is the tail of the non-central t, integrated over the sample deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import copysign, erfc, exp, fsum, inf, lgamma, log, sqrt

_TINY = 1e-300
_PANELS = 400
"""Of Simpson's rule over the sample deviation; even."""


@dataclass(frozen=True)
class Test:
    """A one-sided test of a mean against a bar that is a number or the mean of other runs."""

    method: str
    """`welch`, or `one-sample` where the bar is a single number."""
    difference: float
    """Mean of the sample minus the bar, in the unit of the sample."""
    error: float
    """Standard error of the difference."""
    freedom: float
    """Degrees of freedom."""
    t: float
    p: float
    """Probability of so low a difference if there were none."""


def mean(sample: Sequence[float]) -> float:
    """Arithmetic mean of at least one number."""
    return fsum(sample) / len(sample)


def variance(sample: Sequence[float]) -> float:
    """Unbiased variance of at least two numbers."""
    centre = mean(sample)
    return fsum((x - centre) ** 2 for x in sample) / (len(sample) - 1)


def lower_than(sample: Sequence[float], bar: Sequence[float], *, by: float = 0.0) -> Test:
    """Whether the mean of `sample` (at least two) lies more than `by` below that of `bar` (at least one).

    With two or more in the bar this is Welch's test, else the bar is taken for exact. Without any spread the answer is
    certain. B. L. Welch, Biometrika 34 (1947), 28-35.
    """
    difference = mean(sample) - mean(bar)
    ours = variance(sample) / len(sample)
    theirs = variance(bar) / len(bar) if len(bar) > 1 else 0.0
    error, freedom = sqrt(ours + theirs), float(len(sample) - 1)
    if theirs and error**4 > 0:
        shares = (ours / (ours + theirs)) ** 2 / (len(sample) - 1), (theirs / (ours + theirs)) ** 2 / (len(bar) - 1)
        freedom = 1 / fsum(shares)
    shifted = difference + by
    t = shifted / error if error else copysign(inf, shifted) if shifted else 0.0
    return Test("welch" if len(bar) > 1 else "one-sample", difference, error, freedom, t, tail(-t, freedom))


def tail(t: float, freedom: float) -> float:
    """P(T > t) for Student's t with `freedom` > 0 degrees of freedom."""
    if t == 0:
        return 0.5
    if t in (inf, -inf):
        return 0.0 if t > 0 else 1.0
    square = freedom + t * t
    beyond = 0.5 * _beta(freedom / square, t * t / square, freedom / 2, 0.5)
    return beyond if t > 0 else 1 - beyond


@cache  # the power of a test asks for the same one again and again
def quantile(p: float, freedom: float) -> float:
    """The t that is passed with probability `p`, 0 < p < 1."""
    low, high = -1.0, 1.0
    while tail(low, freedom) < p:
        low *= 2
    while tail(high, freedom) > p:
        high *= 2
    while low < (middle := (low + high) / 2) < high:  # until no number lies between them
        low, high = (middle, high) if tail(middle, freedom) > p else (low, middle)
    return middle


def interval(test: Test, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided confidence interval of the difference."""
    half = quantile((1 - confidence) / 2, test.freedom) * test.error
    return test.difference - half, test.difference + half


def power(effect: float, freedom: float, level: float) -> float:
    """How often a one-sided test at `level` finds a true difference of `effect` standard errors.

    The tail of the non-central t: the normal tail, averaged over the chi distribution of the sample deviation.
    """
    bar = quantile(level, freedom)
    return min(1.0, fsum(weight * 0.5 * erfc((bar * u - effect) / sqrt(2)) for u, weight in _deviations(freedom)))


@cache
def _deviations(freedom: float) -> tuple[tuple[float, float], ...]:
    """The sample deviation over the true one, at the points of Simpson's rule: (value, weight with its density).

    The points are equally far apart in its square root, so that there is a slope at 0 with few degrees of freedom too.
    """
    width = 12 / sqrt(2 * freedom)
    low, high = sqrt(max(0.0, 1 - width)), sqrt(1 + width)
    step = (high - low) / _PANELS
    scale = log(2) + (freedom / 2) * log(freedom / 2) - lgamma(freedom / 2)
    points = []
    for i in range(_PANELS + 1):
        root = low + step * i
        u = root * root
        density = 2 * root * u ** (freedom - 1) * exp(scale - freedom * u * u / 2)
        factor = 1 if i in (0, _PANELS) else 4 if i % 2 else 2
        points.append((u, step / 3 * factor * density))
    return tuple(points)


def _beta(x: float, rest: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b); `rest` is 1 - x, given because it would lose its digits."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(rest))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(rest, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 500):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1 / _nonzero(1 + term * d), _nonzero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return value


def _nonzero(number: float) -> float:
    return number if abs(number) > _TINY else _TINY
