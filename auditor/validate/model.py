"""The vocabulary of a validation: budgets, the run of one seed, and a row of the comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from auditor.records.model import BUDGET_S

SCHEMA = "pgolf.validation/1"
GPUS, GPU = 8, "H100"
"""The machine of the contest."""
GRACE = 0.1
"""Part of a budget by which a phase may pass it before the run is ended: it is over then, beyond dispute."""


class Phase(StrEnum):
    """Where a run is, by the lines that it prints."""

    SETUP = "setup"
    """Imports, compilation, warm-up steps: not counted by the contest."""
    TRAINING = "training"
    """From the first step to the last."""
    ARTIFACT = "artifact"
    """Averaging, quantisation and compression, until the size is printed. Nobody ruled which budget has it."""
    EVALUATION = "evaluation"
    """From the printed size to the last score."""


@dataclass(frozen=True)
class Budgets:
    """Seconds of each phase."""

    training_s: float = BUDGET_S
    evaluation_s: float = BUDGET_S
    setup_s: float = 1800.0
    """Not of the contest: so that every run ends."""
    artifact_s: float = 1800.0
    """Likewise."""

    @property
    def total_s(self) -> float:
        """The longest that a run may take."""
        return self.setup_s + self.artifact_s + (1 + GRACE) * (self.training_s + self.evaluation_s)


Ended = Literal["finished", "failed", "over-time", "sandbox"]
"""`finished`: by itself, with a score. `failed`: without one. `over-time`: ended because a phase was over its budget.
`sandbox`: the sandbox itself failed, which says nothing about the script."""
Fault = Literal["script", "environment"]
"""Whose a failure is; `environment` is what is missing or too small here."""


@dataclass(frozen=True)
class SeedRun:
    """The run of one seed: what we measured, and what it said. None where there is nothing to tell it from."""

    seed: int
    key: str
    ended: Ended
    reason: str | None = None
    fault: Fault | None = None
    wall_s: float = 0.0
    setup_s: float | None = None
    training_s: float | None = None
    """Our clock, without the pauses."""
    artifact_s: float | None = None
    evaluation_s: float | None = None
    paused_s: float = 0.0
    """By which the script's own clock stood still while it validated during training."""
    said_training_s: float | None = None
    """By the script's own clock, which is made up in the CPU runtime."""
    said_evaluation_s: float | None = None
    val_bpb: float | None = None
    val_loss: float | None = None
    label: str | None = None
    """The words before the score."""
    val_tokens: int | None = None
    steps: int | None = None
    code_bytes: int = 0
    weights_bytes: int | None = None
    weights_file: str | None = None
    said_bytes: int | None = None
    """Code and model together, as printed."""
    gpus: list[str] = field(default_factory=list)
    """Names of those that it had."""
    max_rss_mb: float = 0.0
    changed: list[str] = field(default_factory=list)
    """Settings that are not those of the reported run."""

    @property
    def artifact_bytes(self) -> int | None:
        """Code and weights, counted by us."""
        return None if self.weights_bytes is None else self.code_bytes + self.weights_bytes

    @property
    def is_over(self) -> bool:
        """Whether running it again would tell nothing new."""
        return self.ended in ("finished", "over-time")


Status = Literal["reproduced", "contradicted", "not-comparable", "not-claimed", "not-measured"]


@dataclass(frozen=True)
class Row:
    """One quantity of one seed, or of all seeds together (`seed` is then None)."""

    seed: int | None
    quantity: str
    status: Status
    claimed: float | None = None
    where: str | None = None
    """Where the claim stands; for a limit, what it is."""
    measured: float | None = None
    allowed: float | None = None
    """How much more than the claim still passes."""
    note: str | None = None
    decides: bool = True
    """Whether the outcome waits for it: a time on another machine is shown and decides nothing."""
