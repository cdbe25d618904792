"""The bytes that a score divides by are not those of the validation set.

What it does
------------
A loss in nats per token and a score in bits per byte, printed together, give the bytes per token:
`loss / (ln 2 * bpb)`; without logs those of submission.json do. Times the tokens that are scored this must be the
length of the validation text, 151.08 million bytes, whatever the tokenizer. More is named with its factor and, where it
is known, its usual cause. Notes are: only some lines of a log are off, so that loss and score are of different
predictors; a loss that is printed in nats per byte; a length that no inflation explains, of a part of the set or of
another export, which cannot be compared; the right length in far fewer tokens than the published tokenizer of that
size makes of it, as a text has that was lower-cased before it was counted.

Where no line gives the ratio, the script is read: a table of bytes that counts the leading space of a token beside a
sum that adds it again, and, in a script without such a table, a loss in bits divided by a fixed number of bytes.

Why it matters
--------------
A score over too many bytes is too low by the same factor. A merged row was reverted for it.

Limits
------
Logs that print no loss, or too few digits, cannot be checked but by the script's text, and other forms of the same
mistakes escape that. A set that was cut is not compared. A byte table that is wrong by less than three in a thousand
passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import log
from typing import ClassVar

from auditor.facts import Facts
from auditor.records import LogRecord, Score
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.records import byte_table
from rules.records.reading import at_line, finding, reported
from rules.records.samples import example
from rules.records.samples import log as log_of

FULL = 151_077_000
"""Bytes of the validation text, give or take the tail that a tokenizer's last window leaves out."""
_TOLERANCE = 0.003
_EXACT = 4
"""Decimals that loss and score must be claimed with."""
_LARGEST = 2.0
"""More than this is another set or another unit."""
_NEARLY_ALL = 0.8
_FEWEST = 30_000_000
"""No tokenizer in use makes fewer tokens of the whole set."""
_CUT = 1_000_000
"""A number of tokens just below a multiple of this was cut there."""
_LONGEST_WINDOW = 8_192
PER_TOKEN = (2.436, 3.727)
"""Bytes per token of the published tokenizers of 1,024 and 8,192 tokens."""
_DOUBLED = ((2.867, 0.006, PER_TOKEN[0]), (4.386, 0.012, PER_TOKEN[1]))
"""Bytes per token with the leading space counted twice, how exactly, and what is right."""
_DEFAULT_PREP = 9_662_464, 29_950_800
"""Tokens and bytes of the 10,000 documents that the case-preserving preparation takes for validation by default."""
_TOKENS = {1_024: 62_021_632, 4_096: 45_508_608, 8_192: 40_540_160}
"""Tokens of the whole set under the published tokenizers, by the size of their vocabulary."""
_FEWER = 0.95
"""Of these: fewer come from another text. Retrained vocabularies of the same text are within four in a hundred."""
_CAUSES = (
    (1.0895, "the length of the transformed text, not of the original"),
    (1.0937, "the length of the transformed text, not of the original"),
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
        example(
            "Every leading space is counted twice",
            True,
            train_seed1337=log_of(1337, inflation=1.1771),
            train_seed42=log_of(42, inflation=1.1771),
            train_seed7=log_of(7, inflation=1.1771),
        ),
        example("One score is printed with another predictor's loss", False, train_seed7=log_of(7, inflation=1.15)),
        example("The bytes are those of the validation set", False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """The most exact line that is off, and whether the other lines agree with it."""
        lines = list(_lines(facts))
        off = [line for line in lines if 1 + _TOLERANCE + line.score.uncertainty < line.factor < _LARGEST]
        if not off:
            found = [*(self._unit(facts) if lines else self._claimed(facts)), *self._incomparable(facts)]
            found += self._another_text(facts)
            yield from found if found or lines else self._written(facts)
            return
        one = max(off, key=lambda line: (line.score.decimals, line.score.stage, line.factor))
        implied = f", {one.tokens * one.per_token:,.0f} bytes for the validation set" if one.tokens else ""
        message = (
            f"{one.record.name}: loss and score of {one.score.label} imply {one.per_token:.4f} bytes per"
            f" token{implied}, {one.factor:.4f} times what is right{_cause(one.factor)}."
        )
        constant = len(off) >= _NEARLY_ALL * len(lines)
        if constant:
            message += f" Counted rightly, the score would be about {one.score.val_bpb * one.factor:.4f}."
        else:
            message += " Other lines of the logs do not; here loss and score are of different predictors,"
            message += " or of a part of the set."
        quoted = [(one.record, one.score.line, "loss and score")]
        yield finding(facts, self, message, quoted, level="warning" if constant else "note")

    def _written(self, facts: Facts) -> Iterator[Finding]:
        """What the script's text says of the bytes of a token."""
        trees = byte_table.trees_of(facts)
        texts = (facts.text, *facts.module_texts.values())
        doubled, fixed = byte_table.doubled_space(trees), None
        if doubled is None and not any(byte_table.SPACE in text or "u2581" in text for text in texts):
            fixed = byte_table.fixed_ratio(trees)
        if doubled is not None:
            module, place = doubled
            message = (
                "A leading space is counted in the table of bytes and added again in the sum; the score is too low."
            )
            yield at_line(facts, self, message, place.lineno, module, "how bytes are counted")
        elif fixed is not None:
            module, quotient, ratio = fixed
            message = f"The score divides by {ratio:.4g} bytes per token, a fixed number, not by those of the text."
            yield at_line(facts, self, message, quotient.lineno, module, "how bytes are counted")

    def _claimed(self, facts: Facts) -> Iterator[Finding]:
        """Without a line to go by: the loss and the score that are claimed together."""
        losses = {(claim.where.rpartition(":")[0], claim.seed): claim for claim in facts.records.claimed("val_loss")}
        for claim in facts.records.claimed("val_bpb"):
            loss = losses.get((claim.where.rpartition(":")[0], claim.seed))
            if loss is None or min(loss.decimals, claim.decimals) < _EXACT:
                continue
            per_token = loss.value / (log(2) * claim.value)
            factor = _factor(per_token, None)
            if factor is not None:
                message = (
                    f"{claim.where} and {loss.where.rpartition(' ')[2]} imply {per_token:.4f} bytes per token,"
                    f" {factor:.4f} times what is right{_cause(factor)}."
                )
                yield finding(facts, self, message)
                return

    def _incomparable(self, facts: Facts) -> Iterator[Finding]:
        """A length that is not the set's and no inflation: part of the set is scored, or another export of it."""
        for record, run in reported(facts):
            score, tokens = run.score, run.val_tokens.value if run.val_tokens else 0
            length = score.implied_bytes(tokens) if score is not None else None
            if score is None or length is None or tokens < _FEWEST or score.uncertainty > _TOLERANCE / 3:
                continue
            if length > 1.5 * tokens and abs(length / FULL - 1) > _TOLERANCE + score.uncertainty:
                message = (
                    f"{record.name}: loss and score of {score.label} imply {length:,.0f} bytes for {tokens:,} tokens;"
                    f" the validation set has about {FULL:,}. A part or another export of it is scored: not comparable."
                )
                yield finding(facts, self, message, [(record, score.line, "loss and score")], level="note")
                return

    def _another_text(self, facts: Facts) -> Iterator[Finding]:
        """The whole length in fewer tokens than a vocabulary of that size can make of the original text."""
        printed = {log_.path: log_.config.get("vocab_size", "") for log_ in facts.submission.logs}
        for record, run in reported(facts):
            usual = _TOKENS.get(int(printed[record.path]) if printed[record.path].isdecimal() else 0)
            score, tokens = run.score, run.val_tokens
            length = score.implied_bytes(tokens.value) if score is not None and tokens is not None else None
            if usual is None or score is None or tokens is None or length is None or score.uncertainty > _TOLERANCE / 3:
                continue
            if abs(length / FULL - 1) < _TOLERANCE and tokens.value < _FEWER * usual:
                message = (
                    f"{record.name}: the whole validation set is {tokens.value:,} tokens of {printed[record.path]}; the"
                    f" published vocabulary of that size makes {usual:,} of it. So few come from another text"
                    " (lower-cased, normalised), which does not give back the original bytes, or from pieces that run"
                    " over several words. This is unruled."
                )
                yield finding(facts, self, message, [(record, tokens.line, "tokens of the set")], level="note")
                return

    def _unit(self, facts: Facts) -> Iterator[Finding]:
        """A loss that is printed in nats per byte tells nothing."""
        for record, run in facts.records.runs:
            score, tokens = run.score, run.val_tokens
            if score is None or not score.val_loss or tokens is None or tokens.value > FULL / 2:
                continue
            if abs((score.implied_bytes(1) or 0.0) - 1) < max(1e-6, score.uncertainty):
                message = f"{record.name}: the loss of {score.label} is in nats per byte; it does not tell the bytes."
                yield finding(facts, self, message, [(record, score.line, "loss and score")], level="note")
                return


def _cause(factor: float) -> str:
    """The usual cause of a factor."""
    return next((f"; that is {why}" for at, why in _CAUSES if abs(factor - at) < 0.002), "")


@dataclass(frozen=True)
class _Line:
    """One line with loss and score, and by how much it counts the bytes too high."""

    record: LogRecord
    score: Score
    tokens: int | None
    per_token: float
    factor: float


def _lines(facts: Facts) -> Iterator[_Line]:
    """Every line that is exact enough, of a set that can be compared."""
    for record, run in facts.records.runs:
        tokens = run.val_tokens.value if run.val_tokens else None
        for score in run.scores:
            per_token = score.implied_bytes(1)
            if per_token is None or score.val_bpb < 0.01 or score.uncertainty > _TOLERANCE / 3:
                continue
            factor = _factor(per_token, tokens)
            if factor is not None:
                yield _Line(record, score, tokens, per_token, factor)


def _factor(per_token: float, tokens: int | None) -> float | None:
    """By how much the bytes are counted too high; None where that cannot be said."""
    if tokens is None:
        return next((per_token / right for at, within, right in _DOUBLED if abs(per_token - at) < within), None)
    if abs(tokens - _DEFAULT_PREP[0]) < _LONGEST_WINDOW / 4:
        return per_token * _DEFAULT_PREP[0] / _DEFAULT_PREP[1]
    if -tokens % _CUT < _LONGEST_WINDOW or tokens < _FEWEST:
        return None
    return tokens * per_token / FULL
