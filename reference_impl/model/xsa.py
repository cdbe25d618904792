"""Exclusive self-attention (arXiv 2603.09078; first used in PR #265)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def exclude_self(y_bthe: Tensor, v_btge: Tensor) -> Tensor:
    """Remove from each head's output what lies along the position's own value: y - (y . v^) v^ with v^ = v / |v|.

    A position knows its own token already, through the residual stream; attention is left to what the others say.
    """
    b, t, h, e = y_bthe.shape
    g = v_btge.size(2)
    y = y_bthe.reshape(b, t, g, h // g, e)
    own = F.normalize(v_btge, dim=-1)[:, :, :, None]
    return (y - (y * own).sum(-1, keepdim=True) * own).reshape(b, t, h, e)
