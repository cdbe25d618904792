"""What attention values may carry besides the layer's own projection: token identity, and the first layer's values."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_impl.config import ModelConfig
from reference_impl.model.layers import projection


class ValueEmbedding(nn.Module):
    """A table of token embeddings added to the values of some layers, each with its own factor (PR #374)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.value_embedding_dim
        self.layers = config.value_embedding_layers
        self.table = nn.Parameter(0.01 * torch.randn(config.vocab, width))
        self.project = projection(width, config.kv_dim, config.hash_projection_gain)
        self.scale = nn.Parameter(torch.tensor(0.1))
        self.layer_scales = nn.Parameter(torch.ones(len(self.layers)))

    def forward(self, tokens_bt: Tensor, dtype: torch.dtype) -> dict[int, Tensor]:
        """(b, t) -> for each of its layers (b, t, g x e)."""
        shared = self.project(F.embedding(tokens_bt, self.table).to(dtype)) * self.scale.to(dtype)
        return {layer: shared * self.layer_scales[i].to(dtype) for i, layer in enumerate(self.layers)}


class ValueResidual(nn.Module):
    """Mix the first layer's values into a later layer's, half and half at first (arXiv 2410.17897; PR #413)."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.full((2,), 0.5))

    def forward(self, first: Tensor, own: Tensor) -> Tensor:
        """The mix a v_0 + b v, all of one shape."""
        mix = self.mix.to(own.dtype)
        return mix[0] * first + mix[1] * own
