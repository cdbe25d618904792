"""The processes that share a run, and the three ways in which they talk; alone, each is free."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
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

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Add up the gradients of all processes, in place; one that a process lacks is zero."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()

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


ALONE = World()


def world_from_environment() -> World:
    """The place that `torchrun` gave this process; alone where it was not started by it."""
    return World(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


def own_device() -> torch.device:
    """This process's GPU, or else one thread of a CPU."""
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # what runs on a CPU is too small to share, and many times slower on busy cores
    return device


@contextmanager
def meeting() -> Iterator[tuple[World, torch.device]]:
    """This process's place and device, with the others met where torchrun started several."""
    world, device = world_from_environment(), own_device()
    if world.size > 1:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    yield world, device
    if world.size > 1:
        dist.destroy_process_group()
