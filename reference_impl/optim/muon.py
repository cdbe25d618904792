"""Muon, sharded: the optimiser of all large matrices.

One step, for matrices of one shape stacked to (n, r, c) and P processes (parallel Muon, PR #399):

1. `start` (biggest stack first): gradients are summed and scattered, each process gets n / P matrices;
2. the caller reduces and steps everything else meanwhile, and finds the norm of the whole gradient;
3. `step`: momentum and orthogonalisation of the own matrices, in one batched product; while the updates of one stack
   are gathered by all, the next stack is computed.

The result does not depend on P, but for the order in which numbers are added. `torch.optim.Muon` computes the same at
constant momentum (a test compares them); its momentum buffer is an average, (1 - m) g + m B, whose old gradients weigh
otherwise once m is warmed up, and it neither shards nor normalises rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reference_impl.config import OptimConfig
from reference_impl.optim.orthogonal import STEPS, orthogonalize
from reference_impl.optim.world import Wait, World


@dataclass
class Stack:
    """Matrices of one shape; `momentum` is this process's share (n / P, r, c), padded with zeros."""

    matrices: list[nn.Parameter]
    padded: int
    momentum: Tensor


class Muon:
    """Momentum, orthogonalised, with decoupled weight decay (Jordan et al., 2024).

    B <- m B + g; u = g + m B (Nesterov); W <- (1 - lr decay) W - lr sqrt(max(1, r / c)) orthogonalize(u).
    """

    def __init__(self, matrices: Sequence[nn.Parameter], config: OptimConfig, world: World, dtype: torch.dtype) -> None:
        self.config, self.world, self.dtype = config, world, dtype
        shapes: dict[torch.Size, list[nn.Parameter]] = {}
        for matrix in matrices:
            shapes.setdefault(matrix.shape, []).append(matrix)
        biggest_first = sorted(shapes.values(), key=lambda alike: -len(alike) * alike[0].numel())
        self.stacks = [self._stack(alike) for alike in biggest_first]
        self._under_way: list[Wait] = []
        self._gradients: list[Tensor] = []

    def _stack(self, alike: list[nn.Parameter]) -> Stack:
        padded = -(-len(alike) // self.world.size) * self.world.size
        return Stack(alike, padded, alike[0].new_zeros(padded // self.world.size, *alike[0].shape))

    def start(self) -> None:
        """Start to sum the gradients over the processes, and to scatter them; takes them from the parameters."""
        self._under_way = [self.world.reduce_scatter(take_gradients(stack)) for stack in self.stacks]

    def squared_norm(self) -> Tensor:
        """Finish what `start` started; squared norm of this process's share (a scalar)."""
        self._gradients = [wait() for wait in self._under_way]
        self._under_way = []
        return sum((squared_norm(gradient) for gradient in self._gradients), torch.zeros(()))

    @torch.no_grad()
    def step(self, lr: float, momentum: float, gradient_scale: Tensor | float) -> None:
        """Update all matrices, on all processes alike."""
        waiting: tuple[Stack, Wait] | None = None
        for stack, gradient in zip(self.stacks, self._gradients, strict=True):
            update = self._update(stack, gradient.mul_(gradient_scale), momentum)
            gathered = self.world.all_gather(update)
            if waiting is not None:
                self._apply(waiting[0], waiting[1](), lr)
            waiting = (stack, gathered)
        if waiting is not None:
            self._apply(waiting[0], waiting[1](), lr)
        self._gradients = []

    def _update(self, stack: Stack, gradient: Tensor, momentum: float) -> Tensor:
        stack.momentum.mul_(momentum).add_(gradient)
        update = gradient.add_(stack.momentum, alpha=momentum)
        if self.config.row_normalize:
            update = update / update.norm(dim=-1, keepdim=True).clamp_min(1e-7)
        return orthogonalize(update, STEPS[self.config.newton_schulz], self.dtype)

    def _apply(self, stack: Stack, updates: Tensor, lr: float) -> None:
        rows, columns = updates.shape[-2:]
        size = lr * max(1.0, rows / columns) ** 0.5
        for matrix, update in zip(stack.matrices, updates, strict=False):
            matrix.mul_(1.0 - lr * self.config.matrix_decay).add_(update.to(matrix.dtype), alpha=-size)

    def momenta(self) -> list[Tensor]:
        """The momentum of every stack (n, r, c), gathered: what a checkpoint needs, on any number of processes."""
        return [self.world.all_gather(stack.momentum)()[: len(stack.matrices)].clone() for stack in self.stacks]

    def load_momenta(self, momenta: Sequence[Tensor]) -> None:
        """Take this process's share of gathered momenta."""
        for stack, full in zip(self.stacks, momenta, strict=True):
            share = stack.padded // self.world.size
            own = full[self.world.rank * share : (self.world.rank + 1) * share]
            stack.momentum.zero_()
            stack.momentum[: len(own)].copy_(own)


def squared_norm(tensor: Tensor) -> Tensor:
    """Sum of the squares (a scalar), row by row: the float32 norm of millions of numbers is 3e-4 off on a CPU."""
    norms: Tensor = torch.linalg.vector_norm(tensor, dim=-1)
    return norms.square().sum()


def take_gradients(stack: Stack) -> Tensor:
    """The gradients of a stack, (padded, r, c), zeros where there is none; the parameters let go of them."""
    first = stack.matrices[0]
    full = first.new_zeros(stack.padded, *first.shape)
    for row, matrix in zip(full, stack.matrices, strict=False):
        if matrix.grad is not None:
            row.copy_(matrix.grad)
            matrix.grad = None
    return full
