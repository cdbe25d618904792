"""Orthogonalising a matrix by matrix products alone: the heart of Muon."""

from __future__ import annotations

import torch
from torch import Tensor

QUINTIC = ((3.4445, -4.7750, 2.0315),) * 5
"""Newton-Schulz with coefficients that maximise the slope at zero (Jordan et al., 2024)."""
POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)
"""The best polynomial for each step in turn (arXiv 2505.16932; PRs #1344, #1787)."""
STEPS = {"quintic": QUINTIC, "polar-express": POLAR_EXPRESS}


def orthogonalize(x_nrc: Tensor, steps: tuple[tuple[float, float, float], ...], dtype: torch.dtype) -> Tensor:
    """Push the singular values of each matrix towards 1, keeping its singular vectors; (n, r, c) -> (n, r, c).

    A polynomial p(x) = a x + b x^3 + c x^5 acts on the singular values when X becomes a X + (b A + c A^2) X, A = X X^T.
    `dtype` is what the products are computed in: bfloat16 is enough, and what the records use.
    """
    x: Tensor = x_nrc.to(dtype)
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for a, b, c in steps:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
