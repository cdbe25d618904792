"""What a run did, in order: scores, training, steps, printed lines. Plain data, bounded, written once at the end."""

from __future__ import annotations

import base64
import sys
from itertools import islice
from types import CodeType, FrameType
from typing import Any

import numpy.typing as npt

from .forks import Forks
from .stream import Floats, Ints

MAX_VALUES = 4_000_000
"""Scores that a journal holds (12 bytes each); a toy run makes a few hundred thousand."""
MAX_LINE = 2_000
_MAX_ENTRIES = 200_000


class Journal:
    """Entries in the order in which they happened."""

    def __init__(self, own: tuple[str, ...]) -> None:
        self.own = own
        """Path prefixes of code that is not the submission's: libraries and this runtime."""
        self.entries: list[dict[str, Any]] = []
        self.full = False
        self.forks: Forks | None = None
        self._values = 0
        self._sites: dict[tuple[CodeType, int], list[str | int]] = {}

    def score(self, kind: str, places: Ints, values: Floats, *, trains: bool) -> None:
        """Per-token losses in nats, or what was made of them, at stream positions `places` (-1 unknown).

        Logarithms of probabilities are losses with the other sign.
        """
        if values.size and float(values.mean()) < 0:
            values = -values
        site = self.site()
        if self.forks is not None:
            self.forks.scored((kind, *site), places, values)
        self._values += values.size
        if self._values > MAX_VALUES:
            self.full = True
            return
        self._add(
            kind=kind,
            site=site,
            trains=trains,
            places=_packed(places.astype("<i4")),
            values=_packed(values.astype("<f8")),
        )

    def line(self, text: str) -> None:
        """A line of output."""
        if text.strip():
            self._add(kind="line", text=text[:MAX_LINE])

    def event(self, kind: str, **data: Any) -> None:
        """Anything else."""
        self._add(kind=kind, **data)

    def _add(self, **entry: Any) -> None:
        if self.forks is not None:
            self.forks.entry(len(self.entries))
        if len(self.entries) >= _MAX_ENTRIES:
            self.full = True
            return
        self.entries.append(entry)

    def site(self) -> list[str | int]:
        """File, line, column and function of the submission's innermost frame: packed code is one line."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename.startswith(self.own):
            frame = frame.f_back
        if frame is None:
            return ["?", 0, 0, "?"]
        key = (frame.f_code, frame.f_lasti)
        if key not in self._sites:
            line, _, column, _ = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None))
            self._sites[key] = [frame.f_code.co_filename, line or 0, column or 0, frame.f_code.co_name]
        return self._sites[key]


def _packed(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")
