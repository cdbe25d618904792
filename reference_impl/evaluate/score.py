"""The scorer: asks for a distribution, writes down what the token cost, and only then reveals it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from reference_impl.data.dataset import Dataset
from reference_impl.data.shards import Tokens
from reference_impl.evaluate.stream import IllegalError, Known, NetworkRows, Predictor, Row, Rows, Stream
from reference_impl.log import Score
from reference_impl.optim.world import ALONE, World

TOLERANCE = 1e-6
"""How far the logarithm of a row's whole mass may lie from 0."""
BATCH_TOKENS = 65_536
"""Tokens that a network reads at a time."""


def score(
    predictor: Predictor,
    tokens: Tokens,
    watch: Callable[[int], None] = lambda done: None,
    *,
    batch: int = BATCH_TOKENS,
    world: World = ALONE,
) -> Tensor:
    """Nats of each token but the first, (n - 1), float64.

    `watch` is told how many are done. Raises `IllegalError` when the predictor gives no distribution, or another one
    than that of the next target.
    """
    stream = Known(tokens)
    nats = torch.full((len(tokens) - 1,), torch.nan, dtype=torch.float64)
    while stream.revealed < stream.length:
        rows = next_rows(predictor, stream)
        if isinstance(rows, NetworkRows):
            # Normalised by the scorer itself, and a function of the windows alone: the rows can be had all at once.
            found = rows.nats(batch, world)
            if not found.isfinite().all():
                raise IllegalError(f"the network's logits after token {rows.first - 1} are no numbers any more")
            nats[rows.first - 1 : rows.first - 1 + rows.count] = found
            stream.reveal(rows.count)
        else:
            for target, row in distributions(rows):
                nats[target - 1] = -float(row[tokens[target]])
                stream.reveal(1)
        predictor.learn(stream)
        watch(stream.revealed - 1)
    return nats


def next_rows(predictor: Predictor, stream: Stream) -> Rows:
    """What the predictor says next; raises `IllegalError` unless it starts at the next target: each is scored once."""
    rows = predictor.ahead(stream)
    if rows.first != stream.revealed or rows.count < 1 or rows.first + rows.count > stream.length:
        raise IllegalError(
            f"{rows.count} rows from target {rows.first} were given, but {stream.revealed} of {stream.length} are next"
        )
    return rows


def distributions(rows: Rows) -> Iterator[tuple[int, Row]]:
    """Targets and their rows, checked; each target is to be revealed before the next row is taken.

    Raises `IllegalError` unless a row's probabilities sum to one.
    """
    for target in range(rows.first, rows.first + rows.count):
        row = rows.row(target)
        with np.errstate(invalid="ignore"):  # not a number is told below
            mass = np.logaddexp.reduce(row)
        if not abs(mass) <= TOLERANCE:
            raise IllegalError(f"the probabilities of target {target} sum to {math.exp(min(mass, 700.0)):.6g}, not 1")
        yield target, row


def one_by_one(predictor: Predictor, stream: Stream) -> Iterator[tuple[int, Row]]:
    """All targets of a stream and their rows: what a coder follows, in both directions.

    Each target is to be revealed before the next row is taken. Raises `IllegalError` as `score` does.
    """
    while stream.revealed < stream.length:
        yield from distributions(next_rows(predictor, stream))
        predictor.learn(stream)


def evaluate(
    predictor: Predictor, data: Dataset, watch: Callable[[int], None] = lambda done: None, *, world: World = ALONE
) -> Score:
    """Score the whole validation split: BPB = sum of nats / ln 2 / sum of bytes, in float64."""
    started = time.perf_counter()
    nats = score(predictor, data.validation, watch, world=world).sum().item()
    return Score(
        nats / (len(data.validation) - 1), nats / math.log(2) / data.validation_bytes, time.perf_counter() - started
    )
