"""The feed-forward half of a block."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from reference_impl.config import ModelConfig
from reference_impl.model.layers import Linear


class MLP(nn.Module):
    """Up, activation, down; the way back starts at zero.

    The activation is the square of a (leaky) relu: relu squared (arXiv 2109.08668) in the baseline, slope 1/2 from
    PR #493 on, 3/4 in PR #977. The square makes the negative side positive again, only flatter.
    """

    def __init__(self, config: ModelConfig, init: str) -> None:
        super().__init__()
        hidden = int(config.mlp_ratio * config.dim)
        self.slope = config.leaky_slope
        self.up = Linear(config.dim, hidden, init)
        self.down = Linear(hidden, config.dim, "zeros")

    def forward(self, x_btd: Tensor) -> Tensor:
        """(b, t, d) -> (b, t, d)."""
        y: Tensor = self.down(F.leaky_relu(self.up(x_btd), self.slope).square())
        return y
