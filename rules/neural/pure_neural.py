"""The headline is the loss of a fixed network: nothing is updated with validation tokens.

What it does
------------
Names the line that scores. This is a positive class.

Why it matters
--------------
A fixed predictor meets C1, C3 and C4 when it is causal; most accepted rows are of this kind.

Limits
------
Causality of the network itself is asked by `non-causal` and by the probe.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from auditor.facts import Facts
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script
from rules.ttt.order import scores_of
from rules.ttt.val_token_ttt import _RIGHT

_PLAIN = script("""
    def evaluate(s, model, val):
        return plain_eval(s, model, val)
""")


class PureNeural:
    """No state that depends on validation tokens."""

    id: ClassVar[str] = "pure-neural"
    kind: ClassVar[Kind] = "positive"
    level: ClassVar[Level] = "note"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ("issue1017",)
    examples: ClassVar[tuple[Example, ...]] = (
        Example("Plain evaluation", _PLAIN, True),
        Example("Score-first training", _RIGHT, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One note when the headline depends on no update at all."""
        headline = facts.run.headline
        if headline is None or headline.deps or headline.counts or facts.run.opaque:
            return []
        score = scores_of(facts.run, headline)[-1]
        steps = [facts.step(score.place, "the tokens are scored"), facts.step(headline.place, "the score is reported")]
        line = score.place.line
        message = f"The reported score is computed at line {line} by a model that no validation token has changed."
        return [facts.finding(self, score.place, message, steps)]
