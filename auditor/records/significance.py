"""Whether runs beat an accepted row, by the rule as it is written and by the rule as it was applied.

Written (README): better by 0.005 nats per token, shown at p < 0.01. Applied since April (pull request 1902): better
than the row before, one-sided Welch test at p < 0.25. Both are answered with all numbers, because three runs say
little: a verdict is None where the runs do not carry one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import inf, log
from typing import Any

from auditor.records.statistics import interval, lower_than, mean, power, quantile, variance

REQUIRED_NATS = 0.005
"""Nats per token by which a record is better than the one before."""
README_LEVEL = 0.01
APPLIED_LEVEL = 0.25
POWER = 0.8
"""The share of cases in which a detectable gain is found."""


@dataclass(frozen=True)
class Bar:
    """An accepted row: what is to be beaten. Scores are in bits per byte."""

    name: str
    """`PR 1493`, or the row's date where no pull request added it."""
    score: float
    """As the leaderboard prints it."""
    scores: tuple[float, ...] = ()
    """Of its single runs, where their logs are in the repository."""

    @property
    def sample(self) -> tuple[float, ...]:
        """The runs, else the printed score."""
        return self.scores or (self.score,)


def nats_per_token(bits_per_byte: float, bytes_per_token: float) -> float:
    """A score, or a difference of two, as the tokenizer of the submission turns it into nats per token."""
    return bits_per_byte * log(2) * bytes_per_token


def readme_rule(scores: Sequence[float], bar: Bar, bytes_per_token: float | None) -> dict[str, Any]:
    """Better by 0.005 nats per token at p < 0.01. `scores` in bits per byte, at least one.

    The bar's runs may have another tokenizer, so scores are compared in bits per byte and the required gain is
    converted with the bytes per token of the submission.
    """
    data = _numbers(scores, bar, bytes_per_token)
    if bytes_per_token is None:
        return {**data, "met": None, "reason": "no log prints a loss, so bits per byte cannot be turned into nats"}
    required = REQUIRED_NATS / nats_per_token(1.0, bytes_per_token)
    return {
        **data,
        "required_nats": REQUIRED_NATS,
        "required_bpb": _round(required),
        **_tested(scores, bar, required, README_LEVEL, nats_per_token(1.0, bytes_per_token)),
    }


def applied_rule(scores: Sequence[float], bar: Bar, bytes_per_token: float | None) -> dict[str, Any]:
    """Better at all, one-sided Welch p < 0.25. `scores` in bits per byte, at least one."""
    scale = None if bytes_per_token is None else nats_per_token(1.0, bytes_per_token)
    return {**_numbers(scores, bar, bytes_per_token), **_tested(scores, bar, 0.0, APPLIED_LEVEL, scale)}


def _numbers(scores: Sequence[float], bar: Bar, bytes_per_token: float | None) -> dict[str, Any]:
    gain = mean(bar.sample) - mean(scores)
    nats = None if bytes_per_token is None else _round(nats_per_token(gain, bytes_per_token))
    return {
        "n": len(scores),
        "mean": _round(mean(scores)),
        "sd": _deviation(scores),
        "bytes_per_token": None if bytes_per_token is None else round(bytes_per_token, 4),
        "against": {
            "row": bar.name,
            "score": bar.score,
            "n": len(bar.scores),
            "mean": _round(mean(bar.sample)),
            "sd": _deviation(bar.scores),
        },
        "gain_bpb": _round(gain),
        "gain_nats": nats,
    }


def _tested(scores: Sequence[float], bar: Bar, required: float, level: float, scale: float | None) -> dict[str, Any]:
    """The test at `level` that the gain is more than `required` bits per byte; `scale` turns these into nats."""
    gain = mean(bar.sample) - mean(scores)
    if len(scores) < 2:
        if gain <= required:
            return {"level": level, "met": False, "reason": "the only run does not reach it"}
        return {"level": level, "met": None, "reason": "one run has no spread to judge it by"}
    test = lower_than(scores, bar.sample, by=required)
    if test.error == 0:
        return {"level": level, "met": None, "reason": "the runs are the same to the last digit"}
    low, high = interval(test)
    bounds = sorted((-low, -high))
    found = required + _detectable(test.freedom, level) * test.error
    return {
        "test": test.method,
        "level": level,
        "t": _round(test.t, 4),
        "df": _round(test.freedom, 3),
        "p": float(f"{test.p:.4g}"),
        "interval_bpb": [_round(bound) for bound in bounds],
        "interval_nats": None if scale is None else [_round(bound * scale) for bound in bounds],
        "confidence": 0.95,
        "power": POWER,
        "detectable_bpb": _round(found),
        "detectable_nats": None if scale is None else _round(found * scale),
        "met": test.p < level,
        "reason": None,
    }


@cache  # a finding and the report both want it
def _detectable(freedom: float, level: float) -> float:
    """The gain over the required one, in standard errors, that such runs would show in four cases of five."""
    low, high = 0.0, 2 * quantile(level, freedom) + 10
    below, above = power(low, freedom, level) - POWER, power(high, freedom, level) - POWER
    raised = lowered = False
    while above > 0:  # the Illinois algorithm (Dowell and Jarratt, BIT 11, 1971)
        middle = high - above * (high - low) / (above - below)
        found = power(middle, freedom, level) - POWER
        if abs(found) < 1e-13 or not low < middle < high:
            return middle
        if found > 0:
            high, above, below = middle, found, below / 2 if lowered else below
        else:
            low, below, above = middle, found, above / 2 if raised else above
        raised, lowered = found < 0, found > 0
    return high


def _deviation(scores: Sequence[float]) -> float | None:
    return _round(variance(scores) ** 0.5) if len(scores) > 1 else None


def _round(number: float, digits: int = 8) -> float:
    """Cut to what the logs carry, so that the report is the same on every machine."""
    return number if number in (inf, -inf) else round(number, digits)
