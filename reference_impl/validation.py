"""Bits per byte on the validation split, in windows that do not overlap: the measure during training."""

from __future__ import annotations

import math
import time

import numpy as np
import torch

from reference_impl.config import RunConfig
from reference_impl.data.dataset import Dataset
from reference_impl.errors import InputError
from reference_impl.log import Score
from reference_impl.model import GPT, next_token_loss
from reference_impl.optim.world import World


@torch.inference_mode()
def validate(model: GPT, data: Dataset, config: RunConfig, world: World, *, recur: bool) -> Score:
    """Score every full window; BPB = sum of nats / ln 2 / sum of bytes, summed in float64 over all processes.

    As in the published scripts the tail that fills no window is left out, so that the counts are comparable. Raises
    `InputError` when the split has not one window.
    """
    started = time.perf_counter()
    sequence, device = config.train.sequence, model.embedding.device
    windows = (len(data.validation) - 1) // sequence
    if windows == 0:
        raise InputError(
            f"the validation split has {len(data.validation)} tokens, fewer than a window of {sequence} + 1"
        )
    first, end = windows * world.rank // world.size, windows * (world.rank + 1) // world.size
    rows = max(config.train.validate_batch_tokens // (world.size * config.train.micro_batches * sequence), 1)
    totals = torch.zeros(2, dtype=torch.float64)
    for at in range(first, end, rows):
        count = min(rows, end - at) * sequence
        tokens = torch.from_numpy(data.validation[at * sequence : at * sequence + count + 1].astype(np.int64))
        x, y = tokens[:-1].reshape(-1, sequence), tokens[1:].reshape(-1, sequence)
        totals[0] += count * next_token_loss(model(x.to(device), recur=recur), y.to(device)).double().cpu()
        totals[1] += data.target_bytes(at * sequence, count).sum()
    nats, total_bytes = world.sum(totals.to(device)).tolist()
    return Score(nats / (windows * sequence), nats / math.log(2) / total_bytes, time.perf_counter() - started)
