"""Whether a count is mixed in depends on the token that is being scored.

What it does
------------
Reports the line where a count takes part in the reported score, or does not, under a decision that looks at the scored
token: its own count is above zero, its class (the entry of a fixed table at that token, such as *starts a word*), or
the probability that it got. The decision may be a branch, a mask, a `where`, or one that was taken earlier, when the
hint for the position was made. A weight of the mixture that is made of the scored token's own entry in a table of pairs
is such a decision too.

Why it matters
--------------
The mixture is then one distribution for some answers and another for the rest, and together they sum to more than one:
where the cache knows the token it is asked, where it does not the model is, and neither pays for it. The decision
must be fixed before the token is known (condition C1), whatever the normaliser of each branch.

What helps
----------
Decide from earlier tokens alone whether and how much to mix, and mix in the same way whichever token comes.

Limits
------
Gates on earlier tokens, on the entropy of the model or on the total count of a context are legal and are not reported.
Decisions made in C or on another processor are not followed. Comparing the scored token with a hint that the context
chose is how a tilt is evaluated, no gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Gate, Timeline
from auditor.verdict import Finding, Level, Step
from rules.base import Example, Kind
from rules.miniature import script

_CACHE = """
    def evaluate(s, model, val):
        ids = val.tolist()
        rows = {{}}
        total, count = 0.0, 0
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            with torch.no_grad():
                nll = F.cross_entropy(model.logits(x).flatten(0, 1), y.flatten(), reduction="none")
            for j in range(s.seq_len):
                context, token = ids[start + j], ids[start + j + 1]
                p = math.exp(-nll[j].item())
                row = rows.get(context)
                share = row.get(token, 0) / sum(row.values()) if row else 0.0
                if {test}:
                    p = 0.8 * p + 0.2 * share
                total -= math.log(p)
                count += 1
                row = rows.setdefault(context, {{}})
                row[token] = row.get(token, 0) + 1
        return total / count
"""
_WRONG = script(_CACHE.format(test="share > 0"))
_RIGHT = script(_CACHE.format(test="row is not None"))


class TargetGatedMixing:
    """Decisions to mix that look at the answer."""

    id: ClassVar[str] = "target-gated-mixing"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "flag"
    conditions: ClassVar[tuple[str, ...]] = ("C1",)
    rulings: ClassVar[tuple[str, ...]] = ("pr1026", "issue1017")
    examples: ClassVar[tuple[Example, ...]] = (
        Example("Mixed only where the cache has seen the token", _WRONG, True),
        Example("Mixed wherever the cache has seen the context", _RIGHT, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """The first decision that a reported score hangs on."""

        def query(timeline: Timeline) -> Sequence[Finding]:
            headline = timeline.headline
            if headline is None:
                return []
            found, seen = [], set()
            for gate in timeline.gates:
                counts = gate.counts & headline.counts
                why = _why(timeline, gate)
                if not why or gate.scores - headline.scores or gate.place.line in seen or (gate.counts and not counts):
                    continue
                seen.add(gate.place.line)
                found.append(
                    facts.finding(
                        self,
                        gate.place,
                        f"Whether a count takes part in the score of a token is decided by that token: by {why}.",
                        _path(facts, timeline, gate, counts),
                    )
                )
            return found[:1]

        return facts.graded(query)


def _why(timeline: Timeline, gate: Gate) -> str:
    """What the decision takes from the scored token; empty when nothing."""
    if gate.why:
        return gate.why
    asked = [timeline.count_reads[number] for number in gate.decided]
    return "whether it has been counted" if any(read.picks or read.target_in_key for read in asked) else ""


def _path(facts: Facts, timeline: Timeline, gate: Gate, counts: frozenset[int]) -> list[Step]:
    steps = [facts.step(timeline.count_reads[n].place, "a count is looked up") for n in sorted(counts)[:1]]
    steps.append(facts.step(gate.place, "source: it takes part only for some answers"))
    if timeline.headline is not None:
        steps.append(facts.step(timeline.headline.place, "sink: the score is reported"))
    return steps
