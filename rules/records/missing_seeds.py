"""Fewer than three seeds are shown.

What it does
------------
Counts the different runs that come to the reported kind of score: by the seeds that the logs print, else by log. Fewer
than three are a warning; so are seeds that are claimed without a log. Three runs of which fewer have the same settings,
or of which fewer come to the evaluation that most end with, are a note; so is a claim that is not the mean of the seeds
that the logs show.

Why it matters
--------------
A record needs enough runs to tell an improvement from luck. Three are normally enough, and single-seed entries were
refused however close they came.

Limits
------
Runs by other people that a maintainer may count are not known. The first records were accepted before this was asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from auditor.facts import Facts
from auditor.records import LogRecord, Run
from auditor.records.statistics import mean
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.records.mixed_config_seeds import differing
from rules.records.reading import ENOUGH, Quoted, claimed_seeds, finding, is_packaged, names, repeated, reported
from rules.records.samples import example


class MissingSeeds:
    """Runs, counted."""

    id: ClassVar[str] = "missing-seeds"
    kind: ClassVar[Kind] = "record"
    level: ClassVar[Level] = "warning"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ("readme-records", "pr1963", "pr2139")
    examples: ClassVar[tuple[Example, ...]] = (
        example("Three seeds are claimed and one is shown", True, without=("train_seed42.log", "train_seed7.log")),
        example("Three seeds, three logs", False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One finding for the count."""
        if not is_packaged(facts) or facts.submission.claims.val_bpb is None:
            return
        if _shown(reported(facts)) >= ENOUGH:
            yield from self._alike(facts)
            yield from self._stopped(facts)
            return
        runs = repeated(facts)
        shown = _shown(runs)
        if shown >= ENOUGH:
            yield from self._passed_over(facts, runs)
            return
        named = ", ".join(map(str, sorted(claimed_seeds(facts))))
        said = f" Claimed: {named}." if named else ""
        logs = list(dict.fromkeys(record.path for record, _ in runs))
        where = f" ({names([record for record, _ in runs])})" if logs else ""
        message = f"Logs show {shown} of the {ENOUGH} runs that a record needs{where}.{said}"
        yield finding(facts, self, message, _quotes(runs))

    def _passed_over(self, facts: Facts, every: Sequence[tuple[LogRecord, Run]]) -> Iterator[Finding]:
        """Enough seeds in the logs, but the claim is not their mean."""
        headline = next((claim for claim in facts.records.claimed("val_bpb") if claim.seed is None), None)
        ends = {run.seed and run.seed.value: run.score.val_bpb for _, run in every if run.score is not None}
        if headline is None or abs(mean(list(ends.values())) - headline.value) < 1.001 * 10.0 ** -min(
            headline.decimals, 4
        ):
            return
        runs = reported(facts)
        message = (
            f"The claim is {headline.value:.10g}, of {names([record for record, _ in runs])}; the logs show"
            f" {len(ends)} seeds, with a mean of {mean(list(ends.values())):.5f}."
        )
        yield finding(facts, self, message, _quotes(every), level="note")

    def _alike(self, facts: Facts) -> Iterator[Finding]:
        """Enough runs, but not of one configuration."""
        different = differing(facts)
        alike = max(Counter(zip(*different.values(), strict=True)).values(), default=ENOUGH)
        if alike < ENOUGH:
            named = ", ".join(list(different)[:4])
            message = f"{alike} of the runs have the same settings; a record needs {ENOUGH}: {named}."
            yield finding(facts, self, message, level="note")

    def _stopped(self, facts: Facts) -> Iterator[Finding]:
        """Enough runs, but logs that stop before the evaluation that most of them end with."""
        runs = reported(facts)
        if len({run.seed.value for _, run in runs if run.seed is not None}) != len(runs):
            return  # several runs of one seed are experiments
        ends = Counter(run.score.label for _, run in runs if run.score is not None)
        label, count = ends.most_common(1)[0]
        last = max(run.score.stage for _, run in runs if run.score is not None and run.score.label == label)
        short = [
            (record, run.score.line, "its last score")
            for record, run in runs
            if run.score is not None and run.score.stage < last and all(one.label != label for one in run.finals)
        ]
        if short and count > len(runs) / 2 and len(runs) - len(short) < ENOUGH:
            stopped = f"{names([record for record, _, _ in short])} stops before {label}, with which the others end"
            message = f"{stopped}; {len(runs) - len(short)} runs come to it, and a record needs {ENOUGH}."
            yield finding(facts, self, message, short, level="note")


def _shown(runs: Sequence[tuple[LogRecord, Run]]) -> int:
    """How many runs these are: by their seeds, and those that have none."""
    return len({run.seed.value for _, run in runs if run.seed is not None}) + sum(run.seed is None for _, run in runs)


def _quotes(runs: Sequence[tuple[LogRecord, Run]]) -> list[Quoted]:
    """The first scores of runs."""
    return [(record, run.score.line, "a reported score") for record, run in runs if run.score][:ENOUGH]
