"""Evaluators of ours, legal and not, over a stream of tokens: what the probe is tried on."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

VOCABULARY, BOS = 128, 1
_WINDOW, _STRIDE = 32, 16
Say = Callable[[str], None]


class Model(nn.Module):
    """A bigram model."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 32)
        self.head = nn.Linear(32, VOCABULARY)

    def logits(self, x_t: Tensor) -> Tensor:
        """(T) token ids to (T, V) logits."""
        found: Tensor = self.head(torch.tanh(self.embedding(x_t)))
        return found


class Pooled(Model):
    """One whose hidden states see the whole window."""

    def logits(self, x_t: Tensor) -> Tensor:
        """(T) token ids to (T, V) logits."""
        hidden_td = torch.tanh(self.embedding(x_t))
        found: Tensor = self.head(hidden_td + 0.1 * hidden_td.mean(0, keepdim=True))
        return found


class Total:
    """Losses summed up."""

    def __init__(self) -> None:
        self.nats, self.tokens = torch.zeros((), dtype=torch.float64), 0

    def add(self, losses: Tensor) -> None:
        """Take in losses in nats."""
        self.nats = self.nats + losses.double().sum()
        self.tokens += len(losses)

    def report(self, say: Say, name: str = "final") -> None:
        """Print the result, two bytes a token."""
        mean = self.nats.item() / self.tokens
        say(f"{name} val_loss:{mean:.8f} val_bpb:{mean / math.log(2) / 2:.8f}")


def train(model: Model, tokens: Tensor, start: int, stop: int, rate: float = 0.05) -> None:
    """One epoch of SGD over tokens `start` to `stop`."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for at in range(start, stop - _WINDOW, _WINDOW):
        optimizer.zero_grad()
        F.cross_entropy(model.logits(tokens[at : at + _WINDOW]), tokens[at + 1 : at + _WINDOW + 1]).backward()
        optimizer.step()


def score(model: Model, tokens: Tensor, start: int, stop: int, total: Total) -> None:
    """Sliding windows: each token once, with the most context."""
    with torch.no_grad():
        for at in range(start, stop, _STRIDE):
            low = max(0, at + _STRIDE - _WINDOW)
            window = tokens[low : at + _STRIDE + 1]
            losses = F.cross_entropy(model.logits(window[:-1]), window[1:], reduction="none")
            total.add(losses[at - low :])


def neural(tokens: Tensor, say: Say, kind: type[Model] = Model) -> None:
    """Nothing but a model."""
    total = Total()
    score(kind(), tokens, 0, len(tokens) - 1, total)
    total.report(say)


def pooled(tokens: Tensor, say: Say) -> None:
    """Hidden states are averaged over the window, later tokens included."""
    neural(tokens, say, Pooled)


def chunks(ahead: int, scored_first: bool = True, fresh: bool = False) -> Callable[[Tensor, Say], None]:
    """Test-time training by chunks of 128, with `ahead` more tokens than were scored."""

    def evaluate(tokens: Tensor, say: Say) -> None:
        base, total, last = Model(), Total(), len(tokens) - 1
        model = base
        for start in range(0, last, 128):
            stop = min(start + 128, last)
            if fresh:
                model = copy.deepcopy(base)
            if not scored_first:
                train(model, tokens, start, stop)
            score(model, tokens, start, stop, total)
            if scored_first:
                train(model, tokens, start, min(stop + ahead, last))
        total.report(say)

    return evaluate


def last_tokens(tokens: Tensor, say: Say) -> None:
    """A window for each token, of which only the last loss counts."""
    model, total = Model(), Total()
    with torch.no_grad():
        for end in range(1, len(tokens)):
            window = tokens[max(0, end - _WINDOW) : end + 1]
            inputs, targets = window[:-1], window[1:]
            total.add(F.cross_entropy(model.logits(inputs)[-1:], targets[-1:], reduction="none"))
    total.report(say)


def documents_first(tokens: Tensor, say: Say) -> None:
    """Trains on each document and then scores it, by the same function, which gives the mean loss."""
    model, nats, count = Model(), 0.0, 0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    starts = [*torch.nonzero(tokens == BOS).flatten().tolist(), len(tokens)]

    def loss_of(start: int, stop: int) -> Tensor:
        return F.cross_entropy(model.logits(tokens[start : stop - 1]), tokens[start + 1 : stop])

    for start, stop in pairwise(starts):
        optimizer.zero_grad()
        loss_of(start, stop).backward()
        optimizer.step()
        with torch.no_grad():
            nats += loss_of(start, stop).item() * (stop - start - 1)
        count += stop - start - 1
    say(f"final val_loss:{nats / count:.8f} val_bpb:{nats / count / math.log(2) / 2:.8f}")


def trained_before(tokens: Tensor, say: Say) -> None:
    """A first result, training on the whole stream, and a second result, which is reported."""
    model, last = Model(), len(tokens) - 1
    first, second = Total(), Total()
    score(model, tokens, 0, last, first)
    first.report(say, "before")
    train(model, tokens, 0, last)
    score(model, tokens, 0, last, second)
    second.report(say)


def by_length(tokens: Tensor, say: Say) -> None:
    """Legal test-time training on whole documents, the longest first."""
    model, total = Model(), Total()
    starts = [*torch.nonzero(tokens == BOS).flatten().tolist(), len(tokens)]
    spans = sorted(pairwise(starts), key=lambda span: span[0] - span[1])
    for start, stop in spans:
        for at in range(start, stop - 1, 64):
            low = max(start, at - 32)
            window = tokens[low : min(at + 65, stop)]
            with torch.no_grad():
                losses = F.cross_entropy(model.logits(window[:-1]), window[1:], reduction="none")[at - low :]
            total.add(losses)
            train(model, tokens, at, min(at + 64, stop - 1))
    total.report(say)


def hashed_cache(with_target: bool) -> Callable[[Tensor, Say], None]:
    """Bigram counts in 64 buckets: the target in the key and no distribution, or a mixture over the vocabulary.

    What tables are asked for is prepared before the first score.
    """

    def evaluate(tokens: Tensor, say: Say) -> None:
        model, total, ids = Model(), Total(), tokens.numpy()
        say("preparing")
        asked = ids * 13
        say("scoring")
        contexts, pairs = np.zeros(64), np.zeros(64)
        table = np.zeros((64, VOCABULARY))
        with torch.no_grad():
            for at in range(0, len(ids) - 1 - _STRIDE, _STRIDE):
                window = tokens[at : at + _STRIDE + 1]
                losses = F.cross_entropy(model.logits(window[:-1]), window[1:], reduction="none").double().numpy()
                p_t = np.exp(-losses)
                before, target = ids[at : at + _STRIDE], asked[at + 1 : at + _STRIDE + 1] // 13
                key, pair = before * 7 % 64, (before * 7 ^ target * 13) % 64
                if with_target:
                    seen = contexts[key] > 2
                    count = np.minimum(pairs[pair], contexts[key]) / np.maximum(contexts[key], 1)
                    p_t[seen] = (0.6 * p_t + 0.4 * count)[seen]
                else:
                    rows = (table[key] + 0.01) / (table[key] + 0.01).sum(1, keepdims=True)
                    p_t = 0.6 * p_t + 0.4 * rows[np.arange(_STRIDE), target]
                np.add.at(contexts, key, 1)
                np.add.at(pairs, pair, 1)
                np.add.at(table, (key, target), 1)
                total.add(torch.from_numpy(-np.log(np.clip(p_t, 1e-12, 1.0))))
        total.report(say)

    return evaluate
