"""Legality of a predictor, by experiment: what anyone can run on a predictor of their own.

Each check takes a function that makes a fresh predictor, and raises `IllegalError`. They are the conditions of issue
#1017: a distribution of the next token, over the whole vocabulary, from the prefix alone, in one pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from reference_impl.data.shards import Tokens
from reference_impl.evaluate.score import one_by_one, score
from reference_impl.evaluate.stream import IllegalError, Known, Live, Predictor, Row

Make = Callable[[Tokens], Predictor]
"""Makes a predictor for a stream; one that obeys the rules has no use for the tokens it is offered."""


def rows_of(predictor: Predictor, tokens: Tokens) -> Iterator[Row]:
    """Every distribution as the scorer asks for it, one at a time."""
    stream = Known(tokens)
    for _, row in one_by_one(predictor, stream):
        yield row
        stream.reveal(1)


def replayed_rows(predictor: Predictor, tokens: Tokens) -> Iterator[Row]:
    """Every distribution as the decoder asks for it: nothing holds the tokens that are still to come."""
    stream = Live(len(tokens), int(tokens[0]))
    for target, row in one_by_one(predictor, stream):
        yield row
        stream.append(int(tokens[target]))


def check_causal(make: Make, tokens: Tokens, cut: int, other: Tokens) -> None:
    """Replacing everything from place `cut` on by `other` must not change a bit of any distribution up to there."""
    changed = np.concatenate([tokens[:cut], other])
    pairs = zip(rows_of(make(tokens), tokens), rows_of(make(changed), changed), strict=False)
    for target, (one, two) in zip(range(1, cut + 1), pairs, strict=False):
        if not np.array_equal(one, two):
            raise IllegalError(f"the distribution of token {target} changed with tokens from {cut} on")


def check_replay(make: Make, tokens: Tokens) -> None:
    """A decoder, which has no tokens to come, must get the scorer's distributions bit for bit."""
    nothing = np.zeros_like(tokens)
    pairs = zip(rows_of(make(tokens), tokens), replayed_rows(make(nothing), tokens), strict=True)
    for target, (one, two) in enumerate(pairs, 1):
        if not np.array_equal(one, two):
            raise IllegalError(f"a decoder finds another distribution for token {target}")


def check_null(make: Make, vocab: int, count: int, seed: int, *, sigmas: float = 4.0) -> None:
    """On tokens drawn evenly at random nobody beats log2(vocab) bits, chance apart."""
    tokens = np.random.default_rng(seed).integers(0, vocab, count + 1).astype(np.uint16)
    bits = score(make(tokens), tokens).numpy() / math.log(2)
    slack = sigmas * bits.std() / math.sqrt(count)
    if bits.mean() < math.log2(vocab) - slack:
        raise IllegalError(
            f"random tokens cost {bits.mean():.3f} bits, fewer than the {math.log2(vocab):.3f} they have"
        )
