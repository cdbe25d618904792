"""The same for numpy: an array that remembers which stream position each element is about.

Plain arrays do not tell what is written into them, so arrays of numbers that a script makes to be filled are of this
kind from the start.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .stream import UNKNOWN

Ints = npt.NDArray[np.int64]
OnSum = Callable[[Ints, npt.NDArray[Any]], None]

_on_sum: list[OnSum] = []

_MADE = ("zeros", "empty", "ones", "full", "zeros_like", "empty_like", "ones_like", "full_like")
"""Functions that make arrays to be filled."""
_MOVING = frozenset(
    (
        "concatenate", "stack", "hstack", "vstack", "column_stack", "append", "ravel", "reshape", "squeeze",
        "expand_dims", "transpose", "swapaxes", "take", "take_along_axis", "split", "array_split", "repeat", "tile",
        "flip", "roll", "compress", "extract", "broadcast_to",
    )
)  # fmt: skip
"""Functions that only move elements: applied to positions, they give the positions of the result."""


def watch(on_sum: OnSum) -> None:
    """Make arrays watched, and have `on_sum(positions, values)` called at each sum or mean over them."""
    _on_sum[:] = [on_sum]
    numpy: Any = np
    for name in _MADE:
        setattr(numpy, name, _made(getattr(np, name)))


def _made(make: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(make)
    def made(*args: Any, **options: Any) -> Any:
        result = make(*args, **options)
        return result.view(Watched) if type(result) is np.ndarray and result.dtype.kind == "f" else result

    return made


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
        """Values without a place keep that which they are written to: a mixture stands where the model's own stood."""
        super().__setitem__(_plain(index), _plain(value))
        found = getattr(value, "positions", None)
        if found is not None:
            if self.positions is None:
                self.positions = np.full(self.shape, UNKNOWN, dtype=np.int64)
            self.positions[_plain(index)] = found

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Functions that move elements move positions the same way; others keep them where the shape stays."""
        result = super().__array_function__(func, types, args, kwargs)
        if func.__name__ in _MOVING and known_within(args):
            return _all_watched(result, func(*_swapped(args), **_swapped(kwargs)))
        if type(result) is np.ndarray:
            for item in args:
                found = getattr(item, "positions", None)
                if found is not None and found.shape == result.shape:
                    return watched(result, found)
        return result

    def _moved(self, result: Any, move: Callable[[Any], Any]) -> Any:
        if isinstance(result, Watched):
            result.positions = None if self.positions is None else move(self.positions)
        return result

    def reshape(self, *shape: Any, **options: Any) -> Any:
        """Positions take the same shape."""
        return self._moved(super().reshape(*shape, **options), lambda found: found.reshape(*shape, **options))

    def ravel(self, *args: Any) -> Any:
        """And here."""
        return self._moved(super().ravel(*args), lambda found: found.ravel(*args))

    def flatten(self, *args: Any) -> Any:
        """And here."""
        return self._moved(super().flatten(*args), lambda found: found.flatten(*args))

    def transpose(self, *axes: Any) -> Any:
        """And here."""
        return self._moved(super().transpose(*axes), lambda found: found.transpose(*axes))

    @property
    def T(self) -> Any:
        """And here."""
        return self.transpose()

    def sort(self, *args: Any, **options: Any) -> None:
        """Sorted in place, elements are no longer where they were."""
        super().sort(*args, **options)
        self.positions = None

    def squeeze(self, *args: Any, **options: Any) -> Any:
        """And here."""
        return self._moved(super().squeeze(*args, **options), lambda found: found.squeeze(*args, **options))

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
        if method == "reduce" and isinstance(axis := options.get("axis"), int):
            return _reduced(inputs[0], axis, result)
        for item in inputs:
            found = getattr(item, "positions", None)
            if found is not None and found.shape == result.shape:
                return watched(result, found)
        return result


def _reduced(value: Any, axis: int, result: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A reduction along an axis over which all known positions are the same keeps them."""
    found = getattr(value, "positions", None)
    if found is None or not found.size:
        return result
    place = found.max(axis=axis, keepdims=True)
    same = ((found == place) | (found == UNKNOWN)).all()
    return watched(result, place.reshape(result.shape)) if same else result


def watched(values: npt.NDArray[Any], positions: Ints) -> Watched:
    """`values` with their positions; the memory is shared."""
    result = values.view(Watched)
    result.positions = positions
    return result


def known_within(values: Any) -> bool:
    """Whether any array among arguments, or in lists among them, has positions."""
    return any(
        known_within(value) if isinstance(value, list | tuple) else getattr(value, "positions", None) is not None
        for value in values
    )


def known(positions: Ints) -> bool:
    """Whether any position is known."""
    return bool((positions != UNKNOWN).any())


def _swapped(value: Any) -> Any:
    """The arguments with each array of numbers replaced by its positions; indices stay what they are."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        found = getattr(value, "positions", None)
        return found if found is not None else np.full(value.shape, UNKNOWN, dtype=np.int64)
    if isinstance(value, list | tuple):
        return type(value)(_swapped(item) for item in value)
    if isinstance(value, dict):
        return {name: _swapped(item) for name, item in value.items()}
    return value


def _all_watched(result: Any, positions: Any) -> Any:
    if isinstance(result, list | tuple):
        return type(result)(_all_watched(part, found) for part, found in zip(result, positions, strict=True))
    return watched(result, positions) if isinstance(result, np.ndarray) and result.dtype.kind == "f" else result


def _plain(value: Any) -> Any:
    if isinstance(value, Watched):
        return value.view(np.ndarray)
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return value
