"""Whether the logs were written by this program: what they show that it cannot print, or does not reach."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache

from auditor.program.index import CallIndex
from auditor.submission.model import code_size
from auditor.timeline.evidence import Message, Messages

_RESULT = re.compile(r"^(?=[^\n]*bpb)([^\n]*?)(?<![\w.])([0-4]\.\d{3,})", re.MULTILINE | re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]{3,}")
_PREFIXED = frozenset(["INFO", "WARNING", "DEBUG", "wandb", "rank", "default"])
"""Words that launchers and logging libraries put in front of a line."""
_LONGEST = 400
_BETTER = 0.001
_BITS = re.compile(r"bpb(?<![A-Za-z]bpb)[:=] ?([0-4]\.\d{3,})")
_NUMBER = re.compile(r"\d[\d.,]*")
_SAME = 1e-4
_GAIN = 0.01
_WINDOW = 0.06
_STEP = re.compile(r"^step:(\d+)/\d+ ([^\n]*)$", re.MULTILINE)
_MODEL = re.compile(r"val_bpb:([0-4]\.\d{3,})")


def foreign_results(text: str, sizes: Collection[int], logs: Sequence[str]) -> list[str]:
    """How the results begin that the logs print and a program of this text cannot; empty when any log may be its own.

    A log is its own when it prints one of `sizes` as the size of the code, or no size at all. A foreign line that only
    repeats a result, as a launcher's summary does, tells nothing: it has to be better than all that the program prints.
    """
    found: dict[str, float] = {}
    best = float("inf")
    printed = cache(lambda word: word in text)
    for log in logs:
        size = code_size(log)
        if size is None or size in sizes:
            return []
        for match in _RESULT.finditer(log):
            head, value = match[1], float(match[2])
            words = _words(head)
            if len(head) > _LONGEST or not words:
                continue
            if all(map(printed, words)):
                best = min(best, value)
            else:
                found[head.strip()] = min(value, found.get(head.strip(), value))
    return [head for head, value in found.items() if value < best - _BETTER]


def foreign_claim(text: str, texts: Callable[[], str], claim: float, logs: Sequence[str]) -> str:
    """How the line begins that prints the claimed number, when a program with these string constants cannot print it.

    What the program prints itself has to be worse in every log, whatever size of the code the logs give. `texts` gives
    the constants; it is only asked where no line that is good enough stands in the program, number for number.
    """
    heads: dict[str, bool] = {}
    """How lines begin that print a number as good as the claim, and whether it is the claim."""
    for log in logs:
        for head, value in _bits(log):
            if value <= claim + _GAIN and len(head) <= _LONGEST and _words(head):
                heads[head] = heads.get(head, False) or abs(value - claim) < _SAME
    if not any(heads.values()) or any(all(part in text for part in _NUMBER.split(head)) for head in heads):
        return ""
    constants = texts()
    own = any(all(word in constants for word in _words(head)) for head in heads)
    return "" if own else next(head.strip() for head, claimed in heads.items() if claimed)


def _bits(log: str) -> Iterator[tuple[str, float]]:
    """The first number of bits per byte on each line that has one, and what stands before it."""
    last = -1
    for match in _BITS.finditer(log):
        start = log.rfind("\n", 0, match.start()) + 1
        if start != last:
            last = start
            yield log[start : match.start()], float(match[1])


def _words(head: str) -> list[str]:
    """The words that the program itself must print."""
    return [word for word in _WORD.findall(head) if word not in _PREFIXED]


def beyond_its_model(logs: Sequence[str]) -> tuple[float, float] | None:
    """The last score of a log, and that of the model when training ended, where one is out of reach of the other.

    A sliding window gives the model up to 0.04 bits; None where a log stays within `_WINDOW`, or does not tell.
    """
    found = None
    for log in logs:
        steps = [(int(m[1]), m[2]) for m in _STEP.finditer(log)]
        last = max((step for step, _ in steps), default=0)
        ends = [float(rest[1]) for step, text in steps if step == last and (rest := _MODEL.search(text))]
        results = [value for _, value in _bits(log)]
        if not ends or not results or results[-1] > ends[-1] - _WINDOW:
            return None
        found = found or (results[-1], ends[-1])
    return found


def shown_but_uncalled(messages: Messages, index: CallIndex, text: str) -> Iterator[tuple[str, Message]]:
    """Functions that may update state, that nothing mentions, and whose messages stand in the log all the same."""
    for name, spans in index.functions.items():
        if len(spans) > 1 or not index.updates(*spans[0]) or _mentioned(name, text):
            continue
        low, high = spans[0]
        outside = {m.text for m in messages.all if not low <= m.line <= high}
        for message in messages.all:
            if low <= message.line <= high and message.text in messages.logged and not _covered(message.text, outside):
                yield name, message
                break


def _covered(text: str, others: Collection[str]) -> bool:
    """Whether a message of another place begins like this one, or this one like it."""
    return any(text.startswith(other) or other.startswith(text) for other in others)


def _mentioned(name: str, text: str) -> bool:
    """Whether a name occurs in code other than its definition."""
    for match in re.finditer(rf"{re.escape(name)}\b", text):
        before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if "#" not in before and re.search(r"(?<!\w)$(?<!\bdef )", before):
            return True
    return False
