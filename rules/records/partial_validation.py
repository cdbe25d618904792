"""Less than the whole validation set is scored.

What it does
------------
Compares what a log says it scored with the whole set: the tokens of a subset, the bytes of a mixture, or the bytes that
loss and score imply for the tokens that were loaded.

Why it matters
--------------
The score is defined over the whole validation set. The first documents, or a sample, are another test.

Limits
------
Windows at the end that are skipped or scored more than once are a matter of a few thousand tokens and not counted here.
A subset that the log does not mention is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from auditor.facts import Facts
from auditor.records import Read, Run
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.records.byte_accounting import FULL
from rules.records.reading import finding, reported
from rules.records.samples import example, log

_WHOLE = 0.995
_WHOLE_SETS = frozenset((62_021_632, 45_508_608, 45_514_752, 40_540_160, 47_851_520, 47_853_343))
"""Tokens that the whole set has under the published tokenizers."""
_SUBSET = log(42).replace("tokens:62021632", "tokens:9666560")


class PartialValidation:
    """What is scored against what there is."""

    id: ClassVar[str] = "partial-validation"
    kind: ClassVar[Kind] = "record"
    level: ClassVar[Level] = "warning"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ("pr1835",)
    examples: ClassVar[tuple[Example, ...]] = (
        example("A sixth of the set is loaded", True, train_seed42=_SUBSET),
        example("The whole set is scored", False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """The first run that scores a part only."""
        for record, run in reported(facts):
            found = _part(run)
            if found is not None:
                read, text = found
                yield finding(facts, self, f"{record.name}: {text}", [(record, read.line, "what is scored")])
                return


def _part(run: Run) -> tuple[Read[int], str] | None:
    """Where the log says that less than the whole is scored, and how much."""
    loaded, part, size = run.val_tokens, run.scored_tokens, run.scored_bytes
    if loaded and part and part.value < _WHOLE * loaded.value:
        return part, f"{part.value:,} of {loaded.value:,} validation tokens are scored."
    if size and size.value < _WHOLE * FULL:
        return size, f"{size.value:,} of about {FULL:,} bytes of the validation set are scored."
    if loaded and loaded.value not in _WHOLE_SETS:
        lengths = [s.implied_bytes(loaded.value) for s in run.finals if s.val_loss and s.uncertainty < 0.001]
        known = [length for length in lengths if length is not None]
        if known and max(known) < _WHOLE * FULL:
            return loaded, (
                f"the {loaded.value:,} tokens that are loaded are {max(known):,.0f} bytes; the set has about {FULL:,}."
            )
    return None
