"""What the rules of this family ask of a timeline: which updates reach the headline, and in which order."""

from __future__ import annotations

from auditor.facts import Facts
from auditor.timeline.events import ReportEvent, Score, Timeline, Update, UpdateKind
from auditor.verdict import Step


def reaching(timeline: Timeline, *, legal: bool, kind: str = "gradient") -> list[Update]:
    """Updates that the headline depends on, in order (`legal`) or out of order, by their number."""
    headline = timeline.headline
    if headline is None:
        return []
    bad = {d.update for d in headline.deps if not d.legal}
    good = {d.update for d in headline.deps if d.legal} - bad
    wanted = good if legal else bad
    return [u for u in timeline.updates if u.number in wanted and u.kind == kind]


def scored_before(timeline: Timeline, update: Update) -> Score | None:
    """A score of the same chunk that is counted and comes before the update, while the headline has a later one.

    It is counted in some reported loss other than the headline, or in the headline itself, where the later score takes
    its place. Several steps on the chunk may follow its one score; a loop that goes over the same tokens again around
    both is none that scores first: its second pass scores what the first one trained on.
    """
    headline = timeline.headline
    counted = {n for r in timeline.reports if r.bits and r is not headline for n in r.scores}
    own = headline.scores if headline is not None else frozenset()
    moving = 0
    for region in update.regions:
        moving |= region.loops
    chunk = update.stack & moving
    again = any(s.number in own and s.order > update.order and not s.stack & chunk for s in timeline.scores)
    for score in timeline.scores:
        first = again if score.number in own else score.number in counted
        if not first or score.number in update.atoms:
            continue
        common = score.stack & update.stack
        if score.order < update.order and common & moving and not common & ~moving:
            return score
    return None


def repeats(update: Update) -> bool:
    """Whether the update goes over the same tokens again: a loop around it that the tokens do not move with."""
    moving = 0
    for region in update.regions:
        moving |= region.loops
    return any(not loop.bit & moving for loop in update.loops)


def scores_of(timeline: Timeline, headline: ReportEvent) -> list[Score]:
    """The scores that the headline is made of."""
    return [s for s in timeline.scores if s.number in headline.scores]


_SOURCES: dict[UpdateKind, str] = {
    "gradient": "a gradient of a loss on validation tokens",
    "statistic": "a statistic of validation tokens",
    "counts": "validation tokens are counted",
}


def path_of(facts: Facts, timeline: Timeline, update: Update) -> list[Step]:
    """The lines to follow: loops, what is taken from the tokens, step, then the score that the headline counts."""
    steps = [facts.step(loop.place, f"loop over {loop.text}" if loop.text else "loop") for loop in update.loops]
    steps.append(facts.step(update.place, f"source: {_SOURCES[update.kind]}"))
    for place in update.applied[:2]:
        steps.append(facts.step(place, f"the update reaches {', '.join(update.states[:3])}"))
    headline = timeline.headline
    if headline is not None:
        for score in scores_of(timeline, headline)[-1:]:
            steps.append(facts.step(score.place, "sink: the same tokens are scored with the updated state"))
        steps.append(facts.step(headline.place, "the score is reported"))
    return steps
