"""A legal cache: counts of tokens already scored, looked up by context, without the scored token in the key.

What it does
------------
Names the cache of validation tokens that the headline depends on in the legal order. This is a positive class.

Why it matters
--------------
Maintainers invited it under PR 779: reweight the whole distribution from a row that the context alone chooses.

Limits
------
That the mixture is a distribution over the whole vocabulary is asked by `unnormalized-mixture`, not here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from auditor.facts import Facts
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script
from rules.ngram.unnormalized_mixture import _FULL_ROW
from rules.ttt.order import reaching

_PLAIN = script("""
    def evaluate(s, model, val):
        return plain_eval(s, model, val)
""")


class ContextOnlyNgram:
    """Causal caches keyed by context."""

    id: ClassVar[str] = "context-only-ngram"
    kind: ClassVar[Kind] = "positive"
    level: ClassVar[Level] = "note"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ("pr779-c4146407380", "pr1514")
    examples: ClassVar[tuple[Example, ...]] = (
        Example("Whole rows of scored tokens' counts are mixed in", _FULL_ROW, True),
        Example("No cache", _PLAIN, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One note for the first cache of the run."""
        headline = facts.run.headline
        if headline is None or any(r.target_in_key and r.number in headline.counts for r in facts.run.count_reads):
            return []
        caches = reaching(facts.run, legal=True, kind="counts")
        if not caches:
            return []
        write = caches[0]
        steps = [
            facts.step(write.place, "scored tokens are counted"),
            facts.step(headline.place, "the headline uses the counts of earlier tokens"),
        ]
        message = (
            f"`{write.place.function}` counts tokens after they are scored; the look-ups hold no token that is being"
            " scored."
        )
        return [facts.finding(self, write.place, message, steps)]
