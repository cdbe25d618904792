"""Rotary position embedding (arXiv 2104.09864), of all or some dimensions of a head (partial: PR #315)."""

from __future__ import annotations

import torch
from torch import Tensor

from reference_impl.config import ModelConfig


def rotary_tables(config: ModelConfig, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (t, rotated / 2) in float32.

    Beyond the training length s times over, the base grows by s^(r / (r - 2)) for r rotated dimensions (NTK scaling):
    the slowest wave then fits into the longer context, and the fastest stays as it was.
    """
    rotated, base = config.rotated, config.rope_base
    if config.rope_train_length and length > config.rope_train_length:
        base *= (length / config.rope_train_length) ** (rotated / (rotated - 2))
    exponents = torch.arange(0, rotated, 2, dtype=torch.float32, device=device) / rotated
    angles = torch.outer(torch.arange(length, dtype=torch.float32, device=device), 1.0 / base**exponents)
    return angles.cos(), angles.sin()


def rotate(x_bthe: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (i, i + r/2) of the first r dimensions of each head; the others pass."""
    half = cos.size(-1)
    cos, sin = cos[:, None].to(x_bthe.dtype), sin[:, None].to(x_bthe.dtype)
    first, second, rest = x_bthe[..., :half], x_bthe[..., half : 2 * half], x_bthe[..., 2 * half :]
    return torch.cat((first * cos + second * sin, second * cos - first * sin, rest), dim=-1)
