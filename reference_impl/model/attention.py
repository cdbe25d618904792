"""The attention half of a block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reference_impl.config import ModelConfig
from reference_impl.model.gates import HeadGate
from reference_impl.model.kernel import attend
from reference_impl.model.layers import Linear, rms_norm
from reference_impl.model.rotary import rotate
from reference_impl.model.values import ValueResidual
from reference_impl.model.xsa import exclude_self


class Attention(nn.Module):
    """Grouped-query attention with normalised, rotated queries and keys (arXiv 2010.04245), and a gain a query head."""

    def __init__(self, config: ModelConfig, layer: int, init: str) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        self.q = Linear(config.dim, config.dim, init)
        self.k = Linear(config.dim, config.kv_dim, init)
        self.v = Linear(config.dim, config.kv_dim, init)
        self.out = Linear(config.dim, config.dim, "zeros")
        self.q_gain = nn.Parameter(torch.full((config.heads,), config.qk_gain))
        self.exclusive = layer >= config.layers - config.xsa_last
        self.gate = HeadGate(config) if config.attention_gate != "none" else None
        owns_mix = config.value_residual and layer >= config.value_residual_from
        self.value_residual = ValueResidual() if owns_mix else None

    def forward(
        self,
        x_btd: Tensor,
        rotary: tuple[Tensor, Tensor],
        value_embedding: Tensor | None,
        first_values: Tensor | None,
        document_bt: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """(b, t, d) -> output (b, t, d), and the layer's own values (b, t, g, e) for layers that mix them in."""
        b, t, d = x_btd.shape
        q = rms_norm(self.q(x_btd).reshape(b, t, self.heads, self.head_dim))
        k = rms_norm(self.k(x_btd).reshape(b, t, self.kv_heads, self.head_dim))
        own = self.v(x_btd) if value_embedding is None else self.v(x_btd) + value_embedding
        own = v = own.reshape(b, t, self.kv_heads, self.head_dim)
        if self.value_residual is not None and first_values is not None:
            v = self.value_residual(first_values, own)
        q = rotate(q, *rotary) * self.q_gain.to(q.dtype)[:, None]
        y = attend(q, rotate(k, *rotary), v, document_bt)
        if self.exclusive:
            y = exclude_self(y, v)
        if self.gate is not None:
            y = y * self.gate(x_btd)
        return self.out(y.reshape(b, t, d)), own
