"""Our own clock: the lines of a run as they come, the phase that each one ends, and when a phase has lasted too long.

The lines are those that `auditor.records` knows. Training is from the first step line to the line that says that it
stopped, less what the script's own clock stood still while it validated in between; the evaluation is from the last
printed size before the first score of the artifact to the last such score. What a script says of its own times is never
used for more than those pauses, and they are shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from auditor.records import dialects, parse_log
from auditor.submission.logs import decode
from auditor.validate.model import GRACE, Budgets, Phase

MAX_LINE = 1 << 16
"""Bytes of one line that are kept."""
_PEAK = "peak memory"


@dataclass(frozen=True)
class Spans:
    """Seconds of each phase; None where no line tells of it."""

    setup_s: float | None = None
    training_s: float | None = None
    artifact_s: float | None = None
    evaluation_s: float | None = None
    paused_s: float = 0.0


class Clock:
    """Listens to one run (`auditor.sandbox.Watcher`); a script with a clock of its own may pause it to validate."""

    def __init__(self, budgets: Budgets, *, pauses: bool, tell: Callable[[Phase, float, str], None]) -> None:
        """`pauses` is whether the script's clock is a real one; `tell` gets phase, seconds in it, and the line."""
        self.budgets = budgets
        self.pauses = pauses
        self.tell = tell
        self.phase = Phase.SETUP
        self.lines: list[tuple[float, str]] = []
        self.over: Phase | None = None
        """The phase for which the run was ended."""
        self.paused_s = 0.0
        self._partial = b""
        self._trained_from = self._trained_to = self._made_to = self._scored_to = None  # type: float | None
        self._last: tuple[float, float | None] = (0.0, None)

    def hear(self, stream: int, data: bytes, seconds: float) -> None:
        """Take a piece of output; logs are on standard output."""
        if stream != 1:
            return
        *whole, self._partial = (self._partial + data).split(b"\n")
        for line in whole:
            self.take(decode(line[:MAX_LINE]), seconds)
        self._partial = self._partial[:MAX_LINE]

    def finish(self, seconds: float) -> None:
        """Take what is left of the last line."""
        if self._partial:
            self.take(decode(self._partial), seconds)
            self._partial = b""

    def take(self, line: str, seconds: float) -> None:
        """Take one line."""
        self.lines.append((seconds, line))
        if dialects.STEP.search(line) and self.phase in (Phase.SETUP, Phase.TRAINING):
            self._step(line, seconds)
        elif self.phase is not Phase.SETUP:
            self._later(line, seconds)
        self.tell(self.phase, seconds - self._began(), line)

    def _step(self, line: str, seconds: float) -> None:
        """A step of the training; one that tells a validation score may come after a pause."""
        found = dialects.TRAIN_TIME.search(line)
        said = dialects.seconds(found[1], found[2]) if found and self.pauses else None
        if self._trained_from is None:
            self._trained_from = seconds - (said if said is not None and said <= seconds else 0.0)
            self.phase = Phase.TRAINING
        elif "val_" in line and said is not None and self._last[1] is not None:
            self.paused_s += max(0.0, (seconds - self._last[0]) - (said - self._last[1]))
        self._last = seconds, said
        self._trained_to = seconds

    def _later(self, line: str, seconds: float) -> None:
        """What ends the training, then the artifact, then the evaluation."""
        stopped = self.phase is Phase.TRAINING and dialects.STOPPED.search(line) is not None
        read = parse_log("", [(1, line)]).run
        if self.phase is Phase.TRAINING and (stopped or read.sizes or read.finals or _PEAK in line):
            self._trained_to = seconds if stopped else self._trained_to
            self.phase = Phase.ARTIFACT
        if read.sizes and self._scored_to is None:
            self._made_to = seconds
            if any(size.label for size in read.sizes):
                self.phase = Phase.EVALUATION
        if read.finals:
            self._scored_to = seconds
            self.phase = Phase.EVALUATION

    def stop(self, seconds: float) -> str | None:
        """Why the run is to be ended now: it is beyond a budget by more than the grace."""
        took = seconds - self._began()
        allowed = {
            Phase.SETUP: self.budgets.setup_s,
            Phase.TRAINING: self.budgets.training_s * (1 + GRACE) + self.paused_s,
            Phase.ARTIFACT: self.budgets.artifact_s,
            Phase.EVALUATION: self.budgets.evaluation_s * (1 + GRACE),
        }[self.phase]
        if took <= allowed:
            return None
        self.over = self.phase
        return f"{self.phase.value}: ended after {took:.1f} s by our clock; the budget is {self._budget():g} s"

    def spans(self, seconds: float) -> Spans:
        """The phases of a run that was over after `seconds`; the one in which it was ended lasts until then."""
        started, trained, made = self._trained_from, self._trained_to, self._made_to
        if started is None or trained is None:
            return Spans(setup_s=seconds if self.over else None)
        trained = seconds if self.over is Phase.TRAINING else trained
        scored = seconds if self.over is Phase.EVALUATION else self._scored_to
        made = trained if made is None else made
        return Spans(
            setup_s=started,
            training_s=max(0.0, trained - started - self.paused_s),
            artifact_s=None if self.phase is Phase.TRAINING else made - trained,
            evaluation_s=None if scored is None else scored - made,
            paused_s=self.paused_s,
        )

    def _began(self) -> float:
        """When the phase that is under way began, by our clock."""
        trained = self._trained_to or 0.0
        return {
            Phase.SETUP: 0.0,
            Phase.TRAINING: self._trained_from or 0.0,
            Phase.ARTIFACT: trained,
            Phase.EVALUATION: trained if self._made_to is None else self._made_to,
        }[self.phase]

    def _budget(self) -> float:
        return {
            Phase.SETUP: self.budgets.setup_s,
            Phase.TRAINING: self.budgets.training_s,
            Phase.ARTIFACT: self.budgets.artifact_s,
            Phase.EVALUATION: self.budgets.evaluation_s,
        }[self.phase]
