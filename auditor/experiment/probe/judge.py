"""The experiment: which runs are made, and what they show.

*A* is the run that all others are compared with. A *cut* changes the tokens that are scored late, and asks whether any
score before them changed (C1; C3 where an update saw these tokens). Where one did, A is repeated, which must give the
same scores bit for bit, and the change must be seen again on a second stream. The *mass* of a score is asked by putting
each token of the vocabulary in the place of one target (C2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from auditor.experiment.probe.conditions import Change, beats_chance, compare, mixed, repeated, same
from auditor.experiment.probe.cuts import Cut, Suspect, cuts, in_stream_order, suspects
from auditor.experiment.probe.evaluations import Evaluation, Unreconciled, reported
from auditor.experiment.probe.journal import Journal, Scored, Trained
from auditor.experiment.probe.model import Answer, Condition, everywhere
from auditor.experiment.probe.streams import Recipe, changed, stream

Floats = npt.NDArray[np.float64]

_UNKNOWN = 0.05
"""Share of the scores whose position may be unknown."""
_EARLY = 24
"""Which of the positions that something was mixed into is asked: each token costs an evaluation up to there."""
_MASS = 0.01
"""How far from one the probabilities may sum up: single precision over a few thousand tokens is within 1e-4."""


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
class Control:
    """Run A."""

    tokens: list[int]
    journal: Journal
    evaluation: Evaluation
    suspected: list[Suspect]


@dataclass(frozen=True)
class Outcome:
    """All four answers, and what evaluation they are about."""

    conditions: dict[Condition, Answer]
    evaluation: dict[str, Any]
    seeds: tuple[int, ...]


def judge(
    runner: Runner, recipe: Recipe, bytes_of: Callable[[Sequence[int]], Floats], seeds: tuple[int, int]
) -> Outcome:
    """Make the runs and answer.

    `bytes_of` gives the bytes that each position of a stream stands for; `seeds` are those of the stream, and of the
    one on which a violation must be seen again.
    """
    used: tuple[int, ...] = seeds[:1]
    try:
        control = _control(runner, recipe, bytes_of, seeds[0])
        chosen = cuts(control.evaluation, control.suspected)
        found = _compared(runner, recipe, bytes_of, control, chosen, seeds[0])
        confirmed = []
        if any(change.changed for _, change in found):
            used = seeds
            _repeated(runner, bytes_of, control)
            confirmed = _confirmed(runner, recipe, bytes_of, found, seeds[1])
        conditions = _causality(control, found, confirmed)
        conditions["C2"] = _mass(runner, recipe, bytes_of, control, seeds[0])
    except Stopped as stopped:
        return Outcome(stopped.conditions, {}, used)
    about = _described(control, bytes_of(control.tokens))
    return Outcome(conditions if about["bpb_agrees"] else _doubted(conditions, about), about, used)


def _doubted(conditions: dict[Condition, Answer], about: dict[str, Any]) -> dict[Condition, Answer]:
    """Where the printed bits per byte are not those of the scores, nothing is shown of what made them."""
    reason = f"it prints {about['val_bpb']} BPB, and the scores that were seen make {about['recounted_bpb']:.4f}"
    return {
        name: found if found.answer == "violated" else Answer("inconclusive", reason, found.numbers)
        for name, found in conditions.items()
    }


def _confirmed(
    runner: Runner,
    recipe: Recipe,
    bytes_of: Callable[[Sequence[int]], Floats],
    found: list[tuple[Cut, Change]],
    seed: int,
) -> list[tuple[Cut, Change]]:
    """The cut that changed the most, on a second stream."""
    worst = max(range(len(found)), key=lambda at: found[at][1].changed)
    control = _first(runner, recipe, bytes_of, seed)
    chosen = cuts(control.evaluation, control.suspected)
    return _compared(runner, recipe, bytes_of, control, chosen[worst : worst + 1] or chosen[-1:], seed)


def _control(runner: Runner, recipe: Recipe, bytes_of: Callable[[Sequence[int]], Floats], seed: int) -> Control:
    """Run A, of which the positions of almost all scores must be known."""
    control = _first(runner, recipe, bytes_of, seed)
    evaluation = control.evaluation
    share = evaluation.unknown / max(1, evaluation.unknown + int(evaluation.times.sum()))
    if share > _UNKNOWN:
        raise Stopped(everywhere("inconclusive", f"the positions of {share:.0%} of the scores are not known"))
    return control


def _first(runner: Runner, recipe: Recipe, bytes_of: Callable[[Sequence[int]], Floats], seed: int) -> Control:
    """The run over a stream, and what was trained on early in it."""
    tokens = stream(recipe, seed)
    run = runner.run([tokens])[0]
    evaluation = _evaluation(run, bytes_of(tokens))
    return Control(tokens, run.journal, evaluation, suspects(run.journal, evaluation))


def _repeated(runner: Runner, bytes_of: Callable[[Sequence[int]], Floats], control: Control) -> None:
    """The control of a change: the same stream once more. Where nothing changed, the cuts are controls themselves."""
    again = _evaluation(runner.run([control.tokens])[0], bytes_of(control.tokens))
    if not same(control.evaluation, again):
        raise Stopped(everywhere("inconclusive", "two runs over the same tokens gave different scores"))


def _evaluation(run: Observed, bytes_of: Floats) -> Evaluation:
    if run.failure is not None:
        raise Stopped(everywhere("could-not-run", run.failure))
    found = reported(run.journal, bytes_of)
    if found is None:
        raise Stopped(everywhere("inconclusive", "the run printed no score"))
    if isinstance(found, Unreconciled):
        raise Stopped(everywhere("inconclusive", _unreconciled(found)))
    return found


def _unreconciled(found: Unreconciled) -> str:
    loss = "" if found.score.val_loss is None else f"loss {found.score.val_loss}, "
    return (
        f"no losses that were seen add up to the printed result ({found.score.label}: {loss}{found.score.val_bpb} BPB)"
    )


def _compared(
    runner: Runner,
    recipe: Recipe,
    bytes_of: Callable[[Sequence[int]], Floats],
    control: Control,
    chosen: Sequence[Cut],
    seed: int,
) -> list[tuple[Cut, Change]]:
    streams = [changed(recipe, control.tokens, set(cut.changed.tolist()), seed + 1) for cut in chosen]
    runs = runner.run(streams)
    found = []
    for cut, tokens, run in zip(chosen, streams, runs, strict=True):
        change = compare(control.evaluation, _evaluation(run, bytes_of(tokens)), cut)
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
        "updates": sum(isinstance(entry, Trained) for entry in control.journal),
        "early_updates": len(control.suspected),
    }
    twice = repeated(control.evaluation, _window(control))
    numbers_c4 = {"scored": len(control.evaluation.scored), "scored_again": twice}
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
    return max((len(entry.places) for entry in control.journal if isinstance(entry, Scored)), default=0)


def _mass(
    runner: Runner, recipe: Recipe, bytes_of: Callable[[Sequence[int]], Floats], control: Control, seed: int
) -> Answer:
    """C2: by construction where every score is a cross-entropy over logits, else by asking for all tokens' losses."""
    evaluation = control.evaluation
    places = mixed(control.journal, evaluation)
    numbers: dict[str, Any] = {
        "scores": len(evaluation.scored),
        "cross_entropy_over_logits": len(evaluation.scored) - len(places),
    }
    if not len(places):
        return Answer("not-refuted", None, numbers)
    random = stream(replace(recipe, planted=0.0), seed + 2)
    null = _evaluation(runner.run([random])[0], bytes_of(random))
    loss, chance, margin = beats_chance(null, len(recipe.tokens))
    numbers |= {"null_nll": loss, "ln_v": chance, "null_margin": margin}
    place = int(places[min(len(places) - 1, _EARLY)])
    site = evaluation.site
    question = MassQuestion(evaluation.start, place, (site.kind, site.file, site.line, site.column, site.function))
    answers = [loss for loss in runner.mass(control.tokens, question).losses if loss is not None]
    mass = sum(exp(-loss) for loss in answers)
    numbers |= {"place": place, "tokens_tried": len(answers), "sum_of_probabilities": mass}
    if mass > 1 + _MASS:
        return Answer(
            "violated",
            f"at one position {len(answers)} tokens have a probability of {mass:.3f} together",
            numbers,
        )
    if loss < chance - margin:
        return Answer("violated", f"random tokens cost {loss:.3f} nats, less than ln V = {chance:.3f}", numbers)
    if len(answers) < len(recipe.tokens):
        return Answer("inconclusive", f"{len(answers)} of {len(recipe.tokens)} tokens could be tried", numbers)
    return Answer("not-refuted", None, numbers)


def _described(control: Control, bytes_of: Floats) -> dict[str, Any]:
    """What was judged, and its score per byte counted again."""
    evaluation = control.evaluation
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
