"""Comparisons of runs over streams that differ in chosen tokens."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
import numpy.typing as npt

from auditor.experiment.probe.cuts import Cut
from auditor.experiment.probe.evaluations import Evaluation
from auditor.experiment.probe.journal import Journal, Scored

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Change:
    """What became of the scores that a cut should have left alone."""

    checked: int
    changed: int
    largest: float
    """Largest change, nats."""
    alive: int
    """Positions after the cut whose scores changed: the run does read the stream."""


def compare(a: Evaluation, b: Evaluation, cut: Cut) -> Change:
    """Scores of run B, in which the tokens of the cut were others, against those of run A."""
    kept = cut.kept[(a.times[cut.kept] > 0) & (b.times[cut.kept] > 0)]
    delta = np.abs(a.values[kept] - b.values[kept])
    after = cut.changed[(a.times[cut.changed] > 0) & (b.times[cut.changed] > 0)]
    return Change(
        checked=len(kept),
        changed=int(np.count_nonzero(delta)),
        largest=float(delta.max(initial=0.0)),
        alive=int(np.count_nonzero(a.values[after] != b.values[after])),
    )


def same(a: Evaluation, b: Evaluation) -> bool:
    """Whether two runs over the same stream gave the same scores, bit for bit."""
    return bool(np.array_equal(a.values, b.values, equal_nan=True))


def mixed(journal: Journal, evaluation: Evaluation) -> Ints:
    """Positions whose score is not, bit for bit, a cross-entropy over logits: something was mixed in afterwards.

    A softmax sums to one whatever its logits are, so only these positions can have another mass.
    """
    left = set(evaluation.scored.tolist())
    for entry in journal[evaluation.start : evaluation.end]:
        if isinstance(entry, Scored) and entry.site.kind in ("cross-entropy", "nll"):
            hits = entry.places[(entry.places >= 0)]
            exact = hits[evaluation.values[hits] == entry.values[entry.places >= 0]]
            left.difference_update(exact.tolist())
    return np.array(sorted(left), dtype=np.int64)


def repeated(evaluation: Evaluation, window: int) -> int:
    """Positions scored several times, those of the last `window` apart: classic scripts score their tail repeatedly."""
    times = evaluation.times[: max(0, int(evaluation.scored[-1]) - window)]
    return int(np.count_nonzero(times > 1))


def beats_chance(evaluation: Evaluation, tokens: int) -> tuple[float, float, float]:
    """The null test: mean loss on uniform random tokens, ln of their number, and the margin that chance explains.

    No predictor that fixes a distribution before it sees the token has an expected loss below ln V.
    """
    values = evaluation.values[evaluation.scored]
    margin = 4.0 * float(values.std()) / float(np.sqrt(len(values))) + 0.02
    return float(values.mean()), log(tokens), margin
