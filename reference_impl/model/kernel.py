"""The one seam through which attention reaches a kernel: FlashAttention 3 or 2 where installed, else PyTorch's own.

All kernels compute the same function (a parity test compares those that are present). Layout as in FlashAttention:
(b, t, heads, e), fewer key/value heads than query heads allowed (grouped-query attention, arXiv 2305.13245).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]


@cache
def flash_kernel() -> tuple[str, Kernel] | None:
    """The installed FlashAttention: its name and causal function; None where there is none."""
    for name, module in (("flash-attn-3", "flash_attn_interface"), ("flash-attn-2", "flash_attn")):
        try:
            function = importlib.import_module(module).flash_attn_func
        except ImportError:
            continue

        def kernel(q: Tensor, k: Tensor, v: Tensor, function: Callable[..., Tensor] = function) -> Tensor:
            return function(q, k, v, causal=True)

        return name, kernel
    return None


def kernel_name(device: torch.device, dtype: torch.dtype) -> str:
    """Which kernel `attend` takes for such tensors; the log says it, so that nothing falls back unseen."""
    flash = flash_kernel() if device.type == "cuda" and dtype in (torch.bfloat16, torch.float16) else None
    return flash[0] if flash else "sdpa"


def attend(q_bthe: Tensor, k_btge: Tensor, v_btge: Tensor, document_bt: Tensor | None = None) -> Tensor:
    """Causal softmax attention -> (b, t, h, e).

    With `document_bt` (an id for each position) a position sees only its own document; that always runs in PyTorch's
    kernel, under an explicit mask.
    """
    if document_bt is None and kernel_name(q_bthe.device, q_bthe.dtype) != "sdpa":
        flash = flash_kernel()
        assert flash is not None
        return flash[1](q_bthe, k_btge, v_btge)
    q, k, v = (x.transpose(1, 2) for x in (q_bthe, k_btge, v_btge))
    mask = None if document_bt is None else document_mask(document_bt)
    grouped = q.size(1) != k.size(1)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=grouped)
    return y.transpose(1, 2)


def document_mask(document_bt: Tensor) -> Tensor:
    """True where a query (row) may see a key (column): earlier or equal, and of the same document; (b, 1, t, t)."""
    same = document_bt[:, :, None] == document_bt[:, None, :]
    return torch.tril(same)[:, None]
