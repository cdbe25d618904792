"""The token that is being scored is part of the key of the lookup that scores it.

What it does
------------
Follows the scored token into the key.

- a hash of context and token
- an address computed from it

Why it matters
--------------
Only the true token gains, so nothing is compressed.

What helps
----------
Look up the context alone.

Limits
------
Keys built in other languages are not read.
"""

from __future__ import annotations

from typing import ClassVar

from rules.base import Example


class TargetInKey:
    id: ClassVar[str] = "ngram-target-in-key"
    kind: ClassVar = "violation"
    level: ClassVar = "flag"
    conditions: ClassVar[tuple[str, ...]] = ("C1", "C2")
    rulings: ClassVar[tuple[str, ...]] = ("pr779-c4145781641", "pr993")
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "the scored token is in the key", "key = fold(context, token)\np = table[key]\n", True, (("CACHE", "1"),)
        ),
        Example("only the context is in the key", "row = table[fold(context)]\np = row / row.sum()\n", False),
    )

    def check(self, facts):
        return ()


class ScoreFirst(TargetInKey):
    id: ClassVar[str] = "score-first-ttt"
    kind: ClassVar = "positive"
    level: ClassVar = "note"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ("pr549",)
    examples: ClassVar[tuple[Example, ...]] = ()


RULES = (ScoreFirst(), TargetInKey())
