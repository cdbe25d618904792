"""Which place of the validation stream a run of token ids is from, told by its content alone.

Scripts cut, shift, batch and pad the stream in their own ways. The probe's streams are made so that almost every pair
of neighbours occurs once (see `auditor.experiment.probe.streams`), hence a row of targets tells where it is from,
however it got there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

UNKNOWN = -1
_AMBIGUOUS = -2
_SHORTEST = 3
"""Tokens in a row that must fit together: two can meet by chance."""


class Stream:
    """A validation stream and the index of its bigrams."""

    def __init__(self, tokens: Ints) -> None:
        self.tokens = tokens.astype(np.int64)
        self._base = int(self.tokens.max()) + 1
        keys = self.tokens[:-1] * self._base + self.tokens[1:]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        first = np.ones(len(keys), dtype=bool)
        first[1:] = keys[1:] != keys[:-1]
        alone = first & np.append(first[1:], True)
        self._keys = keys[first]
        self._places = np.where(alone, order + 1, _AMBIGUOUS)[first]

    def places(self, ids: Ints) -> Ints:
        """The position in the stream of each of `ids` (any shape, read row after row), or `UNKNOWN`.

        A position is given to tokens of a run of at least three that stand in the stream in the same order, each of
        them tied to the run by a pair that occurs once in the stream or by being the neighbour of such a token.
        """
        row = ids.reshape(-1).astype(np.int64)
        found = np.full(row.shape, UNKNOWN, dtype=np.int64)
        if len(row) < _SHORTEST:
            return found.reshape(ids.shape)
        ends = self._ends(row)
        self._fill(row, ends, found)
        return found.reshape(ids.shape)

    def _ends(self, row: Ints) -> Ints:
        """For each token but the first, the place of the pair that ends there."""
        keys = row[:-1] * self._base + row[1:]
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known = (self._keys[at] == keys) & self._token(row[:-1]) & self._token(row[1:])
        return np.append(UNKNOWN, np.where(known, self._places[at], UNKNOWN))

    def _token(self, ids: Ints) -> npt.NDArray[np.bool_]:
        return (ids >= 0) & (ids < self._base)

    def _fill(self, row: Ints, ends: Ints, found: Ints) -> None:
        """Grow a run to both sides of each pair that occurs once, and keep the runs of three and more."""
        stop = 0
        for at in np.flatnonzero(ends >= 0):
            if at < stop:
                continue
            shift = int(ends[at] - at)
            low, high = max(stop, -shift), min(len(row), len(self.tokens) - shift)
            differs = np.flatnonzero(row[low:high] != self.tokens[low + shift : high + shift]) + low
            after = int(np.searchsorted(differs, at))
            start = int(differs[after - 1]) + 1 if after else low
            end = int(differs[after]) if after < len(differs) else high
            if end - start >= _SHORTEST:
                found[start:end] = np.arange(start, end) + shift
                stop = end
