"""Which tokens a micro-batch holds: a pure function of its number, so that any number of processes sees the same steps.

A loader has no state. To resume a run one needs its step alone, and 1, 2, 4 or 8 processes cut the same stream.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from reference_impl.config import TrainConfig
from reference_impl.data.shards import TokenFiles
from reference_impl.errors import InputError

Loader = Callable[[int], tuple[Tensor, Tensor]]
"""Number of a micro-batch -> inputs and targets (b, t), int64."""


def contiguous(files: TokenFiles, rows: int, sequence: int) -> Loader:
    """Spans of rows x sequence + 1 tokens, one after another, as the baseline reads them."""
    span = rows * sequence + 1

    def load(number: int) -> tuple[Tensor, Tensor]:
        tokens = torch.from_numpy(files.read(number * span, span).astype(np.int64))
        return tokens[:-1].reshape(rows, sequence), tokens[1:].reshape(rows, sequence)

    return load


def coprime(files: TokenFiles, rows: int, sequence: int) -> Loader:
    """Sequences in an order that jumps: number i lies at place (i x stride) mod n, with stride and n coprime.

    So every sequence comes once before any comes again, and neighbours in a batch come from far apart. Each pass over
    the data starts the sequences elsewhere.
    """
    count = (len(files) - 1) // sequence
    stride = coprime_stride(count)

    def load(number: int) -> tuple[Tensor, Tensor]:
        starts = [start_of(number * rows + row) for row in range(rows)]
        tokens = torch.from_numpy(np.stack([files.read(start, sequence + 1) for start in starts]).astype(np.int64))
        return tokens[:, :-1], tokens[:, 1:]

    def start_of(i: int) -> int:
        epoch, place = divmod(i, count)
        return (place * stride % count) * sequence + epoch * (sequence // 3)

    return load


def coprime_stride(count: int) -> int:
    """The number nearest to count divided by the golden ratio that shares no divisor with it."""
    golden = round(count * (math.sqrt(5) - 1) / 2)
    return next(i for step in range(count) for i in (golden - step, golden + step) if i > 0 and math.gcd(i, count) == 1)


def make_loader(config: TrainConfig, files: TokenFiles) -> Loader:
    """The loader of a run; raises `InputError` when there are fewer tokens than one micro-batch holds."""
    rows = config.batch_tokens // (config.micro_batches * config.sequence)
    if len(files) < rows * config.sequence + 1:
        raise InputError(
            f"{len(files)} training tokens fill no micro-batch of {rows} x {config.sequence}: lower train.batch_tokens"
        )
    kinds = {"contiguous": contiguous, "coprime": coprime}
    return kinds[config.loader](files, rows, config.sequence)


def document_ids(tokens_bt: Tensor, bos: int) -> Tensor:
    """Number of the document that each position belongs to, counted within its row (document packing, PR #1354)."""
    return (tokens_bt == bos).cumsum(dim=1)
