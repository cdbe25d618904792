"""Predictors that count: an n-gram mixture over the full vocabulary, and the tilt towards one hint.

Both are functions of the tokens before the target alone, and stay distributions. (Published caches hash the target
itself into the key: what they add up to is no probability. PR #779 invited the form given here.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reference_impl.data.shards import Tokens
from reference_impl.evaluate.stream import ChangedRows, Predictor, Row, Rows, Stream

Context = tuple[int, ...]


class Counts:
    """How often each token followed each context of some lengths; grows with the stream."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = tuple(lengths)
        self._followers: dict[Context, dict[int, int]] = {}
        self._counted = 0

    def extend(self, past: Tokens) -> None:
        """Count the tokens of the stream that are new since the last call."""
        for at in range(self._counted, len(past)):
            token = int(past[at])
            for length in self.lengths:
                if length <= at:
                    followers = self._followers.setdefault(context(past[:at], length), {})
                    followers[token] = followers.get(token, 0) + 1
        self._counted = len(past)

    def followers(self, past: Tokens, length: int) -> dict[int, int]:
        """What followed the last `length` tokens so far, and how often."""
        return self._followers.get(context(past, length), {}) if length <= len(past) else {}


def context(past: Tokens, length: int) -> Context:
    """The last `length` tokens."""
    return tuple(past[len(past) - length :].tolist())


def witten_bell(counts: Counts, past: Tokens, vocab: int) -> Row:
    """Probabilities (v) after `past`, from the shortest context to the longest.

    p(w | h) = (c(h w) + t(h) p(w | h')) / (c(h) + t(h)), where t(h) counts the different tokens seen after h and h' is
    one token shorter; below the empty context all tokens are alike (Witten and Bell, 1991).
    """
    row: Row = np.full(vocab, 1.0 / vocab)
    for length in counts.lengths:
        followers = counts.followers(past, length)
        if followers:
            total = sum(followers.values()) + len(followers)
            row *= len(followers) / total
            row[list(followers)] += np.fromiter(followers.values(), dtype=np.float64) / total
    return row


class NgramPredictor:
    """(1 - w) p + w q: another predictor's p, and q an n-gram model of what was revealed so far."""

    def __init__(self, inner: Predictor, vocab: int, weight: float, order: int) -> None:
        self.inner, self.vocab, self.weight = inner, vocab, weight
        self.counts = Counts(range(order))

    def ahead(self, stream: Stream) -> Rows:
        """The inner rows, mixed."""
        return ChangedRows(self.inner.ahead(stream), self._mix)

    def learn(self, stream: Stream) -> None:
        """As the inner one."""
        self.inner.learn(stream)

    def _mix(self, row: Row, past: Tokens) -> Row:
        self.counts.extend(past)
        q = witten_bell(self.counts, past, self.vocab)
        mixed: Row = np.log((1 - self.weight) * np.exp(row) + self.weight * q)
        return mixed


class TiltPredictor:
    """p'(a) = exp(b [a = h]) p(a) / (1 + p(h) (exp(b) - 1)): more mass on one hint h (PR #1145).

    The hint is the commonest token after the last `order` tokens so far, where its share is at least `threshold`.
    """

    def __init__(self, inner: Predictor, boost: float, order: int, threshold: float) -> None:
        self.inner, self.boost, self.order, self.threshold = inner, boost, order, threshold
        self.counts = Counts((order,))

    def ahead(self, stream: Stream) -> Rows:
        """The inner rows, tilted."""
        return ChangedRows(self.inner.ahead(stream), self._tilt)

    def learn(self, stream: Stream) -> None:
        """As the inner one."""
        self.inner.learn(stream)

    def _tilt(self, row: Row, past: Tokens) -> Row:
        self.counts.extend(past)
        hint = self._hint(past)
        if hint is None:
            return row
        tilted: Row = row - np.log1p(np.exp(row[hint]) * np.expm1(self.boost))
        tilted[hint] += self.boost
        return tilted

    def _hint(self, past: Tokens) -> int | None:
        followers = self.counts.followers(past, self.order)
        if not followers:
            return None
        best = max(followers, key=followers.__getitem__)
        return best if followers[best] >= self.threshold * sum(followers.values()) else None
