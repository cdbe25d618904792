"""Predictors made of the network alone: windows that slide, and networks that learn from what they have scored."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from reference_impl.config import EvaluateConfig, check
from reference_impl.data.shards import Tokens
from reference_impl.evaluate.stream import Network, Rows, Stream
from reference_impl.evaluate.windows import windows
from reference_impl.model import GPT, next_token_loss
from reference_impl.model.gpt import BOS
from reference_impl.optim.world import ALONE, World

SEQUENCES = 32
"""Sequences in one step of adaptation."""
CLIP = 1.0
"""Largest norm of an adaptation step's gradient."""


def at_temperature(model: GPT, temperature: float) -> Network:
    """The network with its logits divided by a constant that was fixed before evaluation (1: as they are)."""

    def network(tokens_bt: Tensor) -> Tensor:
        logits: Tensor = model(tokens_bt.to(model.embedding.device))
        return logits if temperature == 1.0 else logits / temperature

    return network


@dataclass
class SlidingPredictor:
    """A network that does not change: every target with the context its window gives it."""

    network: Network
    length: int
    stride: int
    block: int = 1 << 16
    """Targets between two looks at the progress."""

    def ahead(self, stream: Stream) -> Rows:
        """The windows whose first target lies in the next `block`."""
        return rows_until(stream, self.network, self.length, self.stride, stream.revealed + self.block)

    def learn(self, stream: Stream) -> None:
        """Nothing."""


def rows_until(stream: Stream, network: Network, length: int, stride: int, end: int) -> Rows:
    """Rows of all windows that start to predict at or after the next target and before target `end`."""
    following = windows(stream.length, length, stride, stream.revealed)
    return stream.through(network, list(takewhile(lambda window: window.first < end, following)))


@dataclass
class AdaptingPredictor:
    """Score-first test-time training (PRs #461, #549): a chunk is learnt from after all of it was scored.

    Windows belong to the chunk in which they start to predict. Training sees revealed tokens alone: the chunk's own
    sequences, not overlapping, `adapt_epochs` times; the rate falls along half a cosine over the chunks, and the last
    chunk is not trained on. Processes share the sequences of a step. Adapts a copy of the network. Raises `InputError`
    for a chunk shorter than a sequence.
    """

    model: GPT
    config: EvaluateConfig
    world: World = ALONE
    _optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        """Freeze what stays."""
        check(self.config.adapt_chunk >= self.config.sequence, "evaluate.adapt_chunk is shorter than a sequence")
        self.model = copy.deepcopy(self.model)
        trained = adapted(self.model, self.config.adapt_last_blocks)
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        for parameter in trained:
            parameter.requires_grad_(True)
        if self.config.adapt == "adamw":
            self._optimizer = torch.optim.AdamW(trained, lr=self.config.adapt_lr, weight_decay=0.0)
        else:
            self._optimizer = torch.optim.SGD(trained, lr=self.config.adapt_lr, momentum=self.config.adapt_momentum)
        self._trained, self._done = trained, 0

    def ahead(self, stream: Stream) -> Rows:
        """The windows of the chunk."""
        network = at_temperature(self.model, self.config.temperature)
        end = (self._done + 1) * self.config.adapt_chunk + 1
        return rows_until(stream, network, self.config.sequence, self.config.stride, end)

    def learn(self, stream: Stream) -> None:
        """Train on the chunk that was just scored."""
        chunk = self.config.adapt_chunk
        chunks = math.ceil((stream.length - 1) / chunk)
        done, self._done = self._done, self._done + 1
        if stream.revealed == stream.length:
            return
        for group in self._optimizer.param_groups:
            group["lr"] = self.config.adapt_lr * 0.5 * (1 + math.cos(math.pi * done / (chunks - 1)))
        x_nt, y_nt = sequences(stream.past[done * chunk : (done + 1) * chunk + 1], self.config.sequence)
        for _ in range(self.config.adapt_epochs):
            for x, y in zip(torch.split(x_nt, SEQUENCES), torch.split(y_nt, SEQUENCES), strict=True):
                device = self.model.embedding.device
                own = slice(self.world.rank, None, self.world.size)
                self._optimizer.zero_grad()
                if len(x[own]):
                    loss = next_token_loss(self.model(x[own].to(device)), y[own].to(device))
                    torch.autograd.backward(loss * (len(x[own]) / len(x)))
                self.world.sum_gradients(self._trained)
                nn.utils.clip_grad_norm_(self._trained, CLIP)
                self._optimizer.step()


def adapted(model: GPT, last_blocks: int) -> list[nn.Parameter]:
    """What adapts: all (0), or the last blocks, the scales of the others, and the tied embedding (PR #490)."""
    first = len(model.blocks) - last_blocks
    return [
        parameter
        for name, parameter in model.named_parameters()
        if not last_blocks
        or name == "embedding"
        or "scale" in name
        or (name.startswith("blocks.") and int(name.split(".")[1]) >= first)
    ]


def sequences(tokens: Tokens, length: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets (n, length), int64, that do not overlap; a rest is left out, unless it is all there is."""
    length = min(length, len(tokens) - 1)
    count = (len(tokens) - 1) // length if length else 0
    inner = torch.from_numpy(tokens[: count * length + 1].astype(np.int64))
    return inner[:-1].reshape(count, length), inner[1:].reshape(count, length)


class LoraPredictor:
    """Score-first training of low-rank corrections to queries and values, dropped at every document (PR #1530).

    W becomes W + B A, with B = 0 and a fixed A at a document's start (arXiv 2106.09685). That a document starts is only
    seen once it is revealed: the rest of its chunk is still predicted with the corrections of the one before.
    """

    def __init__(self, model: GPT, config: EvaluateConfig) -> None:
        self.model, self.config = model, config
        self._names = [name for name, _ in model.named_parameters() if name.endswith((".q.weight", ".v.weight"))]
        self._start()

    def _start(self) -> None:
        generator = torch.Generator().manual_seed(0)
        shapes = dict(self.model.named_parameters())
        rank, device = self.config.lora_rank, self.model.embedding.device
        self._down = {
            name: (torch.randn(rank, shapes[name].size(1), generator=generator) / rank**0.5).to(device).requires_grad_()
            for name in self._names
        }
        self._up = {
            name: torch.zeros(shapes[name].size(0), rank, device=device).requires_grad_() for name in self._names
        }
        trained = [*self._down.values(), *self._up.values()]
        self._optimizer = torch.optim.AdamW(trained, lr=self.config.adapt_lr, betas=(0.0, 0.999), weight_decay=0.0)

    def _network(self, tokens_bt: Tensor) -> Tensor:
        weights = dict(self.model.named_parameters())
        changed: dict[str, Any] = {name: weights[name] + self._up[name] @ self._down[name] for name in self._names}
        logits: Tensor = functional_call(self.model, changed, (tokens_bt.to(self.model.embedding.device),))
        return logits if self.config.temperature == 1.0 else logits / self.config.temperature

    def ahead(self, stream: Stream) -> Rows:
        """The windows of the next chunk."""
        end = stream.revealed + self.config.adapt_chunk
        self._from = stream.revealed - 1
        return rows_until(stream, self._network, self.config.sequence, self.config.stride, end)

    def learn(self, stream: Stream) -> None:
        """Start afresh where a document started, then train on the chunk's part of the present document."""
        chunk = stream.past[self._from :]
        starts = np.flatnonzero(chunk[1:] == BOS)
        if len(starts):
            self._start()
            chunk = chunk[starts[-1] + 1 :]
        x, y = sequences(chunk, self.config.sequence)
        if not len(x) or stream.revealed == stream.length:
            return
        device = self.model.embedding.device
        for _ in range(self.config.adapt_epochs):
            self._optimizer.zero_grad()
            torch.autograd.backward(next_token_loss(self._network(x), y.to(device)))
            self._optimizer.step()
