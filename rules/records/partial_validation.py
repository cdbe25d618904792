"""Less than the whole validation set is scored.

What it does
------------
Compares what a log says it scored with the whole set: the tokens of a subset, the bytes of a mixture, or the bytes that
loss and score imply for the tokens that were loaded. Looks for a claimed score that no log comes to on lines that tell
how far an evaluation is, and finds a script whose text reads nothing of the set but random batches. Notes are: a slice
of the set that submission.json or the README says is scored, with its size; windows at the end that are scored more
than once, where eight digits of loss and score imply a number of bytes that is only explained by so many times the last
tokens.

Why it matters
--------------
The score is defined over the whole validation set. The first documents, or a sample, are another test.

Limits
------
The end is looked at for the tokenizer of 1,024 tokens and strides of 64 and 128 alone, whose last bytes are known. A
subset that the log does not mention is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

from auditor.facts import Facts
from auditor.records import Read, Run, Score
from auditor.records.parse import numbered
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.records.byte_accounting import FULL
from rules.records.byte_table import trees_of
from rules.records.random_batches import random_batches
from rules.records.reading import at_line, finding, reported
from rules.records.samples import example, log

_WHOLE = 0.995
_WHOLE_SETS = frozenset((62_021_632, 45_508_608, 45_514_752, 40_540_160, 47_851_520, 47_853_343))
"""Tokens that the whole set has under the published tokenizers."""
_TOKENS, _BYTES = 62_021_632, 151_080_363
"""Of the whole set under the tokenizer of 1,024 tokens."""
_LAST = {64: 143, 128: 289}
"""Bytes of its last tokens, by their number: what makes the lengths that logs imply come out to the byte."""
_SEQUENCES = (1024, 2048, 4096)
_ROUNDING = 2.5
"""Bytes by which a length is uncertain that is implied by numbers of eight decimals."""
_EXACT = 8
_DIGITS = 5
_PERCENT = re.compile(r"(?<![\d.])(\d{1,2}(?:\.\d+)?)(?:\s*-\s*\d{1,3}(?:\.\d+)?)?\s*%")
_DRAWN = re.compile(r"\b(?:rand(?:int|perm|range)|choices?|integers|sample)\(")
_NAMED = re.compile(r"[\"']val(?:id(?:ation)?)?[\"']")
"""Without one of these calls, and the split by its name, the tree need not be searched."""
_SIZE = r"(?<![\w.,])(?P<size>\d[\d,]*(?:\.\d+)?)\s?(?P<times>[kKM])?[- ]?"
_UNIT = r"(?:(?:val|validation|eval|text)[ -])*(?P<unit>token|byte|seq(?:uence)?|doc(?:ument)?)s?\b"
_SET = r"(?:val|validation|eval|evaluation)"
_SLICE = r"(?:slice|sub-?set)"
_SLICED = re.compile(_SLICE, re.IGNORECASE)
_STATED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_SIZE}{_UNIT}(?:[ -][\w-]{{1,12}})?[ -]{_SET}[ -]{_SLICE}\b",
        rf"{_SET}[ -]{_SLICE}[\W_]{{1,4}}(?:of |is )?(?:the first )?{_SIZE}{_UNIT}",
        rf"\b(?:val_)?bpb_{_SLICE}\W{{1,4}}{_SIZE}{_UNIT}",
    )
)
"""A slice of the validation set and its size: `1M-token eval slice`, `eval slice 500,000 bytes`."""
_SIZES = {"token": 40_000_000, "byte": FULL, "seq": 19_000, "sequence": 19_000, "doc": 50_000, "document": 50_000}
"""What the whole set has at least, by unit; sequences are of 2,048 tokens."""
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
        """The first run that scores a part only; then a claim that is no final score; then windows at the end."""
        for record, run in reported(facts):
            found = _part(run)
            if found is not None:
                read, text = found
                yield finding(facts, self, f"{record.name}: {text}", [(record, read.line, "what is scored")])
                return
        yield from list(self._unfinished(facts)) or list(self._sampled(facts)) or self._stated(facts)
        yield from self._again(facts)

    def _unfinished(self, facts: Facts) -> Iterator[Finding]:
        """A claimed score that stands on a line of progress, and that no run comes to."""
        claim = next((each for each in facts.records.claimed("val_bpb") if each.seed is None), None)
        scores = [score.val_bpb for _, run in facts.records.runs for score in run.finals]
        if claim is None or claim.decimals < _DIGITS or any(abs(claim.value - each) < 1e-4 for each in scores):
            return
        written = f"{claim.value:.{claim.decimals}f}"
        for log_, record in zip(facts.submission.logs, facts.records.logs, strict=True):
            for number, line in numbered(log_.text, log_.numbers):
                part = _PERCENT.search(line) if written in line else None
                if part is not None and float(part[1]) < 100:
                    message = (
                        f"{claim.where} claims {written}, which {record.name} gives for {part[1]} % of an evaluation."
                    )
                    yield finding(facts, self, message, [(record, number, "the claimed score")])
                    return

    def _sampled(self, facts: Facts) -> Iterator[Finding]:
        """A script that reads nothing of the validation set but random batches."""
        counted = any(run.val_tokens is not None for _, run in facts.records.runs)
        possible = not counted and _NAMED.search(facts.text) and _DRAWN.search(facts.text)
        drawn = random_batches(trees_of(facts)) if possible else None
        if drawn is not None:
            module, call = drawn
            message = "What the script scores are batches drawn at random from the validation set, not the whole of it."
            yield at_line(facts, self, message, call.lineno, module, "a random batch is read")

    def _stated(self, facts: Facts) -> Iterator[Finding]:
        """The first slice of the set that submission.json or the README names with its size."""
        declared = _flat(facts.submission.submission_json or {})
        for where, text in (("submission.json", declared), ("README.md", facts.submission.readme or "")):
            patterns = _STATED if _SLICED.search(text) else ()
            for found in (match for pattern in patterns for match in pattern.finditer(text)):
                times = {"k": 1_000, "m": 1_000_000}.get((found["times"] or "").lower(), 1)
                size = float(found["size"].replace(",", "")) * times
                if 0 < size < _WHOLE * _SIZES[found["unit"].lower()]:
                    message = f"{where} speaks of a slice of the validation set of {size:,.0f} {found['unit']}s."
                    yield finding(facts, self, message, level="note")
                    return

    def _again(self, facts: Facts) -> Iterator[Finding]:
        """Windows at the end, of the first run that shows them."""
        for record, run in reported(facts):
            for score in run.finals:
                found = _repeated(run, score)
                if found is not None:
                    tokens, times = found
                    message = (
                        f"{record.name}: {score.label} scores the last {tokens} tokens {times} times,"
                        f" {tokens * (times - 1):,} tokens too many, by the bytes that loss and score imply."
                    )
                    yield finding(facts, self, message, [(record, score.line, "loss and score")], level="note")
                    return


def _repeated(run: Run, score: Score) -> tuple[int, int] | None:
    """(tokens, times) where only so many scores of the last tokens explain the bytes that loss and score imply.

    A sliding evaluation that keeps every window with a token in it scores the last `stride` tokens in as many windows
    as a sequence has strides.
    """
    if run.val_tokens is None or run.val_tokens.value != _TOKENS or min(score.decimals, score.loss_decimals) < _EXACT:
        return None
    implied = score.implied_bytes(_TOKENS)
    for stride, size in _LAST.items():
        for times in (sequence // stride for sequence in _SEQUENCES):
            more = times - 1
            expected = (_BYTES + more * size) * _TOKENS / (_TOKENS + more * stride)
            if implied is not None and abs(implied - expected) < _ROUNDING:
                return stride, times
    return None


def _flat(declared: object, name: str = "") -> str:
    """Every text of a JSON object on a line of its own, behind its key."""
    if isinstance(declared, dict):
        return "\n".join(_flat(value, str(key)) for key, value in declared.items())
    if isinstance(declared, list):
        return "\n".join(_flat(value, name) for value in declared)
    return f"{name}: {declared}"


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
