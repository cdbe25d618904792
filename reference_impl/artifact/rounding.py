"""Matrices in a few bits: one scale a row, whole numbers times it; and two ways to choose the numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference_impl.config import ArtifactConfig

PERCENTILES = (0.999, 0.9995, 0.9999, 0.99999, 1.0)
DAMPING = 0.01
"""Share of the Hessian's mean diagonal that is added to it."""
BLOCK = 128
"""Columns after which GPTQ brings the rest of the matrix up to date."""


@dataclass(frozen=True)
class Rounded:
    """A matrix (r, c) as codes times scales."""

    codes: Tensor
    """int8 (r, c), from -(2^(b-1) - 1) to 2^(b-1) - 1."""
    scales: Tensor
    """float16 (r)."""

    def dense(self) -> Tensor:
        """The matrix, float32."""
        return self.codes.float() * self.scales.float()[:, None]


def levels(bits: int) -> int:
    """The largest code."""
    return (1 << (bits - 1)) - 1


def row_scales(weight_rc: Tensor, bits: int, config: ArtifactConfig) -> Tensor:
    """The scale of each row by the configured clip, float16 (r).

    Never 0, and never below what its row needs. (Published scripts floor it at 1/31, which lays one fixed grid over
    every matrix whose weights stay below 1: a hidden control of size, done openly by `sigmas`.)
    """
    magnitude = weight_rc.abs().float()
    if config.clip == "max":
        clip = magnitude.amax(dim=1)
    elif config.clip == "quantile":
        clip = torch.quantile(magnitude, config.clip_quantile, dim=1)
    elif config.clip == "sigmas":
        clip = config.clip_sigmas * weight_rc.float().std(dim=1)
    else:
        clips = torch.quantile(magnitude, torch.tensor(PERCENTILES, device=magnitude.device), dim=1)
        errors = torch.stack(
            [(nearest(weight_rc, to_scale(one, bits), bits).dense() - weight_rc).square().sum(1) for one in clips]
        )
        clip = clips.gather(0, errors.argmin(dim=0, keepdim=True))[0]
    return to_scale(clip, bits)


def to_scale(clip_r: Tensor, bits: int) -> Tensor:
    """Clip over largest code, as the float16 that is stored; at least its smallest normal number."""
    return (clip_r / levels(bits)).clamp_min(torch.finfo(torch.float16).tiny).half()


def nearest(weight_rc: Tensor, scales_r: Tensor, bits: int) -> Rounded:
    """Each weight to the nearest code."""
    codes = (weight_rc.float() / scales_r.float()[:, None]).round().clamp(-levels(bits), levels(bits))
    return Rounded(codes.to(torch.int8), scales_r)


def gptq(weight_rc: Tensor, hessian_cc: Tensor, scales_r: Tensor, bits: int) -> Rounded:
    """Round column by column, most used input first, and let the columns still to come make up for each error.

    With H = X^T X and U the upper Cholesky factor of its inverse, the error of column j over U_jj, times row j of U, is
    taken from the rest (arXiv 2210.17323). That minimises the error of the layer's output, tr(E H E^T). Entries of the
    raw inverse, as in PR #490, are right for the first column alone.
    """
    weight, hessian = weight_rc.double(), hessian_cc.double().clone()
    dead = hessian.diagonal() == 0
    hessian.diagonal()[dead] = 1.0
    weight = weight.masked_fill(dead, 0.0)
    hessian.diagonal().add_(DAMPING * hessian.diagonal().mean())
    order = hessian.diagonal().argsort(descending=True, stable=True)
    weight, hessian = weight[:, order], hessian[order][:, order]
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    upper = torch.linalg.cholesky(inverse, upper=True)
    scales, top = scales_r.double(), levels(bits)
    codes = torch.empty_like(weight)
    for start in range(0, weight.size(1), BLOCK):
        end = min(start + BLOCK, weight.size(1))
        errors = weight.new_empty(weight.size(0), end - start)
        for at in range(start, end):
            codes[:, at] = (weight[:, at] / scales).round().clamp(-top, top)
            error = (weight[:, at] - codes[:, at] * scales) / upper[at, at]
            weight[:, at:end] -= error[:, None] * upper[at, at:end]
            errors[:, at - start] = error
        weight[:, end:] -= errors @ upper[start:end, end:]
    return Rounded(codes[:, order.argsort()].to(torch.int8), scales_r)


def weighted_error(weight_rc: Tensor, rounded_rc: Tensor, hessian_cc: Tensor) -> float:
    """The squared error of the layer's output: tr(E H E^T)."""
    error = (weight_rc - rounded_rc).double()
    return float(((error @ hessian_cc.double()) * error).sum())


@dataclass(frozen=True)
class LowRank:
    """A correction A B of what rounding lost (LQER, arXiv 2402.02446; PR #1797), its factors rounded to 8 bits."""

    left: Rounded
    right: Rounded

    def dense(self) -> Tensor:
        """The correction (r, c), float32."""
        return self.left.dense() @ self.right.dense()


def low_rank(error_rc: Tensor, rank: int) -> LowRank:
    """The best correction of a rank, by singular values, which are shared out evenly over both factors."""
    u, s, v = torch.linalg.svd(error_rc.double(), full_matrices=False)
    root = s[:rank].sqrt()
    clip = ArtifactConfig(clip="max")
    factors = ((u[:, :rank] * root).float(), (root[:, None] * v[:rank]).float())
    left, right = (nearest(each, row_scales(each, 8, clip), 8) for each in factors)
    return LowRank(left, right)
