"""Which tokens to change, so that no score before them may change: in the order in which positions were scored.

Some evaluations go through the documents in another order than that of the stream (by length, in phases), and may: a
score must not depend on what is *scored later*. In an evaluation that goes left to right, a cut is a suffix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from auditor.experiment.probe.evaluations import Evaluation
from auditor.experiment.probe.journal import Journal, Trained

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cut:
    """Positions whose tokens are changed, and those whose scores must stay."""

    changed: Ints
    kept: Ints
    why: str


@dataclass(frozen=True)
class Suspect:
    """A backward pass through tokens that are scored only later."""

    entry: int
    places: Ints


def suspects(journal: Journal, evaluation: Evaluation) -> list[Suspect]:
    """Event order: which update saw which token before its score."""
    found = []
    for number, entry in enumerate(journal[: evaluation.end]):
        if isinstance(entry, Trained):
            early = entry.places[evaluation.first[entry.places] > number]
            if len(early):
                found.append(Suspect(number, early))
    return found


def cuts(evaluation: Evaluation, suspected: Sequence[Suspect]) -> list[Cut]:
    """Cuts in the middle and late in the evaluation, and one that each kind of suspicion would change."""
    entries = np.unique(evaluation.first[evaluation.first >= 0])
    chosen = [
        _cut(evaluation, int(entries[len(entries) * share // 8]), None, "by share of the evaluation")
        for share in (4, 7)
    ]
    for suspect in (suspected[0], suspected[-1]) if suspected else ():
        last = int(evaluation.first[suspect.places].max())
        at = suspect.places[evaluation.first[suspect.places] == last]
        chosen.append(_cut(evaluation, last, at, "tokens trained on before their score"))
    unique: dict[bytes, Cut] = {cut.changed.tobytes(): cut for cut in chosen if len(cut.changed) and len(cut.kept)}
    return list(unique.values())


def in_stream_order(evaluation: Evaluation) -> bool:
    """Whether positions were scored from left to right."""
    order = evaluation.first[evaluation.scored]
    return bool((np.diff(order) >= 0).all())


def _cut(evaluation: Evaluation, entry: int, wanted: Ints | None, why: str) -> Cut:
    """All that is scored after `entry`, and the end of the last row that is scored there.

    Only of the last row: what stands before it in the stream may be its context.
    """
    first = evaluation.first
    there = np.flatnonzero(first == entry)
    breaks = np.flatnonzero(np.diff(there) > 1)
    row = there[int(breaks[-1]) + 1 if len(breaks) else 0 :]
    half = row[len(row) // 2 :]
    if wanted is not None and not np.isin(half, wanted).any():
        half = row[row >= wanted.max()] if wanted.max() <= row[-1] else half
    unscored_tail = np.arange(int(evaluation.scored[-1]) + 1, len(first))
    changed = np.union1d(np.concatenate([np.flatnonzero(first > entry), half]), unscored_tail)
    kept = np.setdiff1d(evaluation.scored, changed)
    return Cut(changed, kept, why)
