"""One layer: attention and MLP around the residual stream."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reference_impl.config import ModelConfig
from reference_impl.model.attention import Attention
from reference_impl.model.layers import rms_norm
from reference_impl.model.mlp import MLP


class Block(nn.Module):
    """Mix x <- m x + n x0, then x <- x + a attention(norm(x)), then x <- x + c mlp(norm(x)); factors a dimension.

    x0 is the stream as it entered the first layer (residual mix, modded-nanogpt). With LN scale (arXiv 2502.05795;
    PR #315) the normalised inputs shrink as 1 / sqrt(layer + 1). A parallel block (PR #1412) feeds both halves the same
    input.
    """

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        init = "orthogonal" if config.orthogonal_init else "uniform"
        self.attention = Attention(config, layer, init)
        self.mlp = MLP(config, init)
        self.attention_scale = nn.Parameter(torch.ones(config.dim))
        self.mlp_scale = nn.Parameter(torch.ones(config.dim))
        self.residual_mix = nn.Parameter(torch.stack((torch.ones(config.dim), torch.zeros(config.dim))))
        self.input_scale = (layer + 1) ** -0.5 if config.ln_scale else 1.0
        self.parallel = 0 <= config.parallel_from <= layer

    def forward(
        self,
        x_btd: Tensor,
        x0_btd: Tensor,
        rotary: tuple[Tensor, Tensor],
        value_embedding: Tensor | None = None,
        first_values: Tensor | None = None,
        document_bt: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(b, t, d) -> the stream after the layer, and the layer's own attention values (b, t, g, e)."""
        mix = self.residual_mix.to(x_btd.dtype)
        x = torch.addcmul(mix[0] * x_btd, mix[1], x0_btd)
        normed = rms_norm(x) * self.input_scale
        attended, values = self.attention(normed, rotary, value_embedding, first_values, document_bt)
        after = torch.addcmul(x, self.attention_scale.to(x.dtype), attended)
        if not self.parallel:
            normed = rms_norm(after) * self.input_scale
        return torch.addcmul(after, self.mlp_scale.to(x.dtype), self.mlp(normed)), values
