"""Noise into weights that start at zero.

Zero-initialised projections and a long moving average leave a model of a few steps at the uniform distribution, where
nothing depends on anything and every script looks clean. With noise, what is there to depend on shows.
"""

from __future__ import annotations

from typing import Any

import torch

NEAR_ZERO = 1e-6


def liven(module: Any, scale: float, seed: int) -> int:
    """Replace each weight tensor of two or more dimensions that is all zero by noise; gives how many there were."""
    generator = torch._C.Generator()
    generator.manual_seed(seed)
    count = 0
    with torch.no_grad():
        for weight in module.parameters():
            if (
                weight.ndim >= 2
                and weight.numel()
                and weight.is_floating_point()
                and float(weight.abs().max()) <= NEAR_ZERO
            ):
                noise = torch.randn(weight.shape, generator=generator) * scale
                weight.copy_(noise.to(weight.dtype))
                count += 1
    return count


def install(scale: float, seed: int) -> None:
    """Liven each model when it is moved to its device for the first time, before any copy of it is made."""
    if not scale:
        return
    move = torch.nn.Module.to

    def to(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.__dict__.get("_livened"):
            self.__dict__["_livened"] = True
            liven(self, scale, seed)
        return move(self, *args, **kwargs)

    torch.nn.Module.to = to  # type: ignore[method-assign]
