"""What is read from logs and claims: plain values, each with the line where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from math import log
from typing import Generic, Literal, TypeVar

from auditor.submission.claims import Claim

T = TypeVar("T")

CAP = 16_000_000
"""Bytes that code and compressed model may take together."""
BUDGET_S = 600.0
"""Seconds for training, and again for evaluation."""


@dataclass(frozen=True)
class Read(Generic[T]):
    """A value and the line of the file where it was read; line 0 is the file's name."""

    value: T
    line: int


class Stage(IntEnum):
    """Which of a log's scores is the reported one: the highest stage wins (RULES, trap 6)."""

    TRAINING = 0
    """Printed while the model trains."""
    BEFORE = 1
    """Of weights that are not the artifact's: before quantisation, a diagnostic, one of several averages."""
    ROUND_TRIP = 2
    """Of the artifact as it is loaded back."""
    SLIDING = 3
    """With overlapping windows."""
    ADAPTED = 4
    """With anything that learns from scored tokens: test-time training, caches, mixtures."""


@dataclass(frozen=True)
class Score:
    """One printed validation score."""

    label: str
    stage: Stage
    val_bpb: float
    line: int
    val_loss: float | None = None
    eval_s: float | None = None
    decimals: int = 4
    """Decimals of the printed BPB."""
    loss_decimals: int = 4

    def implied_bytes(self, tokens: int) -> float | None:
        """How many bytes `tokens` stand for, by the ratio of the loss in nats and the score in bits per byte."""
        return None if self.val_loss is None else tokens * self.val_loss / (log(2) * self.val_bpb)

    @property
    def uncertainty(self) -> float:
        """Relative error of `implied_bytes` that comes from rounding."""
        loss = self.val_loss or 1.0
        return 0.5 * 10.0**-self.decimals / self.val_bpb + 0.5 * 10.0**-self.loss_decimals / loss


SizeKind = Literal["total", "model", "code"]


@dataclass(frozen=True)
class Size:
    """One printed size; `label` names the format, and is empty where the log names none."""

    kind: SizeKind
    label: str
    bytes: int
    line: int


ClockKind = Literal["calibration", "generation", "production", "evaluation", "adaptation"]


@dataclass(frozen=True)
class Clock:
    """One printed duration of a phase outside the training steps.

    `generation` is calibration data that the model writes itself; `production` is all that leads to the artifact.
    """

    kind: ClockKind
    seconds: float
    line: int
    text: str
    after_training: bool = False
    timed: bool = True
    """False where the log names the phase and not its duration; `seconds` is then 0."""


@dataclass(frozen=True)
class Run:
    """One run of the program."""

    seed: Read[int] | None = None
    world_size: Read[int] | None = None
    train_shards: Read[int] | None = None
    val_tokens: Read[int] | None = None
    scored_tokens: Read[int] | None = None
    """Fewer tokens than the set has, where the log says that only these are scored."""
    scored_bytes: Read[int] | None = None
    steps: Read[int] | None = None
    planned_steps: int | None = None
    train_s: Read[float] | None = None
    scores: tuple[Score, ...] = ()
    sizes: tuple[Size, ...] = ()
    clocks: tuple[Clock, ...] = ()
    errors: tuple[Read[str], ...] = ()

    @property
    def finals(self) -> tuple[Score, ...]:
        """Scores of the artifact."""
        return tuple(score for score in self.scores if score.stage >= Stage.ROUND_TRIP)

    @cached_property
    def score(self) -> Score | None:
        """The reported score: of the highest stage the last one, in its most exact form."""
        finals = self.finals
        if not finals:
            return None
        top = max(score.stage for score in finals)
        last = [score for score in finals if score.stage == top][-1]
        same = [s for s in finals if s.stage == top and abs(s.val_bpb - last.val_bpb) < 0.6 * 10.0**-last.decimals]
        return max(same, key=lambda score: (score.decimals, score.val_loss is not None))

    @cached_property
    def artifact(self) -> Size | None:
        """Code and compressed model together.

        A total without a format is the uncompressed one, unless the compressed model was printed before it.
        """
        compressed = [size for size in self.sizes if size.kind == "model" and size.label]
        totals = [
            size
            for size in self.sizes
            if size.kind == "total" and (size.label or any(model.line < size.line for model in compressed))
        ]
        if totals:
            return totals[-1]
        code = self.code
        if compressed and code is not None:
            return Size("total", compressed[-1].label, compressed[-1].bytes + code.bytes, compressed[-1].line)
        return None

    @property
    def model(self) -> Size | None:
        """The compressed model."""
        return next((size for size in reversed(self.sizes) if size.kind == "model" and size.label), None)

    @property
    def code(self) -> Size | None:
        """The code, as it is counted: compressed where both sizes are printed."""
        codes = [size for size in self.sizes if size.kind == "code"]
        return next((size for size in codes if size.label.startswith("compressed")), codes[-1] if codes else None)

    @property
    def eval_s(self) -> Read[float] | None:
        """Seconds of the evaluation that gave the reported score; the total where the log prints one."""
        totals = [clock for clock in self.clocks if clock.kind == "evaluation"]
        if totals:
            return Read(totals[-1].seconds, totals[-1].line)
        if self.score is None:
            return None
        if self.score.eval_s is not None:
            return Read(self.score.eval_s, self.score.line)
        near = [s for s in self.finals if s.eval_s is not None and abs(s.val_bpb - self.score.val_bpb) < 6e-5]
        return Read(near[-1].eval_s or 0.0, near[-1].line) if near else None


@dataclass(frozen=True)
class LogRecord:
    """One log file: its runs in order."""

    path: str
    runs: tuple[Run, ...] = ()

    @property
    def name(self) -> str:
        """The file's base name."""
        return self.path.rpartition("/")[2]

    @property
    def run(self) -> Run:
        """The run that counts: the last one with a reported score, else the last one."""
        scored = [run for run in self.runs if run.score is not None]
        return (scored or list(self.runs) or [Run()])[-1]


@dataclass(frozen=True)
class Records:
    """Everything that a submission says of its runs."""

    logs: tuple[LogRecord, ...] = ()
    claims: tuple[Claim, ...] = ()

    def claimed(self, name: str) -> tuple[Claim, ...]:
        """Claims of one kind, in order of trust."""
        return tuple(claim for claim in self.claims if claim.name == name)

    @property
    def runs(self) -> tuple[tuple[LogRecord, Run], ...]:
        """Every run, with its log."""
        return tuple((log, run) for log in self.logs for run in log.runs)

    @cached_property
    def finished(self) -> tuple[LogRecord, ...]:
        """Logs that come to a score of the artifact."""
        return tuple(log for log in self.logs if log.run.score is not None)
