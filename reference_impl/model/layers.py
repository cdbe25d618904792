"""Linear maps with float32 master weights, and the normalisation without parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Linear(nn.Module):
    """`x @ W.T (+ b)`; W (out, in) is kept in float32 and cast to the dtype of `x` for the product.

    `init` is `orthogonal`, `uniform` (PyTorch's default for linear layers) or `zeros`.
    """

    def __init__(self, inputs: int, outputs: int, init: str, *, gain: float = 1.0, bias: float | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = None if bias is None else nn.Parameter(torch.full((outputs,), bias))
        if init == "orthogonal":
            nn.init.orthogonal_(self.weight, gain=gain)
        elif init == "uniform":
            nn.init.uniform_(self.weight, -(inputs**-0.5), inputs**-0.5)
        else:
            nn.init.zeros_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return F.linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


def projection(inputs: int, outputs: int, gain: float) -> nn.Module:
    """From a table's width to the model's, nothing where they are the same (PR #162)."""
    return nn.Identity() if inputs == outputs else Linear(inputs, outputs, "orthogonal", gain=gain)


def rms_norm(x: Tensor) -> Tensor:
    """Divide by the root mean square over the last dimension (Zhang and Sennrich, arXiv 1910.07467); no parameters."""
    return F.rms_norm(x, (x.size(-1),))
