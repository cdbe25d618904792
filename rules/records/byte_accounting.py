"""The bytes that a score divides by are not those of the validation set.

What it does
------------
A loss in nats per token and a score in bits per byte, printed together, give the bytes per token:
`loss / (ln 2 * bpb)`. Times the tokens that are scored this must be the length of the validation text, 151.08 million
bytes, whatever the tokenizer. More is named with its factor and, where it is known, its usual cause. Where only some
lines of a log are off, loss and score are of different predictors, which is a note.

Why it matters
--------------
A score over too many bytes is too low by the same factor. A merged row was reverted for it.

Limits
------
Logs that print no loss, or too few digits, cannot be checked. A set that was cut is not compared. A byte table that is
wrong by less than three in a thousand passes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from auditor.facts import Facts
from auditor.records import LogRecord, Run, Score
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.records.reading import finding
from rules.records.samples import example, log

FULL = 151_077_000
"""Bytes of the validation text, give or take the tail that a tokenizer's last window leaves out."""
_TOLERANCE = 0.003
_LARGEST = 2.0
_CUT = 1_000_000
"""A number of tokens just below a multiple of this was cut there."""
_LONGEST_WINDOW = 8_192
_DOUBLED = ((2.867, 0.006, 2.436), (4.386, 0.012, 3.727))
"""Bytes per token with the leading space counted twice, how exactly, and what is right."""
_CAUSES = (
    (1.0895, "the length of the transformed text, not of the original"),
    (1.0413, "byte tokens counted with the length of their names"),
    (1.1771, "the leading space counted twice, in the table and in the sum"),
    (1.3343, "the leading mark counted with its three bytes"),
)


class ByteAccounting:
    """Implied bytes against the known length."""

    id: ClassVar[str] = "byte-accounting"
    kind: ClassVar[Kind] = "record"
    level: ClassVar[Level] = "warning"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ("pr1806", "issue1719", "pr2071")
    examples: ClassVar[tuple[Example, ...]] = (
        example("Every leading space is counted twice", True, train_seed42=log(42, inflation=1.1771)),
        example("The bytes are those of the validation set", False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """The largest deviation over all runs."""
        worst: tuple[bool, float, LogRecord, Score, str] | None = None
        for record in facts.records.logs:
            for run in record.runs:
                found = self._off(record, run)
                if found is not None and (worst is None or found[:2] > worst[:2]):
                    worst = found
        if worst is None:
            return
        constant, _, record, score, message = worst
        quoted = [(record, score.line, "loss and score")]
        yield finding(facts, self, f"{record.name}: {message}", quoted, level="warning" if constant else "note")

    def _off(self, record: LogRecord, run: Run) -> tuple[bool, float, LogRecord, Score, str] | None:
        """(whether all lines agree, factor, log, score, message) for the line that is off most."""
        known = [s for s in run.scores if s.val_loss and s.val_bpb > 0.01 and s.uncertainty < _TOLERANCE / 3]
        if not known:
            return None
        tokens = run.val_tokens.value if run.val_tokens else None
        factors = [(_factor(score, tokens), score) for score in known]
        off = [(f, s) for f, s in factors if f is not None and 1 + _TOLERANCE + s.uncertainty < f < _LARGEST]
        if not off:
            return None
        factor, score = max(off, key=lambda found: (found[1].decimals, found[1].stage, found[0]))
        constant = len(off) >= 0.8 * sum(f is not None for f, _ in factors)
        per_token = score.implied_bytes(1) or 0.0
        if not constant:
            return (
                False,
                factor,
                record,
                score,
                (
                    f"loss and score of {score.label} imply {factor:.3f} times the bytes of the validation set, other"
                    " lines of the log do not; they are of different predictors."
                ),
            )
        implied = f"{tokens * per_token:,.0f} bytes" if tokens else "too many bytes"
        cause = next((f"; that is {why}" for at, why in _CAUSES if abs(factor - at) < 0.002), "")
        return (
            True,
            factor,
            record,
            score,
            (
                f"loss and score imply {per_token:.4f} bytes per token, {implied} for the validation set,"
                f" {factor:.4f} times its length{cause}. Counted rightly, the score would be about"
                f" {score.val_bpb * factor:.4f}."
            ),
        )


def _factor(score: Score, tokens: int | None) -> float | None:
    """By how much the bytes are counted too high; None where that cannot be said."""
    per_token = score.implied_bytes(1) or 0.0
    if tokens is None:
        return next((per_token / right for at, within, right in _DOUBLED if abs(per_token - at) < within), None)
    if -tokens % _CUT < _LONGEST_WINDOW or tokens < 30_000_000:
        return None
    return tokens * per_token / FULL
