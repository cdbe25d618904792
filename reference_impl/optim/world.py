"""The processes that share a run, and the three ways in which they talk; alone, each is free."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch.distributed as dist
from torch import Tensor

Wait = Callable[[], Tensor]
"""Ends a transfer that is under way, and gives its result."""


@dataclass(frozen=True)
class World:
    """This process among `size` others."""

    rank: int = 0
    size: int = 1

    def sum(self, tensor: Tensor) -> Tensor:
        """Add up the tensor of all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def latest(self, seconds: Tensor) -> float:
        """The largest value of all processes."""
        if self.size > 1:
            dist.all_reduce(seconds, op=dist.ReduceOp.MAX)
        return seconds.item()

    def reduce_scatter(self, full: Tensor) -> Wait:
        """Start adding up (n, ...) of all processes; each gets its n / size rows."""
        if self.size == 1:
            return lambda: full
        own = full.new_empty(full.size(0) // self.size, *full.shape[1:])
        work = dist.reduce_scatter_tensor(own, full, async_op=True)
        return lambda: (work.wait(), own)[1]

    def all_gather(self, own: Tensor) -> Wait:
        """Start handing each process the rows of all."""
        if self.size == 1:
            return lambda: own
        full = own.new_empty(own.size(0) * self.size, *own.shape[1:])
        work = dist.all_gather_into_tensor(full, own.contiguous(), async_op=True)
        return lambda: (work.wait(), full)[1]


def world_from_environment() -> World:
    """The place that `torchrun` gave this process; alone where it was not started by it."""
    return World(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
