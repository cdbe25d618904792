"""The journal of a run, as read back from the sandbox: untrusted, so every entry is checked."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class BadJournal(ValueError):
    """What the run handed over is not a journal."""


@dataclass(frozen=True)
class Site:
    """The operation in the submission's code that gave scores."""

    kind: str
    """cross-entropy, nll, sum or exit."""
    file: str
    line: int
    column: int
    function: str

    def __str__(self) -> str:
        return f"{self.kind} in {self.function}, {self.file.rpartition('/')[2]}:{self.line}"


@dataclass(frozen=True)
class Scored:
    """Losses in nats at stream positions (-1: not known), in the order in which they were computed."""

    site: Site
    places: Ints
    values: Floats
    trains: bool


@dataclass(frozen=True)
class Trained:
    """A backward pass through losses at these stream positions."""

    places: Ints


@dataclass(frozen=True)
class Stepped:
    """An optimiser's step."""


@dataclass(frozen=True)
class Printed:
    """A line of output."""

    text: str


Entry = Scored | Trained | Stepped | Printed
Journal = tuple[Entry, ...]


def read_journal(entries: object, length: int) -> Journal:
    """Check and decode entries over a stream of `length` tokens.

    Raises:
        BadJournal: an entry has not the form that the runtime writes.
    """
    if not isinstance(entries, list):
        raise BadJournal("the journal is not a list")
    return tuple(_entries(entries, length))


def _entries(entries: list[Any], length: int) -> Iterator[Entry]:
    for entry in entries:
        kind = entry.get("kind") if isinstance(entry, dict) else None
        if kind in ("cross-entropy", "nll", "sum", "exit"):
            yield _scored(entry, length)
        elif kind == "backward":
            yield Trained(_places(entry.get("places"), length))
        elif kind == "step":
            yield Stepped()
        elif kind == "line" and isinstance(entry.get("text"), str):
            yield Printed(entry["text"])
        else:
            raise BadJournal(f"an entry of kind {kind!r:.40}")


def _scored(entry: dict[str, Any], length: int) -> Scored:
    places = _unpacked(entry.get("places"), "<i4").astype(np.int64)
    values = _unpacked(entry.get("values"), "<f8").astype(np.float64)
    if places.shape != values.shape or (len(places) and not (places.min() >= -1 and places.max() < length)):
        raise BadJournal("scores do not fit their positions")
    site = entry.get("site")
    match site:
        case [str(file), int(line), int(column), str(function)]:
            where = Site(entry["kind"], file[:500], line, column, function[:200])
        case _:
            raise BadJournal("a score without its place in the code")
    return Scored(where, places, values, entry.get("trains") is True)


def _places(value: object, length: int) -> Ints:
    if not isinstance(value, list) or not all(type(item) is int and 0 <= item < length for item in value):
        raise BadJournal("trained positions are not positions")
    return np.array(value, dtype=np.int64)


def _unpacked(value: object, dtype: str) -> npt.NDArray[Any]:
    try:
        return np.frombuffer(base64.b64decode(value if isinstance(value, str) else "?", validate=True), dtype)
    except (binascii.Error, ValueError) as error:
        raise BadJournal("scores are not packed numbers") from error
