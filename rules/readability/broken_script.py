"""The script does not parse in any supported Python grammar.

What it does
------------
Holds a submission whose script is no Python. Newer grammars than the auditor's own are read through libcst and are not
reported.

Why it matters
--------------
A script that does not parse cannot have produced the reported score.

Limits
------
A script that parses and fails when it is imported is found by the smoke test, not by reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Place
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script

_PLAIN = script("""
    def evaluate(s, model, val):
        return plain_eval(s, model, val)
""")


class BrokenScript:
    """Syntax errors."""

    id: ClassVar[str] = "broken-script"
    kind: ClassVar[Kind] = "readability"
    level: ClassVar[Level] = "hold"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ()
    examples: ClassVar[tuple[Example, ...]] = (
        Example("An unclosed bracket", "def f(:\n    pass\n", True),
        Example("A plain evaluation", _PLAIN, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One hold with the parser's message."""
        if facts.broken is not None:
            place = Place(1, "<module>", 1)
            yield facts.finding(
                self, place, f"The script does not parse: {facts.broken}", [], activation="unknown", anchor=facts.broken
            )
