"""Quantisation-aware training: the forward pass sees rounded matrices, the gradient passes as if they were not.

The rounding is an argument of the loss, not a flag inside a layer: the published scripts set a class attribute that
compiled code had folded away, and that banked matrices never looked at, so that "late QAT" did nothing in most runs.
"""

from __future__ import annotations

from torch import Tensor, nn


def round_rows(weight: Tensor, bits: int) -> Tensor:
    """Each row (last dimension) rounded to 2^bits - 1 levels between its largest magnitudes."""
    levels = 2 ** (bits - 1) - 1
    scale = weight.abs().amax(dim=-1, keepdim=True).clamp_min(1e-12) / levels
    rounded: Tensor = (weight / scale).round().clamp(-levels, levels) * scale
    return rounded


def fake_quantized(model: nn.Module, bits: int) -> dict[str, Tensor]:
    """The model's parameters for `torch.func.functional_call`, its matrices rounded.

    Straight-through estimator (arXiv 1308.3432): W + (round(W) - W), the bracket without gradient.
    """
    return {
        name: parameter + (round_rows(parameter, bits) - parameter).detach()
        if name.startswith("blocks.") and parameter.ndim == 2 and name.endswith(".weight") and ".gate." not in name
        else parameter
        for name, parameter in model.named_parameters()
    }
