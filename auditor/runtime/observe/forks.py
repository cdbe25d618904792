"""The normalisation test: at one position, every token of the vocabulary takes the place of the target in turn.

The process is forked where the reported evaluation begins; each child puts another token into every copy of the
validation stream that it holds, goes on, and tells the loss at that position. A distribution that was fixed before the
token was looked at gives probabilities that sum to one.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import exp
from pathlib import Path
from types import CellType, FrameType
from typing import Any, NoReturn

import numpy as np
import torch

from .. import clock
from .stream import Floats, Ints

Losses = list[float | None]

ENOUGH = 2.0
"""No more tokens are tried once the probabilities sum to this."""
_HEADER = 1024
"""Bytes before the tokens of a shard."""
_CONTEXT = 4
"""Tokens before the position that a copy of the stream must show."""


@dataclass(frozen=True)
class Fork:
    """Where to fork and what to ask."""

    entry: int
    """The journal entry before which the children start."""
    place: int
    site: tuple[str | int, ...]
    """The kind and place of the operation whose values are the score."""
    vocabulary: int
    shard: Path
    """The validation shard, for scripts that read it again."""
    child_s: float
    """Seconds that one child may take."""
    total_s: float
    """Seconds after which no further child is started."""


class Forks:
    """Runs the children when the journal comes to the entry, and answers in them."""

    def __init__(
        self, plan: Fork, tokens: Ints, observe: Callable[[Ints], None], tell: Callable[[Losses], NoReturn]
    ) -> None:
        """`observe` is told the stream that a child reads; `tell` ends the run with the losses."""
        self.plan, self.tokens = plan, tokens
        self._observe, self._tell = observe, tell
        self._pipe: int | None = None

    def entry(self, number: int) -> None:
        """Called before each journal entry: forks at the planned one."""
        if number != self.plan.entry or self._pipe is not None:
            return
        place = self.plan.place
        context = self.tokens[max(0, place - _CONTEXT) : place + 1]
        copies = [(row, at) for row in _rows() for at in _ends(row, context)]
        losses: Losses = []
        mass, end = 0.0, clock.real() + self.plan.total_s
        gc.freeze()
        for token in range(self.plan.vocabulary):
            reading, self._pipe = os.pipe()
            child = os.fork()
            if child == 0:
                for row, at in copies:
                    row[at] = token
                self._write(token)
                changed = self.tokens.copy()
                changed[place] = token
                self._observe(changed)
                return
            os.close(self._pipe)
            losses.append(self._wait(reading, child))
            mass += exp(-losses[-1]) if losses[-1] is not None else 0.0
            if mass > ENOUGH or clock.real() > end:
                break
        self._write(int(self.tokens[self.plan.place]))
        self._tell(losses)

    def scored(self, site: tuple[str | int, ...], places: Ints, values: Floats) -> None:
        """In a child: tell the loss as soon as the position has been scored at the site, and leave."""
        if self._pipe is None or site != self.plan.site:
            return
        found = np.flatnonzero(places == self.plan.place)
        if len(found):
            os.write(self._pipe, struct.pack("<d", float(values[found[-1]])))
            os._exit(0)

    def _wait(self, reading: int, child: int) -> float | None:
        ready, _, _ = select.select([reading], [], [], self.plan.child_s)
        told = os.read(reading, 8) if ready else b""
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return float(struct.unpack("<d", told)[0]) if len(told) == 8 else None

    def _write(self, token: int) -> None:
        with self.plan.shard.open("r+b") as shard:
            shard.seek(_HEADER + 2 * self.plan.place)
            shard.write(struct.pack("<H", token))


def _rows() -> list[Any]:
    """Everything in the process that holds whole numbers in a row: tensors, arrays, lists."""
    found: dict[int, Any] = {}
    for item in gc.get_objects():
        kind = type(item)
        if kind is list or issubclass(kind, torch.Tensor):
            found[id(item)] = item
        if kind in (dict, tuple, list, CellType):
            found.update((id(part), part) for part in gc.get_referents(item) if issubclass(type(part), np.ndarray))
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        found.update((id(part), part) for part in frame.f_locals.values() if issubclass(type(part), np.ndarray))
        frame = frame.f_back
    return [row for value in found.values() if (row := _numbers(value)) is not None]


def _numbers(value: Any) -> Any:
    """The value as a row that can be written to, if it holds whole numbers."""
    if isinstance(value, torch.Tensor):
        if value.dtype not in _INTEGERS or value.device.type != "cpu" or not value.is_contiguous():
            return None
        return value.detach().view(-1).numpy()
    if isinstance(value, np.ndarray):
        plain = value.view(np.ndarray)
        return (
            plain.reshape(-1)
            if plain.dtype.kind in "iu" and plain.flags.c_contiguous and plain.flags.writeable
            else None
        )
    return value if value and type(value[0]) is int and type(value[-1]) is int else None


def _ends(row: Any, context: Ints) -> list[int]:
    """Where the row shows the end of `context`."""
    numbers = np.asarray(row)
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1 or len(numbers) < len(context):
        return []
    ends = np.arange(len(context) - 1, len(numbers))
    for back, wanted in enumerate(reversed(context.tolist())):
        ends = ends[numbers[ends - back] == wanted]
    return ends.tolist()


_INTEGERS = (torch.uint8, torch.int16, torch.int32, torch.int64, torch.uint16)
