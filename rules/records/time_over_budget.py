"""Training or evaluation takes more than 600 seconds.

What it does
------------
Reads the training clock of the reported runs, with the calibration that follows it, and the clock of the evaluation;
without logs, what submission.json and the README's table of phases say.
More than half a second over the budget is a warning, five where calibration is included. Less is a note, and so are
several evaluation phases that only together take longer.

Why it matters
--------------
Both budgets are part of the contest's rules, and there is no untimed phase between them.

Limits
------
The times are the log's own. Another machine than eight H100 is named, not converted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from auditor.facts import Facts
from auditor.records import Clock, LogRecord, Run, Stage
from auditor.records.model import BUDGET_S
from auditor.submission.claims import evaluation_phases as claimed_phases
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.records.reading import Quoted, finding, reported
from rules.records.samples import example, log

ONE_STEP = 0.5
"""Seconds by which a loop that stops after the budget may pass it."""
UNRULED = 5.0
"""Seconds by which training and calibration together pass the budget in accepted rows."""
_CALIBRATED = "gptq:calibrated 68 layers in 41.5s\n"


class TimeOverBudget:
    """The two clocks."""

    id: ClassVar[str] = "time-over-budget"
    kind: ClassVar[Kind] = "record"
    level: ClassVar[Level] = "warning"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ("readme-records", "pr529")
    examples: ClassVar[tuple[Example, ...]] = (
        example("The evaluation takes 671 seconds", True, train_seed42=log(42, eval_ms=671_240)),
        example("Training and calibration together pass the budget", True, train_seed7=log(7, calibration=_CALIBRATED)),
        example("The loop stops at the first step after the budget", False, train_seed7=log(7, train_ms=600_107)),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """The worst run, once for training and once for evaluation."""
        runs = reported(facts)
        yield from self._training(facts, runs)
        yield from self._evaluation(facts, runs)
        yield from self._claimed(facts, runs)

    def _training(self, facts: Facts, runs: tuple[tuple[LogRecord, Run], ...]) -> Iterator[Finding]:
        over: list[tuple[bool, float, str, list[Quoted]]] = []
        for record, run in runs:
            if run.train_s is None:
                continue
            trained, late = run.train_s.value, calibration_after(run)
            total = trained + sum(clock.seconds for clock in late)
            if total <= BUDGET_S:
                continue
            with_it = f", {total:.1f} s with the calibration after it" if late else ""
            machine = "" if run.world_size is None or run.world_size.value == 8 else f" on {run.world_size.value} GPUs"
            quoted = [(record, run.train_s.line, "the training clock")]
            quoted += [(record, clock.line, "calibration after it") for clock in late]
            serious = trained > BUDGET_S + ONE_STEP or total > BUDGET_S + UNRULED
            over.append((serious, total, f"{record.name}: training takes {trained:.1f} s{with_it}{machine}", quoted))
        if over:
            serious, _, text, quoted = max(over, key=lambda found: found[:2])
            level: Level = "warning" if serious else "note"
            yield finding(facts, self, f"{text}; the budget is 600 s.", quoted, level=level)

    def _evaluation(self, facts: Facts, runs: tuple[tuple[LogRecord, Run], ...]) -> Iterator[Finding]:
        over: list[tuple[bool, float, str, list[Quoted]]] = []
        for record, run in runs:
            one = run.eval_s
            if one is not None and one.value > BUDGET_S:
                text = f"{record.name}: the evaluation takes {one.value:.1f} s"
                over.append((one.value > BUDGET_S + ONE_STEP, one.value, text, [(record, one.line, "its clock")]))
                continue
            phases = evaluation_phases(run)
            total = sum(seconds for _, seconds in phases)
            if total > BUDGET_S:
                text = f"{record.name}: the {len(phases)} evaluations of the artifact take {total:.1f} s together"
                over.append((False, total, text, [(record, line, f"{s:.1f} s") for line, s in phases]))
        if over:
            clear, _, text, quoted = max(over, key=lambda found: found[:2])
            level: Level = "warning" if clear else "note"
            yield finding(facts, self, f"{text}; the budget is 600 s.", quoted, level=level)

    def _claimed(self, facts: Facts, runs: tuple[tuple[LogRecord, Run], ...]) -> Iterator[Finding]:
        """What submission.json says, a note where logs say less; without logs the README's table of phases too."""
        for name, what in (("train_s", "training"), ("eval_s", "evaluation")):
            clocks = [clock.value for _, run in runs if (clock := run.train_s if name == "train_s" else run.eval_s)]
            if max(clocks, default=0.0) > BUDGET_S + ONE_STEP:
                continue
            for claim in facts.records.claimed(name):
                if claim.value > BUDGET_S + (ONE_STEP if clocks else 0):
                    near = claim.value < BUDGET_S + ONE_STEP
                    said_s = f"{claim.value:.3f}" if near else f"{claim.value:.1f}"
                    text = f"{claim.where} gives {said_s} s of {what}; the budget is 600 s."
                    said = f" The logs say {max(clocks):.1f} s." if clocks else ""
                    yield finding(facts, self, text + said, level="note" if clocks or near else None)
                    break
        if runs:
            return
        phases = claimed_phases(facts.submission.readme or "")
        total = sum(seconds for _, seconds in phases)
        if total > BUDGET_S + ONE_STEP:
            listed = " and ".join(f"{seconds:g} s" for _, seconds in phases[:4])
            text = f"The README lists {listed} of evaluation, {total:g} s if all of it counts; the budget is 600 s."
            yield finding(facts, self, text, level="note")


def calibration_after(run: Run) -> list[Clock]:
    """Clocks of calibration on given data after the training clock had stopped; a rank that repeats one is left out."""
    late = [clock for clock in run.clocks if clock.after_training and clock.kind == "calibration"]
    if any(clock.kind == "generation" for clock in run.clocks):
        late = [clock for clock in late if clock.timed]
    return list({clock.seconds: clock for clock in late}.values())


def evaluation_phases(run: Run) -> list[tuple[int, float]]:
    """Line and seconds of each evaluation of the artifact; a total replaces them."""
    phases: dict[float, int] = {}
    for score in run.finals:
        if score.eval_s is not None and score.stage > Stage.BEFORE and score.label.split()[0] != "diagnostic":
            phases.setdefault(round(score.eval_s), score.line)
    if any(clock.kind == "evaluation" for clock in run.clocks):
        return []
    return [(line, float(seconds)) for seconds, line in phases.items()]
