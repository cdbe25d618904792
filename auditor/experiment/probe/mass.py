"""C2, normalisation: the probabilities of all tokens at one position, and the loss of tokens that nothing foretells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp
from typing import Any

from auditor.experiment.probe.bench import Bench, Judged, MassQuestion, Observed
from auditor.experiment.probe.conditions import beats_chance, mixed
from auditor.experiment.probe.journal import Scored
from auditor.experiment.probe.model import Answer
from auditor.experiment.probe.streams import stream

_EARLY = 24
"""Which of the positions that something was mixed into is asked: each token costs an evaluation up to there."""
_MASS = 0.01
"""How far from one the probabilities may sum up: single precision over a few thousand tokens is within 1e-4."""
_SAME = 1e-6
"""Nats by which a loss in a fork may differ from that of a run of its own."""


@dataclass(frozen=True)
class Asked:
    """The losses of all tokens at one position, in nats; `None` where none came."""

    losses: tuple[float | None, ...]
    confirmed: bool
    """Whether runs of their own over two of the other tokens gave the same losses as the forks."""
    failure: str | None = None
    """Why the run that forks failed."""

    @property
    def told(self) -> list[float]:
        """The losses that came."""
        return [loss for loss in self.losses if loss is not None]

    @property
    def total(self) -> float:
        """Their probabilities together."""
        return sum(exp(-loss) for loss in self.told)


def mass(bench: Bench, tokens: Sequence[int], control: Judged, seed: int) -> Answer:
    """By construction where every score is a cross-entropy over logits, else by asking for all tokens' losses."""
    evaluation = control.evaluation
    places = mixed(control.journal, evaluation)
    numbers: dict[str, Any] = {
        "scores": len(evaluation.scored),
        "cross_entropy_over_logits": len(evaluation.scored) - len(places),
    }
    if not len(places):
        return Answer("not-refuted", None, numbers)
    random = stream(replace(bench.recipe, planted=0.0), seed + 2)
    vocabulary = len(bench.recipe.tokens)
    loss, chance, margin = beats_chance(bench.run(random).evaluation, vocabulary)
    numbers |= {"null_nll": loss, "ln_v": chance, "null_margin": margin}
    place = int(places[min(len(places) - 1, _EARLY)])
    asked = _asked(bench, tokens, control, place)
    total = asked.total
    numbers |= {"place": place, "tokens_tried": len(asked.told), "sum_of_probabilities": total}
    if total > 1 + _MASS and asked.confirmed:
        told = f"at one position {len(asked.told)} tokens have a probability of {total:.3f} together"
        return Answer("violated", told, numbers)
    if loss < chance - margin:
        return Answer("violated", f"random tokens cost {loss:.3f} nats, less than ln V = {chance:.3f}", numbers)
    if asked.failure is not None:
        return Answer("inconclusive", f"the tokens at one position could not be tried: {asked.failure}", numbers)
    if len(asked.told) < vocabulary:
        return Answer("inconclusive", f"{len(asked.told)} of {vocabulary} tokens could be tried", numbers)
    if not asked.confirmed:
        return Answer("inconclusive", "a token that is exchanged midway has another loss than in a whole run", numbers)
    return Answer("not-refuted", None, numbers)


def _asked(bench: Bench, tokens: Sequence[int], control: Judged, place: int) -> Asked:
    """The losses at a place, from forks right before the evaluation begins to score, or from farther back.

    What is prepared before the fork (quantisation, tables, keys) costs nothing there. If it depends on the token, the
    forks are wrong: losses that runs of their own do not show, or probabilities that are missing.
    """
    asked = Asked((), False)
    for entry in _entries(control):
        site = control.evaluation.site
        question = MassQuestion(entry, place, (site.kind, site.file, site.line, site.column, site.function))
        asked = _confirmed(bench, tokens, place, bench.runner.mass(tokens, question))
        nothing_lost = len(asked.told) < len(bench.recipe.tokens) or asked.total > 1 - _MASS
        if not asked.told or (asked.confirmed and nothing_lost):
            break
    return asked


def _entries(control: Judged) -> list[int]:
    """Journal entries to fork at: the last one before the first score of the evaluation, and the evaluation's first."""
    start, end = control.evaluation.start, control.evaluation.end
    scores = (
        number
        for number in range(start, end)
        if isinstance(entry := control.journal[number], Scored) and (entry.places >= 0).any()
    )
    return list(dict.fromkeys((max(start, next(scores, start) - 1), start)))


def _confirmed(bench: Bench, tokens: Sequence[int], place: int, forked: Observed) -> Asked:
    """Compare the cheapest of the other tokens, and one in the middle, with whole runs."""
    others = sorted(
        (loss, token) for token, loss in enumerate(forked.losses) if loss is not None and token != tokens[place]
    )
    chosen = [others[at] for at in sorted({0, len(others) // 2})] if others else []
    runs = bench.runs([[*tokens[:place], token, *tokens[place + 1 :]] for _, token in chosen])
    alike = [
        abs(float(run.evaluation.values[place]) - loss) <= _SAME for (loss, _), run in zip(chosen, runs, strict=True)
    ]
    return Asked(forked.losses, bool(alike) and all(alike), forked.failure)
