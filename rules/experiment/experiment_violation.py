"""The script was run, and its scores depended on what they must not see.

What it does
------------
Flags a submission of which nothing was found in the code, when `pgolf probe` shows that a condition is violated: the
script itself ran at toy size in a sandbox, twice with the same result, on two streams, and scores changed when only
tokens that are scored later were changed, or the probabilities at one position summed to more than one.

Why it matters
--------------
An experiment settles what reading can only suggest, and it finds what no rule knows yet.

What helps
----------
Run `pgolf probe` before and after a change: its numbers say which scores depend on tokens that come later.

Limits
------
It needs `--probe`. The model is small and the stream short; a branch that is taken only at full size is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from auditor.facts import Facts
from auditor.verdict import Finding, Level
from rules.base import Example, Kind


class ExperimentViolation:
    """What the probe found and no other rule."""

    id: ClassVar[str] = "experiment-violation"
    kind: ClassVar[Kind] = "experiment"
    level: ClassVar[Level] = "flag"
    conditions: ClassVar[tuple[str, ...]] = ("C1", "C2", "C3", "C4")
    rulings: ClassVar[tuple[str, ...]] = ("issue1017",)
    examples: ClassVar[tuple[Example, ...]] = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        """Nothing: it is found by running the script (`auditor.experiment.probe.beside`)."""
        return ()
