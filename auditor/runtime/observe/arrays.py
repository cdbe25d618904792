"""The same for numpy: an array that remembers which stream position each element is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .stream import UNKNOWN

Ints = npt.NDArray[np.int64]
OnSum = Callable[[Ints, npt.NDArray[Any]], None]

_on_sum: list[OnSum] = []


def watch_sums(callback: OnSum) -> None:
    """Have `callback(positions, values)` called at each sum or mean over watched values."""
    _on_sum[:] = [callback]


class Watched(np.ndarray[Any, Any]):
    """An array with stream positions."""

    positions: Ints | None = None

    def __array_finalize__(self, source: Any) -> None:
        """A view of the same shape is about the same positions."""
        found = getattr(source, "positions", None)
        self.positions = found if found is not None and found.shape == self.shape else None

    def __getitem__(self, index: Any) -> Any:
        """Positions are taken by the same index."""
        result = super().__getitem__(_plain(index))
        if isinstance(result, Watched):
            result.positions = None if self.positions is None else np.asarray(self.positions[_plain(index)])
        return result

    def __setitem__(self, index: Any, value: Any) -> None:
        """Values written over keep their place: a mixture stands where the model's own probability stood."""
        super().__setitem__(_plain(index), _plain(value))

    def reshape(self, *shape: Any, **options: Any) -> Any:
        """Positions take the same shape."""
        result = super().reshape(*shape, **options)
        if isinstance(result, Watched) and self.positions is not None:
            result.positions = self.positions.reshape(result.shape)
        return result

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        """Elementwise results are about the positions of their operands; sums are told."""
        if out is not None:
            options["out"] = tuple(_plain(item) for item in out)
        result = getattr(ufunc, method)(*(_plain(item) for item in inputs), **options)
        if method == "reduce" and ufunc is np.add:
            summed = inputs[0]
            if isinstance(summed, Watched) and summed.positions is not None:
                for callback in _on_sum:
                    callback(summed.positions, _plain(summed))
        if out is not None:
            return out[0] if len(out) == 1 else out
        if not isinstance(result, np.ndarray):
            return result
        for item in inputs:
            found = getattr(item, "positions", None)
            if found is not None and found.shape == result.shape:
                return watched(result, found)
        return result


def watched(values: npt.NDArray[Any], positions: Ints) -> Watched:
    """`values` with their positions; the memory is shared."""
    result = values.view(Watched)
    result.positions = positions
    return result


def known(positions: Ints) -> bool:
    """Whether any position is known."""
    return bool((positions != UNKNOWN).any())


def _plain(value: Any) -> Any:
    if isinstance(value, Watched):
        return value.view(np.ndarray)
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return value
