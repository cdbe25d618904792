"""Embeddings of the last two or three tokens, by hash (bigrams: PR #162; trigrams: PR #1092)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_impl.model.layers import projection

MULTIPLIERS = (36313, 27191, 51497)
"""For the token itself, the one before and the one before that."""
SCALES = {2: 0.05, 3: 0.03}


def ngram_buckets(tokens_bt: Tensor, order: int, buckets: int) -> Tensor:
    """Bucket of the n-gram that ends at each position: (b, t) -> (b, t), int64.

    The products are combined by exclusive or, modulo buckets - 1; the last bucket is for positions with fewer than
    `order` tokens. Only tokens up to the position itself enter, so the feature is causal.
    """
    tokens = tokens_bt.long()
    key = MULTIPLIERS[0] * tokens
    for back in range(1, order):
        key = key ^ (MULTIPLIERS[back] * tokens.roll(back, dims=-1))
    bucket = key % (buckets - 1)
    bucket[..., : order - 1] = buckets - 1
    return bucket


class HashEmbedding(nn.Module):
    """A table (buckets, width), zero at first, projected to the model's width and scaled."""

    def __init__(self, order: int, buckets: int, width: int, dim: int, gain: float) -> None:
        super().__init__()
        self.order = order
        self.table = nn.Parameter(torch.zeros(buckets, width))
        self.project = projection(width, dim, gain)
        self.scale = nn.Parameter(torch.tensor(SCALES[order]))

    def forward(self, tokens_bt: Tensor, dtype: torch.dtype) -> Tensor:
        """(b, t) -> (b, t, d)."""
        bucket = ngram_buckets(tokens_bt, self.order, self.table.size(0))
        y: Tensor = self.project(F.embedding(bucket, self.table).to(dtype)) * self.scale.to(dtype)
        return y
