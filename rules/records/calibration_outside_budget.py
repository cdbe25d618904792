"""Calibration on training data runs after the training clock has stopped.

What it does
------------
Adds the calibration that a log times after the end of training to the training clock. More than five seconds over the
600 s are a warning; less is a note, since accepted rows have it.

Why it matters
--------------
Everything is training or evaluation. Training data that are read after the 600 s are read in the evaluation, which a
maintainer ruled out; the way to keep the rule is to stop training earlier.

Limits
------
Only what logs time is seen. Calibration on text that the model generated itself is not counted, and a log that does not
say what it calibrates on is taken to use training data.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from auditor.facts import Facts
from auditor.records.model import BUDGET_S
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.records.reading import finding, reported
from rules.records.samples import example, log
from rules.records.time_over_budget import ONE_STEP, UNRULED, calibration_after

_LONG = "gptq:calibrated 68 layers in 41.5s\n"
_GENERATED = "gptq:generated 64 sequences in 196.7s\n"


class CalibrationOutsideBudget:
    """Calibration after the clock."""

    id: ClassVar[str] = "calibration-outside-budget"
    kind: ClassVar[Kind] = "record"
    level: ClassVar[Level] = "warning"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ("pr609", "pr529")
    examples: ClassVar[tuple[Example, ...]] = (
        example("Forty seconds of calibration after 600 of training", True, train_seed7=log(7, calibration=_LONG)),
        example("Training stops early enough", False, train_seed7=log(7, train_ms=555_000, calibration=_LONG)),
        example("The model writes its own calibration text", False, train_seed7=log(7, calibration=_GENERATED)),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """The run that passes the budget most."""
        worst = None
        for record, run in reported(facts):
            late = calibration_after(run)
            if run.train_s is None or not late:
                continue
            took = sum(clock.seconds for clock in late)
            total = run.train_s.value + took
            untimed = took == 0 and total > BUDGET_S
            if (untimed or total > BUDGET_S + ONE_STEP) and (worst is None or total > worst[0]):
                worst = total, took, record, run.train_s, late
        if worst is None:
            return
        total, took, record, trained, late = worst
        length = f"{took:.1f} s of calibration follow" if took else "calibration of unknown length follows"
        over = f", {total - BUDGET_S:.1f} s more than the budget has" if took else ", which is all that the budget has"
        message = f"{record.name}: {length} {trained.value:.1f} s of training{over}."
        quoted = [(record, trained.line, "training has ended")]
        quoted += [(record, clock.line, "calibration after it") for clock in late]
        level: Level = "warning" if not took or total > BUDGET_S + UNRULED else "note"
        yield finding(facts, self, message, quoted, level=level)
