"""Positions follow values through numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from auditor.runtime.observe import arrays  # noqa: E402
from auditor.runtime.observe.arrays import watched  # noqa: E402

Told = list[tuple[list[int], list[float]]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """The sums that were told, while arrays are watched."""
    for name in arrays._MADE:
        monkeypatch.setattr(np, name, getattr(np, name))  # so that it is put back
    found: Told = []
    arrays.watch(lambda places, values: found.append((places.tolist(), values.tolist())))
    yield found
    arrays._on_sum.clear()


@pytest.mark.parametrize(
    ("made_of", "positions", "values"),
    [
        (lambda p: p, [5, 6, 7, 8], [1.0, 2.0, 3.0, 4.0]),
        (lambda p: np.concatenate([p[2:], p[:2]]), [7, 8, 5, 6], [3.0, 4.0, 1.0, 2.0]),
        (lambda p: np.stack([p, p], axis=1)[:, 0], [5, 6, 7, 8], [1.0, 2.0, 3.0, 4.0]),
        (lambda p: np.where(p > 2, p, 9.0), [5, 6, 7, 8], [9.0, 9.0, 3.0, 4.0]),
        (lambda p: np.maximum(0.5 * p, 1.5).astype(np.float64), [5, 6, 7, 8], [1.5, 1.5, 1.5, 2.0]),
        (lambda p: p.reshape(2, 2).T.ravel()[1:3], [7, 6], [3.0, 2.0]),
    ],
    ids=["itself", "concatenated", "stacked", "where", "mixed", "moved"],
)
def test_positions_of_what_is_made(
    told: Told, made_of: Callable[[np.ndarray], np.ndarray], positions: list[int], values: list[float]
) -> None:
    made_of(watched(np.array([1, 2, 3, 4], dtype=np.float32), np.arange(5, 9))).sum()
    assert told == [(positions, values)]


def test_an_array_that_is_filled(told: Told) -> None:
    losses = np.zeros(6)
    losses[1:3] = watched(np.array([1.0, 2.0]), np.array([8, 9]))
    losses[np.array([5])] = watched(np.array([3.0]), np.array([4]))
    losses += 1
    np.sum(losses)
    assert told == [([-1, 8, 9, -1, -1, 4], [1, 2, 3, 1, 1, 4])]


def test_plain_arrays_stay_silent(told: Told) -> None:
    np.zeros(4).sum()
    np.concatenate([np.ones(2), np.arange(2)]).mean()
    assert told == []
    assert type(np.zeros(4, dtype=np.int64)) is np.ndarray
