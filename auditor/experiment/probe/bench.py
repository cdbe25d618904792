"""Runs over streams and the evaluation that each reports: what all experiments are made with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from auditor.experiment.probe.claimed import Claimed
from auditor.experiment.probe.evaluations import Evaluation, Unreconciled, reported
from auditor.experiment.probe.journal import Journal
from auditor.experiment.probe.model import Answer, Condition, everywhere
from auditor.experiment.probe.streams import Recipe

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MassQuestion:
    """Ask for the losses of all tokens at one position, from a journal entry on."""

    entry: int
    place: int
    site: tuple[str | int, ...]


@dataclass(frozen=True)
class Observed:
    """One run: its journal, or why there is none; `losses` answer a question of mass."""

    journal: Journal = ()
    failure: str | None = None
    losses: tuple[float | None, ...] = ()


class Runner(Protocol):
    """Runs the submission over a validation stream."""

    def run(self, streams: Sequence[Sequence[int]]) -> list[Observed]:
        """One run for each stream, at the same time where the machine allows it."""

    def mass(self, tokens: Sequence[int], question: MassQuestion) -> Observed:
        """A run that forks at the question's entry."""


class Stopped(Exception):
    """No verdict can come of these runs; the reason in one line."""

    def __init__(self, conditions: dict[Condition, Answer]) -> None:
        super().__init__()
        self.conditions = conditions


@dataclass(frozen=True)
class Judged:
    """A run and the evaluation that it is judged by."""

    journal: Journal
    evaluation: Evaluation


@dataclass(frozen=True)
class Bench:
    """A submission, the streams to run it over, and how to read its results."""

    runner: Runner
    recipe: Recipe
    bytes_of: Callable[[Sequence[int]], Floats]
    """The bytes that each position of a stream stands for."""
    claimed: Claimed | None = None

    def missed(self, evaluation: Evaluation) -> bool:
        """Whether the claimed result is of a later stage than the judged one, so that what makes it did not run."""
        claimed, score = self.claimed, evaluation.score
        return claimed is not None and claimed.label != score.label and claimed.stage > score.stage

    def runs(self, streams: Sequence[Sequence[int]]) -> list[Judged]:
        """One run for each stream; raises `Stopped` where one has no evaluation that can be judged."""
        return [self._judged(tokens, run) for tokens, run in zip(streams, self.runner.run(streams), strict=True)]

    def run(self, tokens: Sequence[int]) -> Judged:
        """One run."""
        return self.runs([tokens])[0]

    def _judged(self, tokens: Sequence[int], run: Observed) -> Judged:
        if run.failure is not None:
            raise Stopped(everywhere("could-not-run", run.failure))
        label = None if self.claimed is None or self.claimed.last else self.claimed.label
        found = reported(run.journal, self.bytes_of(tokens), label)
        if found is None:
            raise Stopped(everywhere("inconclusive", "the run printed no score"))
        if isinstance(found, Unreconciled):
            raise Stopped(everywhere("inconclusive", _unreconciled(found)))
        return Judged(run.journal, found)


def _unreconciled(found: Unreconciled) -> str:
    loss = "" if found.score.val_loss is None else f"loss {found.score.val_loss}, "
    return (
        f"no losses that were seen add up to the printed result ({found.score.label}: {loss}{found.score.val_bpb} BPB)"
    )
