"""The stream of tokens as a predictor meets it: revealed up to a point, hidden beyond.

Two kinds of stream, one kind of predictor. The scorer's stream (`Known`) holds all tokens and runs the network over
whole windows at once; the decoder's (`Live`) holds what is decoded so far and pads the rest. Both hand out a row only
when everything it may depend on is revealed. A causal network gives the same bits either way, since the shapes are the
same; anything that depends on what is hidden gives others, and cannot be decoded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from reference_impl.data.shards import Tokens
from reference_impl.errors import InputError
from reference_impl.evaluate.windows import Window
from reference_impl.optim.world import World

Row = np.ndarray[Any, np.dtype[np.float64]]
"""Log-probabilities (nats) of all v tokens of the vocabulary."""
Network = Callable[[Tensor], Tensor]
"""Tokens (b, t), int64 -> logits (b, t, v); position i must depend on positions up to i alone."""


class IllegalError(InputError):
    """A predictor broke a rule of scoring; the message says which. A setting can cause it: a rate that diverges."""


class Rows(ABC):
    """Distributions of the next targets: `first` .. `first` + `count` - 1, as places in the stream."""

    def __init__(self, stream: Stream, first: int, count: int) -> None:
        self.stream, self.first, self.count = stream, first, count

    def row(self, target: int) -> Row:
        """The distribution of one target, (v).

        Raises `IllegalError` before all tokens in front of it are revealed.
        """
        if target > self.stream.revealed:
            raise IllegalError(f"target {target} was asked for when {self.stream.revealed} tokens were revealed")
        return self._row(target)

    @abstractmethod
    def _row(self, target: int) -> Row: ...


class Stream(ABC):
    """`length` tokens, of which a predictor sees the first `revealed`; the very first is given."""

    def __init__(self, length: int, first: int) -> None:
        self.length, self.revealed = length, 0
        self._shown = np.zeros(length, dtype=np.uint16)
        self._show(np.array([first], dtype=np.uint16))

    @property
    def past(self) -> Tokens:
        """The revealed tokens, read-only."""
        past = self._shown[: self.revealed]
        past.flags.writeable = False
        return past

    def _show(self, tokens: Tokens) -> None:
        self._shown[self.revealed : self.revealed + len(tokens)] = tokens
        self.revealed += len(tokens)

    @abstractmethod
    def through(self, network: Network, windows: Sequence[Window]) -> Rows:
        """The network's distributions of the windows' targets, which must be the next ones."""


class Predictor(Protocol):
    """Whatever predicts: it reaches tokens through the stream alone."""

    def ahead(self, stream: Stream) -> Rows:
        """Distributions of the next targets, as many as come before it wants to learn again (at least one)."""

    def learn(self, stream: Stream) -> None:
        """All those targets were scored, and are revealed."""


class Known(Stream):
    """The scorer's side: all tokens (uint16)."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__(len(tokens), int(tokens[0]))
        self._tokens = tokens

    def reveal(self, count: int) -> None:
        """The next `count` tokens are scored."""
        self._show(self._tokens[self.revealed : self.revealed + count])

    def through(self, network: Network, windows: Sequence[Window]) -> NetworkRows:
        """As in `Stream`; whole windows at once."""
        return NetworkRows(self, network, windows, self._tokens)


class Live(Stream):
    """The decoder's side: what is decoded so far."""

    def append(self, token: int) -> None:
        """The next token is decoded."""
        self._show(np.array([token], dtype=np.uint16))

    def through(self, network: Network, windows: Sequence[Window]) -> Rows:
        """As in `Stream`; one run of the network for each row, over what is known by then."""
        return ReplayedRows(self, network, windows)


class NetworkRows(Rows):
    """A network's rows where the tokens are known (teacher forcing)."""

    def __init__(self, stream: Stream, network: Network, windows: Sequence[Window], tokens: Tokens) -> None:
        super().__init__(stream, windows[0].first, sum(window.targets for window in windows))
        self._network, self._windows, self._tokens = network, windows, tokens
        self._at, self._logits = -1, torch.empty(0)

    def _row(self, target: int) -> Row:
        while self._at < 0 or target > self._windows[self._at].end:
            self._at += 1
            window = self._windows[self._at]
            if target <= window.end:
                self._logits = run(self._network, self._tokens[window.start : window.end])[0]
        return log_softmax(self._logits[target - 1 - self._windows[self._at].start])

    def nats(self, batch_tokens: int, world: World) -> Tensor:
        """The scorer's shortcut: nats of all its targets, (count), float64, several windows at a time.

        Processes take the batches in turn; each finds the same bits for a batch, so the sum of all is what one finds.
        """
        length = self._windows[0].end - self._windows[0].start  # of all of them
        size = max(batch_tokens // length, 1)
        found = torch.zeros(self.count, dtype=torch.float64)
        for number, at in enumerate(range(0, len(self._windows), size)):
            if number % world.size != world.rank:
                continue
            batch = self._windows[at : at + size]
            logits_btv = run(self._network, np.stack([self._tokens[each.start : each.end] for each in batch]))
            counted = torch.cat(
                [row[each.first - 1 - each.start :] for each, row in zip(batch, logits_btv, strict=True)]
            ).double()
            targets = np.concatenate([self._tokens[each.first : each.end + 1] for each in batch]).astype(np.int64)
            first = batch[0].first - self.first
            found[first : first + len(targets)] = F.cross_entropy(
                counted, torch.from_numpy(targets).to(counted.device), reduction="none"
            )
        return world.sum(found)


class ReplayedRows(Rows):
    """The same rows where the tokens are not known yet: zeros stand for what is hidden."""

    def __init__(self, stream: Stream, network: Network, windows: Sequence[Window]) -> None:
        super().__init__(stream, windows[0].first, sum(window.targets for window in windows))
        self._network, self._windows = network, windows

    def _row(self, target: int) -> Row:
        window = next(each for each in self._windows if each.first <= target <= each.end)
        tokens = np.zeros(window.end - window.start, dtype=np.uint16)
        tokens[: target - window.start] = self.stream.past[window.start : target]
        return log_softmax(run(self._network, tokens)[0, target - 1 - window.start])


class ChangedRows(Rows):
    """Rows of another, each changed by what comes before its target."""

    def __init__(self, rows: Rows, change: Callable[[Row, Tokens], Row]) -> None:
        super().__init__(rows.stream, rows.first, rows.count)
        self._rows, self._change = rows, change

    def _row(self, target: int) -> Row:
        return self._change(self._rows.row(target), self.stream.past[:target])


@torch.inference_mode()
def run(network: Network, tokens: Tokens) -> Tensor:
    """Logits (b, t, v) of tokens (b, t), or (t) for b = 1."""
    return network(torch.from_numpy(np.atleast_2d(tokens).astype(np.int64)))


def log_softmax(logits: Tensor) -> Row:
    """One row of logits, normalised in float64."""
    row: Row = torch.log_softmax(logits.double().cpu(), dim=-1).numpy()
    return row
