"""From a journal to evaluations: which scores make up each printed result, found by recomputing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf, log

import numpy as np
import numpy.typing as npt

from auditor.experiment.probe.journal import Journal, Printed, Scored, Site
from auditor.records.model import Score
from auditor.records.parse import parse_log

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_ARITHMETIC = 2e-5
"""Relative error of sums in single precision and of means of means, beside that of printing."""
_BYTES = 1e-3
"""The same where only bits per byte are printed: scripts differ in a few bytes at the edges of texts."""


@dataclass(frozen=True)
class Evaluation:
    """A printed result and the scores that it is the mean of."""

    score: Score
    site: Site
    start: int
    """The journal entry from which on it may have begun: all before belongs to an earlier result."""
    end: int
    """The entry that first prints it."""
    values: Floats
    """For each stream position its loss in nats, NaN where it was not scored; of several scores the last."""
    first: Ints
    """For each stream position the journal entry of its first score, -1 where it was not scored."""
    times: Ints
    """How often each position was scored."""
    unknown: int
    """Scores that belong to it and whose position is not known."""
    nats: float
    """All scores of known positions together, repeated ones included."""

    @property
    def scored(self) -> Ints:
        """The positions that were scored."""
        return np.flatnonzero(self.times)


@dataclass(frozen=True)
class Unreconciled:
    """A printed result that no scores add up to."""

    score: Score


def reported(journal: Journal, bytes_of: Floats, label: str | None = None) -> Evaluation | Unreconciled | None:
    """The evaluation whose result the run reports: by the precedence that logs have (RULES, trap 6).

    `bytes_of` holds the bytes that each stream position stands for; `label` is that of the claimed result, if known.
    """
    lines = [(number, entry.text) for number, entry in enumerate(journal) if isinstance(entry, Printed)]
    run = parse_log("stdout", lines, worst=inf).run
    claimed = [score for score in run.scores if score.label == label]
    score = claimed[-1] if claimed else run.score or (run.scores[-1] if run.scores else None)
    found = evaluations(journal, run.scores, bytes_of)
    return next((item for item in found if item.score == score), None)


def evaluations(journal: Journal, scores: Sequence[Score], bytes_of: Floats) -> list[Evaluation | Unreconciled]:
    """Every printed result, in order."""
    found: list[Evaluation | Unreconciled] = []
    start = 0
    for score in scores:
        earlier = [(item.start, item.end) for item in reversed(found) if isinstance(item, Evaluation)]
        spans = [(start, score.line), *earlier]  # some results are printed again, or all at the end
        made = next((made for span in spans if (made := _reconciled(journal, score, *span, bytes_of))), None)
        found.append(made or Unreconciled(score))
        start = score.line
    return found


def _reconciled(journal: Journal, score: Score, start: int, end: int, bytes_of: Floats) -> Evaluation | None:
    """The scores between two entries whose mean is the printed loss, those nearest to the result first."""
    by_site: dict[Site, list[tuple[int, Scored]]] = {}
    for number in range(start, end):
        entry = journal[number]
        if isinstance(entry, Scored):
            by_site.setdefault(entry.site, []).append((number, entry))
    latest_first = sorted(by_site.items(), key=lambda item: item[1][-1][0], reverse=True)
    nearest = sorted(latest_first, key=lambda item: _NEARNESS[item[0].kind])
    for site, records in [*nearest, *_joined(nearest)]:
        for chosen in _of_one_kind(records):
            for since, part in _parts(chosen, start):
                if _fits(part, score, bytes_of):
                    return _evaluation(score, site, (since, end), part, len(bytes_of))
    return None


def _joined(sites: list[tuple[Site, list[tuple[int, Scored]]]]) -> Iterator[tuple[Site, list[tuple[int, Scored]]]]:
    """Two sites together that share no position, under the name of the larger: short texts may be scored elsewhere."""
    places = {
        site: {int(place) for _, entry in records for place in entry.places if place >= 0} for site, records in sites
    }
    for (one, records), (other, more) in combinations(sites[:_JOINED], 2):
        if places[one] and places[other] and not places[one] & places[other]:
            larger = max(one, other, key=lambda site: len(places[site]))
            yield larger, sorted([*records, *more], key=lambda item: item[0])


_JOINED = 8
"""Sites of which two are tried together."""


def _of_one_kind(records: list[tuple[int, Scored]]) -> Iterator[list[tuple[int, Scored]]]:
    """All records of a site; where it both scores and trains, those which one can train on and the others."""
    yield records
    for trains in (False, True):
        chosen = [item for item in records if item[1].trains == trains]
        if 0 < len(chosen) < len(records):
            yield chosen


_NEARNESS = {"exit": 0, "sum": 0, "nll": 1, "cross-entropy": 1}
"""Sums come after the losses that they sum up, and after what was mixed into them."""


@dataclass(frozen=True)
class _Part:
    """Scores in order: the journal entry of each, its position (-1: not known) and its loss in nats."""

    entries: Ints
    places: Ints
    values: Floats


def _parts(records: list[tuple[int, Scored]], start: int) -> Iterator[tuple[int, _Part]]:
    """What a result may be the mean of: all of the records, or the last pass over the stream alone.

    Each with the entry from which on it may have begun, and with and without losses of exactly zero: those are what a
    mask has left out, or tokens that the model was sure of.
    """
    passes = [(start, records)]
    for at in range(len(records) - 1, 0, -1):
        if records[at][1].places.min(initial=1 << 60) < records[at - 1][1].places.min(initial=1 << 60):
            passes.append((records[at - 1][0] + 1, records[at:]))
            break
    for since, chosen in passes:
        whole = _Part(
            np.concatenate([np.full(len(entry.values), number) for number, entry in chosen]),
            np.concatenate([entry.places for _, entry in chosen]),
            np.concatenate([entry.values for _, entry in chosen]),
        )
        yield since, whole
        counted = whole.values != 0.0
        if counted.any() and not counted.all():
            yield since, _Part(whole.entries[counted], whole.places[counted], whole.values[counted])


def _fits(part: _Part, score: Score, bytes_of: Floats) -> bool:
    """Whether the scores average to what was printed: as loss per token, or per byte where no loss was printed."""
    known = part.places >= 0
    if not known.any():
        return False
    if score.val_loss is not None:
        printed, decimals, mean, error = score.val_loss, score.loss_decimals, float(part.values.mean()), _ARITHMETIC
    else:
        size = max(1.0, float(bytes_of[part.places[known]].sum()))
        printed, decimals, mean, error = score.val_bpb, score.decimals, float(part.values.sum()) / log(2) / size, _BYTES
    return abs(mean - printed) <= 0.51 * 10.0**-decimals + error * printed


def _evaluation(score: Score, site: Site, span: tuple[int, int], part: _Part, length: int) -> Evaluation:
    values = np.full(length, np.nan)
    first = np.full(length, -1, dtype=np.int64)
    times = np.zeros(length, dtype=np.int64)
    known = part.places >= 0
    places = part.places[known]
    values[places] = part.values[known]
    first[places[::-1]] = part.entries[known][::-1]
    np.add.at(times, places, 1)
    return Evaluation(score, site, *span, values, first, times, int((~known).sum()), float(part.values[known].sum()))
