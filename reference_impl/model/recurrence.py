"""Depth recurrence (PRs #1204, #1394): some layers run several times with the same weights."""

from __future__ import annotations

from reference_impl.config import ModelConfig


def layer_order(config: ModelConfig, *, recur: bool) -> tuple[list[int], list[int]]:
    """The layers in the order in which they run, cut into an encoder and a decoder half (the longer one).

    >>> layer_order(ModelConfig(layers=6, recur_first=2, recur_last=3, recur_times=1), recur=True)
    ([0, 1, 2, 3], [2, 3, 4, 5])
    """
    times = 1 + (config.recur_times if recur else 0)
    repeated = list(range(config.recur_first, config.recur_last + 1)) if config.recur_times else []
    before = range(config.recur_first if config.recur_times else config.layers)
    after = range(config.recur_last + 1, config.layers) if config.recur_times else range(0)
    order = [*before, *(repeated * times), *after]
    return order[: len(order) // 2], order[len(order) // 2 :]
