"""From a journal to evaluations: which scores make up each printed result, found by recomputing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import numpy.typing as npt

from auditor.experiment.probe.journal import Journal, Printed, Scored, Site
from auditor.records.model import Score
from auditor.records.parse import parse_log

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_ARITHMETIC = 2e-5
"""Relative error of sums in single precision and of means of means, beside that of printing."""


@dataclass(frozen=True)
class Evaluation:
    """A printed result and the scores that it is the mean of."""

    score: Score
    site: Site
    start: int
    """The journal entry from which on it may have begun: all before belongs to an earlier result."""
    end: int
    """The entry that prints it."""
    values: Floats
    """For each stream position its loss in nats, NaN where it was not scored; of several scores the last."""
    first: Ints
    """For each stream position the journal entry of its first score, -1 where it was not scored."""
    times: Ints
    """How often each position was scored."""
    unknown: int
    """Scores that belong to it and whose position is not known."""

    @property
    def scored(self) -> Ints:
        """The positions that were scored."""
        return np.flatnonzero(self.times)

    @property
    def loss(self) -> float:
        """Mean loss over positions, nats per token."""
        return float(np.nanmean(self.values))


@dataclass(frozen=True)
class Unreconciled:
    """A printed result that no scores add up to."""

    score: Score
    end: int


def evaluations(journal: Journal, bytes_of: Floats) -> list[Evaluation | Unreconciled]:
    """Every printed result in order; `bytes_of` holds the bytes that each stream position stands for."""
    lines = [(number, entry.text) for number, entry in enumerate(journal) if isinstance(entry, Printed)]
    run = parse_log("stdout", lines).run
    found: list[Evaluation | Unreconciled] = []
    start = 0
    for score in run.scores:
        made = _reconciled(journal, score, start, bytes_of)
        if made is None and found and isinstance(found[-1], Evaluation):
            made = _reconciled(journal, score, found[-1].start, bytes_of)
        found.append(made or Unreconciled(score, score.line))
        start = score.line
    return found


def reported(journal: Journal, found: Sequence[Evaluation | Unreconciled]) -> Evaluation | Unreconciled | None:
    """The evaluation whose result the run reports: by the precedence that logs have (RULES, trap 6)."""
    lines = [(number, entry.text) for number, entry in enumerate(journal) if isinstance(entry, Printed)]
    run = parse_log("stdout", lines).run
    score = run.score or (run.scores[-1] if run.scores else None)
    return next((item for item in found if item.score == score), None)


def _reconciled(journal: Journal, score: Score, start: int, bytes_of: Floats) -> Evaluation | None:
    """The scores between two entries whose mean is the printed loss, those nearest to the result first."""
    by_site: dict[Site, list[tuple[int, Scored]]] = {}
    for number in range(start, score.line):
        entry = journal[number]
        if isinstance(entry, Scored):
            by_site.setdefault(entry.site, []).append((number, entry))
    latest_first = sorted(by_site.items(), key=lambda item: item[1][-1][0], reverse=True)
    for site, records in sorted(latest_first, key=lambda item: _NEARNESS[item[0].kind]):
        for since, part in _passes(records, start):
            made = _evaluation(score, site, since, part, len(bytes_of))
            if made is not None and _fits(made, part, score, bytes_of):
                return made
    return None


_NEARNESS = {"exit": 0, "sum": 0, "nll": 1, "cross-entropy": 1}
"""Sums come after the losses that they sum up, and after what was mixed into them."""


def _passes(records: list[tuple[int, Scored]], start: int) -> Iterator[tuple[int, list[tuple[int, Scored]]]]:
    """All of the records; the last pass over the stream alone. Each with the entry from which on it may have begun."""
    yield start, records
    for at in range(len(records) - 1, 0, -1):
        if records[at][1].places.min(initial=1 << 60) < records[at - 1][1].places.min(initial=1 << 60):
            yield records[at - 1][0] + 1, records[at:]
            return


def _fits(made: Evaluation, part: list[tuple[int, Scored]], score: Score, bytes_of: Floats) -> bool:
    """Whether the scores average to what was printed: as loss per token, or per byte where no loss was printed.

    A loss of exactly zero is one that a mask has left out.
    """
    total = sum(float(entry.values.sum()) for _, entry in part)
    count = sum(int(np.count_nonzero(entry.values)) for _, entry in part)
    if score.val_loss is not None:
        printed, decimals, mean = score.val_loss, score.loss_decimals, total / max(count, 1)
    else:
        size = sum(
            float(bytes_of[entry.places[(entry.places >= 0) & (entry.values != 0.0)]].sum()) for _, entry in part
        )
        printed, decimals, mean = score.val_bpb, score.decimals, total / log(2) / max(size, 1.0)
    return abs(mean - printed) <= 0.51 * 10.0**-decimals + _ARITHMETIC * printed


def _evaluation(score: Score, site: Site, start: int, part: list[tuple[int, Scored]], length: int) -> Evaluation | None:
    values = np.full(length, np.nan)
    first = np.full(length, -1, dtype=np.int64)
    times = np.zeros(length, dtype=np.int64)
    unknown = 0
    for number, entry in part:
        known = (entry.places >= 0) & (entry.values != 0.0)
        unknown += int(np.count_nonzero(entry.values)) - int(known.sum())
        places = entry.places[known]
        values[places] = entry.values[known]
        fresh = places[first[places] < 0]
        first[fresh] = number
        np.add.at(times, places, 1)
    if not times.any():
        return None
    return Evaluation(score, site, start, score.line, values, first, times, unknown)
