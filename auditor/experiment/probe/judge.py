"""The experiment: which runs are made, and what they show.

*A* is the run that all others are compared with. A *cut* changes the tokens that are scored late, and asks whether any
score before them changed (C1; C3 where an update saw these tokens). Where one did, A is repeated, which must give the
same scores bit for bit, and the change must be seen again on a second stream. The *mass* of a score is asked by putting
each token of the vocabulary in the place of one target (C2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

from auditor.experiment.probe.bench import Bench, Floats, Judged, Stopped
from auditor.experiment.probe.conditions import Change, compare, repeated, same
from auditor.experiment.probe.cuts import Cut, Suspect, cuts, in_stream_order, suspects
from auditor.experiment.probe.journal import Scored, Trained
from auditor.experiment.probe.mass import mass
from auditor.experiment.probe.model import Answer, Condition, everywhere
from auditor.experiment.probe.streams import changed, stream

_UNKNOWN = 0.05
"""Share of the scores whose position may be unknown."""


@dataclass(frozen=True)
class Control:
    """Run A."""

    tokens: list[int]
    run: Judged
    suspected: list[Suspect]


@dataclass(frozen=True)
class Outcome:
    """All four answers, and what evaluation they are about."""

    conditions: dict[Condition, Answer]
    evaluation: dict[str, Any]
    seeds: tuple[int, ...]


def judge(bench: Bench, seeds: tuple[int, int]) -> Outcome:
    """Make the runs and answer; `seeds` are those of the stream, and of the one to see a violation again on."""
    used: tuple[int, ...] = seeds[:1]
    try:
        control = _control(bench, seeds[0])
        chosen = cuts(control.run.evaluation, control.suspected)
        found = _compared(bench, control, chosen, seeds[0])
        confirmed = []
        if any(change.changed for _, change in found):
            used = seeds
            _repeated(bench, control)
            confirmed = _confirmed(bench, found, seeds[1])
        conditions = _causality(control, found, confirmed)
        conditions["C2"] = mass(bench, control.tokens, control.run, seeds[0])
    except Stopped as stopped:
        return Outcome(stopped.conditions, {}, used)
    about = _described(control, bench.bytes_of(control.tokens))
    if not about["bpb_agrees"]:
        reason = f"it prints {about['val_bpb']} BPB, and the scores that were seen make {about['recounted_bpb']:.4f}"
        conditions = _doubted(conditions, reason)
    elif bench.claimed is not None and bench.missed(control.run.evaluation):
        reason = f"it did not come to the claimed result, which the logs print as {bench.claimed.label}"
        conditions = _doubted(conditions, reason)
    return Outcome(conditions, about, used)


def _doubted(conditions: dict[Condition, Answer], reason: str) -> dict[Condition, Answer]:
    """Where something else makes the result, nothing is refuted, and what is violated stays so."""
    return {
        name: found if found.answer == "violated" else Answer("inconclusive", reason, found.numbers)
        for name, found in conditions.items()
    }


def _confirmed(bench: Bench, found: list[tuple[Cut, Change]], seed: int) -> list[tuple[Cut, Change]]:
    """The cut that changed the most, on a second stream."""
    worst = max(range(len(found)), key=lambda at: found[at][1].changed)
    control = _first(bench, seed)
    chosen = cuts(control.run.evaluation, control.suspected)
    return _compared(bench, control, chosen[worst : worst + 1] or chosen[-1:], seed)


def _control(bench: Bench, seed: int) -> Control:
    """Run A, of which the positions of almost all scores must be known."""
    control = _first(bench, seed)
    evaluation = control.run.evaluation
    share = evaluation.unknown / max(1, evaluation.unknown + int(evaluation.times.sum()))
    if share > _UNKNOWN:
        raise Stopped(everywhere("inconclusive", f"the positions of {share:.0%} of the scores are not known"))
    return control


def _first(bench: Bench, seed: int) -> Control:
    """The run over a stream, and what was trained on early in it."""
    tokens = stream(bench.recipe, seed)
    run = bench.run(tokens)
    return Control(tokens, run, suspects(run.journal, run.evaluation))


def _repeated(bench: Bench, control: Control) -> None:
    """The control of a change: the same stream once more. Where nothing changed, the cuts are controls themselves."""
    if not same(control.run.evaluation, bench.run(control.tokens).evaluation):
        raise Stopped(everywhere("inconclusive", "two runs over the same tokens gave different scores"))


def _compared(bench: Bench, control: Control, chosen: Sequence[Cut], seed: int) -> list[tuple[Cut, Change]]:
    streams = [changed(bench.recipe, control.tokens, set(cut.changed.tolist()), seed + 1) for cut in chosen]
    found = []
    for cut, run in zip(chosen, bench.runs(streams), strict=True):
        change = compare(control.run.evaluation, run.evaluation, cut)
        if not change.alive:
            raise Stopped(everywhere("inconclusive", "the scores do not depend on the tokens at all"))
        found.append((cut, change))
    if not found:
        raise Stopped(everywhere("inconclusive", "too few scores for a cut"))
    return found


def _causality(
    control: Control, found: list[tuple[Cut, Change]], confirmed: list[tuple[Cut, Change]]
) -> dict[Condition, Answer]:
    """C1, C3 and C4 from the cuts."""
    worst = max((change for _, change in found), key=lambda change: change.changed)
    numbers: dict[str, Any] = {
        "cuts": len(found),
        "checked": worst.checked,
        "changed": worst.changed,
        "largest_change_nats": worst.largest,
        "updates": sum(isinstance(entry, Trained) for entry in control.run.journal),
        "early_updates": len(control.suspected),
    }
    twice = repeated(control.run.evaluation, _window(control))
    numbers_c4 = {"scored": len(control.run.evaluation.scored), "scored_again": twice}
    if not worst.changed:
        return {
            "C1": Answer("not-refuted", None, numbers),
            "C3": Answer("not-refuted", None, numbers),
            "C4": Answer("not-refuted", None, numbers_c4),
        }
    if not any(change.changed for _, change in confirmed):
        answers = everywhere("inconclusive", "scores changed on one stream and not on a second one")
        return {name: replace(answer, numbers=numbers) for name, answer in answers.items()}
    what = f"{worst.changed} of {worst.checked} scores changed when only tokens scored later were changed"
    early = "no update saw a token before its score"
    if control.suspected:
        early = f"{len(control.suspected)} updates saw tokens before their score"
    return {
        "C1": Answer("violated", what, numbers),
        "C3": Answer("violated", f"{early}; {what}", numbers)
        if control.suspected
        else Answer("not-refuted", early, numbers),
        "C4": Answer("not-refuted", None, numbers_c4),
    }


def _window(control: Control) -> int:
    """Positions at the end that classic scripts score with several windows: as many as one run of targets holds."""
    return max((len(entry.places) for entry in control.run.journal if isinstance(entry, Scored)), default=0)


def _described(control: Control, bytes_of: Floats) -> dict[str, Any]:
    """What was judged, and its score per byte counted again."""
    evaluation = control.run.evaluation
    recount = evaluation.nats / log(2) / float((bytes_of * evaluation.times).sum())
    printed = evaluation.score.val_bpb
    return {
        "label": evaluation.score.label,
        "val_loss": evaluation.score.val_loss,
        "val_bpb": printed,
        "recounted_bpb": recount,
        "bpb_agrees": abs(recount - printed) <= 0.002 * printed,
        "site": str(evaluation.site),
        "line": max(1, evaluation.site.line),
        "scored": len(evaluation.scored),
        "tokens": len(control.tokens),
        "in_stream_order": in_stream_order(evaluation),
    }
