"""What rules on records share: which runs are the reported ones, what binds them, and how a finding quotes them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from auditor.facts import Facts
from auditor.records import LogRecord, Run, Score
from auditor.records.statistics import mean
from auditor.submission.claims import BACKED_SPREAD, Claim
from auditor.verdict import Evidence, Finding, Level, Step

if TYPE_CHECKING:
    from rules.base import Rule

ENOUGH = 3
"""Runs that a record needs."""
_EXACT = 6
"""Decimals of a score that two runs do not share by chance."""
Quoted = tuple[LogRecord, int, str]
"""A log, a line of it, and why it is quoted."""


def binds(facts: Facts) -> bool:
    """Whether the limits of the record track bind; the other tracks say so in their place, or in submission.json."""
    declared = (facts.submission.submission_json or {}).get("track")
    track = (facts.submission.track or str(declared)).lower()
    return not any(word in track for word in ("non_record", "non-record", "nonrecord", "unlimited"))


def is_packaged(facts: Facts) -> bool:
    """Whether there is a whole submission, not a script that was named alone."""
    submission = facts.submission
    named_alone = (submission.target.path or "").endswith(".py")
    return (bool(submission.folder) or submission.target.pr is not None) and not named_alone


def reported(facts: Facts) -> tuple[tuple[LogRecord, Run], ...]:
    """The runs that the claimed score was read from, else all finished ones; the same run is taken once."""
    runs: dict[tuple[object, ...], tuple[LogRecord, Run]] = {}
    for log, run in facts.records.runs:
        if run.score is not None:
            runs.setdefault((run.seed and run.seed.value, run.score.val_bpb), (log, run))
    seeded = [run for _, run in runs.values() if run.seed is not None]
    once = [(log, run) for log, run in runs.values() if run.seed is not None or not _is_quoted(run, seeded)]
    claimed = _exact_claims(facts)
    matched = [(log, run) for log, run in once if any(_is_claimed(s, c) for s in run.finals for c in claimed)]
    return tuple(matched or once)


def _is_quoted(run: Run, others: Iterable[Run]) -> bool:
    """Whether what looks like a run is another one again: its exact score, or a text that quotes it rounded."""
    one = run.score
    return one is not None and any(
        abs(one.val_bpb - score.val_bpb) < 0.6 * 10.0**-one.decimals
        and (one.decimals >= _EXACT if score.decimals == one.decimals else run.steps is None)
        for other in others
        for score in other.finals
        if score.decimals >= one.decimals
    )


def repeated(facts: Facts) -> tuple[tuple[LogRecord, Run], ...]:
    """The reported runs; too few, with those of other seeds that end with such a score close by.

    Seeds that are not claimed count where they make enough: a single one of them may be another experiment.
    """
    runs = reported(facts)
    seeds = {run.seed.value for _, run in runs if run.seed is not None}
    ends = [score for _, run in runs for score in run.finals]
    more: dict[int, tuple[LogRecord, Run]] = {}
    for log, run in facts.records.runs if len(seeds) < ENOUGH else ():
        one = run.score
        if one is None or run.seed is None or run.seed.value in seeds:
            continue
        if any(end.label == one.label and abs(end.val_bpb - one.val_bpb) < BACKED_SPREAD for end in ends):
            more.setdefault(run.seed.value, (log, run))
    claimed = claimed_seeds(facts)
    enough = len(seeds) + len(more) >= ENOUGH
    return (*runs, *(found for seed, found in more.items() if enough or seed in claimed))


def claimed_seeds(facts: Facts) -> frozenset[int]:
    """Seeds that submission.json or the README names."""
    return frozenset(int(claim.value) for claim in facts.records.claimed("seed")) | set(facts.submission.claims.seeds)


def counted_score(facts: Facts, run: Run) -> Score | None:
    """The score that the log ends with, or another one of the artifact that is claimed for the seed.

    A README's table may give several scores of a run: of these only a better one counts.
    """
    if run.score is None or run.seed is None:
        return run.score
    own = [claim for claim in _exact_claims(facts) if claim.seed == run.seed.value]
    if len({one.seed and one.seed.value for _, one in reported(facts)}) == 1:
        own = own or [claim for claim in _exact_claims(facts) if claim.seed is None]
    if any(_is_claimed(run.score, claim) for claim in own) or _ends_are_the_headline(facts):
        return run.score
    declared = [claim for claim in own if claim.where.startswith("submission.json")]
    exact = [s for s in run.finals if any(_is_claimed(s, claim) for claim in declared)]
    better = [s for s in run.finals if s.val_bpb < run.score.val_bpb and any(_is_claimed(s, claim) for claim in own)]
    return (better or exact or [run.score])[-1]


def _ends_are_the_headline(facts: Facts) -> bool:
    """Whether the claimed score is the mean of what the logs of the runs end with."""
    headline = next((claim for claim in _exact_claims(facts) if claim.seed is None), None)
    ends = {run.seed and run.seed.value: run.score.val_bpb for _, run in reported(facts) if run.score is not None}
    return headline is not None and abs(mean(list(ends.values())) - headline.value) < 1.001e-4


def _exact_claims(facts: Facts) -> list[Claim]:
    """Claimed scores with enough digits to be recognised."""
    return [claim for claim in facts.records.claimed("val_bpb") if claim.decimals >= 4]


def _is_claimed(score: Score, claim: Claim) -> bool:
    return abs(score.val_bpb - claim.value) < 0.6 * 10.0**-claim.decimals


def finding(
    facts: Facts, rule: Rule, message: str, quoted: Iterable[Quoted] = (), *, level: Level | None = None, file: str = ""
) -> Finding:
    """A finding that quotes log lines; without any it points at the first line of `file`, or of the script."""
    steps = [Step(line, _line(facts, log, line), note, file=log.path) for log, line, note in quoted]
    place = steps[0].file if steps else file
    return Finding(
        rule=rule.id,
        level="note" if not binds(facts) else level or rule.level,
        message=message,
        file=place or facts.submission.script or facts.file,
        line=steps[0].line if steps else 1,
        activation="run",
        rulings=rule.rulings,
        evidence=(Evidence("records", tuple(steps)),),
        anchor=message,
    )


def at_line(facts: Facts, rule: Rule, message: str, line: int, module: str, note: str) -> Finding:
    """A finding at a line of the script, or of a module beside it."""
    step = Step(line, facts.line(line, module)[:300], note, file=module or None)
    file = f"{facts.submission.folder}/{module.replace('.', '/')}.py" if module else facts.file
    return replace(finding(facts, rule, message, file=file), line=line, evidence=(Evidence("records", (step,)),))


def _line(facts: Facts, record: LogRecord, number: int) -> str:
    """The text of a log's line, by its number in the file."""
    log = next(log for log in facts.submission.logs if log.path == record.path)
    index = bisect_left(log.numbers, number) if log.numbers else number - 1
    return log.text.split("\n")[index].strip()[:300]


def names(logs: Sequence[LogRecord], limit: int = 5) -> str:
    """Names of logs, for a message."""
    shown = ", ".join(log.name for log in logs[:limit])
    return shown + (f" and {len(logs) - limit} more" if len(logs) > limit else "")
