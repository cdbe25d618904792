"""Which of the results that a program prints is the one that is claimed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from auditor.records.model import Records, Run, Score, Stage

_CLOSE = 0.002
"""BPB by which the runs of several seeds differ from their mean, which is often what is claimed."""


@dataclass(frozen=True)
class Claimed:
    """The claimed result, as the logs print it."""

    label: str
    stage: Stage
    last: bool
    """Whether it is what the logs end with: some programs go on to evaluations that the submission does not rely on."""


def claimed_result(records: Records) -> Claimed | None:
    """The result that most runs print at the claimed score; None where there is no claim, or it is not in the logs."""
    claims = [claim.value for claim in records.claimed("val_bpb")]
    found = Counter(result for _, run in records.runs for result in _at(run, claims[:1]))
    return found.most_common(1)[0][0] if found else None


def _at(run: Run, claims: list[float]) -> list[Claimed]:
    """The result of a run at the claimed score; of several the one of the lowest stage."""
    last = run.score
    near = [score for score in run.finals for claim in claims if abs(score.val_bpb - claim) <= _CLOSE]
    if last is None or not near:
        return []
    score = min(near, key=lambda score: (score.stage, abs(score.val_bpb - claims[0])))
    return [Claimed(score.label, score.stage, _same(score, last) or last in near)]


def _same(one: Score, other: Score) -> bool:
    return abs(one.val_bpb - other.val_bpb) <= 2 * _CLOSE
