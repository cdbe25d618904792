"""Which context predicts which target: a pure function of three numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """The network reads tokens `start` .. `end` - 1; what it says after tokens `first` - 1 .. `end` - 1 counts."""

    start: int
    end: int
    first: int
    """First target that this window predicts; the last is `end`."""

    @property
    def targets(self) -> int:
        """How many targets it predicts."""
        return self.end + 1 - self.first


def windows(tokens: int, length: int, stride: int = 0, first: int = 1) -> Iterator[Window]:
    """Windows over a stream of `tokens` tokens, each of `length` inputs, or all there are when they are fewer.

    The first window predicts all it can, each later one the next `stride` targets (0: `length`); the last one is moved
    back so that it is full too (as in lm-evaluation-harness; the published code lets it shrink instead and scores its
    tokens again and again). Targets 1 .. tokens - 1 each come once, in order; `first` goes on from one at which a
    window began. Raises `ValueError` on a stride that is longer than the window.
    """
    if not 0 <= stride <= length or length < 1:
        raise ValueError(f"no windows of {length} tokens with a stride of {stride}")
    while first < tokens:
        last = min(first + (length if first == 1 or not stride else stride), tokens) - 1
        yield Window(max(last - length, 0), last, first)
        first = last + 1
