"""Gates: on the output of attention heads, and between a token's embedding and the one before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_impl.config import ModelConfig
from reference_impl.model.layers import Linear

WINDOW = 12
"""Input dimensions that the narrow gates look at."""


class HeadGate(nn.Module):
    """A factor for each head and position, computed from the input of the attention layer.

    `gated`: sigmoid(W x + b), b = 4, so almost open at first (arXiv 2505.06708; PR #413).
    `output`: 2 sigmoid(W x[:12]), so exactly 1 at first (PR #1667).
    `sparse`: sigmoid(W x[:12] / 2), so 1/2 at first (modded-nanogpt; PR #1787). W starts at zero in all three.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.kind = config.attention_gate
        wide = self.kind == "gated"
        self.linear = Linear(config.dim if wide else WINDOW, config.heads, "zeros", bias=4.0 if wide else None)

    def forward(self, x_btd: Tensor) -> Tensor:
        """(b, t, d) -> (b, t, h, 1)."""
        if self.kind == "gated":
            gate = torch.sigmoid(self.linear(x_btd))
        elif self.kind == "output":
            gate = 2 * torch.sigmoid(self.linear(x_btd[..., :WINDOW]))
        else:
            gate = torch.sigmoid(0.5 * self.linear(x_btd[..., :WINDOW]))
        return gate[..., None]


def previous(x_btd: Tensor) -> Tensor:
    """The sequence shifted by one position, zeros in front."""
    return F.pad(x_btd, (0, 0, 1, -1))


class SmearGate(nn.Module):
    """Blend each position's embedding with the one before, a factor a dimension (PR #65)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(dim))

    def forward(self, x_btd: Tensor) -> Tensor:
        """(1 - g) x_t + g x_{t-1} with g = sigmoid(gate), 1/2 at first."""
        g = torch.sigmoid(self.gate.to(x_btd.dtype))
        return (1 - g) * x_btd + g * previous(x_btd)


class MaskedSmearGate(nn.Module):
    """Add the embedding before, a factor a position (modded-nanogpt; PR #1667).

    x_t + s sigmoid(w . x_t[:12]) x_{t-1}, s and w zero at first. Nothing is added where a document begins: without
    that mask (PRs #1667 to #1851) the end of one document leaks into the next.
    """

    def __init__(self, bos: int) -> None:
        super().__init__()
        self.bos = bos
        self.linear = Linear(WINDOW, 1, "zeros")
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x_btd: Tensor, tokens_bt: Tensor) -> Tensor:
        """(b, t, d) -> (b, t, d)."""
        inside = (tokens_bt != self.bos)[..., None]
        gate = self.scale.to(x_btd.dtype) * torch.sigmoid(self.linear(x_btd[..., :WINDOW])) * inside
        return x_btd + gate * previous(x_btd)
