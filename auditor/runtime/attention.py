"""FlashAttention 2 and 3 (`flash_attn`, `flash_attn_interface`), computed by scaled dot-product attention.

Tensors are (batch, sequence, heads, head size) there; for the variable-length functions (tokens, heads, head size) with
cumulative lengths. Masks follow FlashAttention: with queries and keys of different lengths the last query meets the
last key. Query heads may be a multiple of key heads.
Interface: Dao-AILab/flash-attention, `flash_attn/flash_attn_interface.py` and `hopper/flash_attn_interface.py`.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .job import RuntimeLimit

Window = tuple[int | None, int | None]
KNOWN = ("dropout_p", "deterministic", "return_attn_probs", "num_splits", "pack_gqa", "sm_margin", "seqused_q",
         "seqused_k", "attention_chunk", "qv", "q_descale", "k_descale", "v_descale", "alibi_slopes", "block_table",
         "learnable_sink", "zero_tensors", "max_seqlen_q", "max_seqlen_k", "scheduler_metadata")  # fmt: skip
BINARIES = ("flash_attn_3._C", "flash_attn_2_cuda", "flash_attn_3_cuda")
INERT = ("deterministic", "num_splits", "pack_gqa", "sm_margin", "max_seqlen_q", "max_seqlen_k", "zero_tensors",
         "scheduler_metadata")  # fmt: skip
"""Arguments that change how it is computed, not what."""


def check(options: dict[str, Any]) -> None:
    """Refuse what is not computed here, rather than leave it out."""
    for name, value in options.items():
        if name not in KNOWN:
            raise TypeError(f"flash attention has no argument {name!r}")
        if name not in INERT and not (value is None or (not isinstance(value, Tensor) and value == 0)):
            raise RuntimeLimit(f"flash attention with {name} is not computed here")


def visible(queries: int, keys: int, causal: bool, window: Window) -> Tensor | None:
    """Which key each query sees, (queries, keys) of bool; None when all are seen."""
    left, right = (-1 if side is None else side for side in window)
    if causal:
        right = 0
    if left < 0 and right < 0:
        return None
    at = torch.arange(queries)[:, None] + (keys - queries)
    key = torch.arange(keys)[None]
    seen = torch.ones(queries, keys, dtype=torch.bool)
    if right >= 0:
        seen &= key <= at + right
    if left >= 0:
        seen &= key >= at - left
    return seen


def attend(q_bthd: Tensor, k_bshd: Tensor, v_bshd: Tensor, scale: float | None, causal: bool, window: Window,
           softcap: float) -> Tensor:  # fmt: skip
    """Attention of one batch, (batch, queries, heads, value size), in the type of the queries."""
    q, k, v = (tensor.transpose(1, 2) for tensor in (q_bthd, k_bshd, v_bshd))
    seen = visible(q.shape[2], k.shape[2], causal, window)
    grouped = q.shape[1] != k.shape[1]
    if softcap:
        if grouped:
            k, v = (tensor.repeat_interleave(q.shape[1] // tensor.shape[1], dim=1) for tensor in (k, v))
        scores = (q.float() @ k.float().transpose(2, 3)) * (q.shape[3] ** -0.5 if scale is None else scale)
        scores = softcap * torch.tanh(scores / softcap)
        if seen is not None:
            scores = scores.masked_fill(~seen, float("-inf"))
        out = (scores.softmax(-1).nan_to_num(0.0) @ v.float()).to(q.dtype)
    elif causal and tuple(window) in ((-1, -1), (None, None)) and q.shape[2] == k.shape[2]:
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=grouped)
    else:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale, enable_gqa=grouped)
        if seen is not None and not bool(seen.any(-1).all()):
            out = out.masked_fill(~seen.any(-1)[:, None], 0.0)  # a query that sees nothing attends to nothing
    return out.transpose(1, 2)


def flash_attn_func(q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0, softmax_scale: float | None = None,
                    causal: bool = False, window_size: Window = (-1, -1), softcap: float = 0.0,
                    **options: Any) -> Tensor:  # fmt: skip
    """FlashAttention 2's `flash_attn_func`."""
    check({"dropout_p": dropout_p, **options})
    return attend(q, k, v, softmax_scale, causal, window_size, softcap)


def flash_attn_3_func(q: Tensor, k: Tensor, v: Tensor, softmax_scale: float | None = None, causal: bool = False,
                      qv: Any = None, q_descale: Any = None, k_descale: Any = None, v_descale: Any = None,
                      window_size: Window = (-1, -1), attention_chunk: int = 0, softcap: float = 0.0,
                      **options: Any) -> Tensor:  # fmt: skip
    """FlashAttention 3's `flash_attn_func`, whose positional arguments are others."""
    scales = {"q_descale": q_descale, "k_descale": k_descale, "v_descale": v_descale}
    check({"qv": qv, "attention_chunk": attention_chunk, **scales, **options})
    return attend(q, k, v, softmax_scale, causal, window_size, softcap)


def flash_attn_qkvpacked_func(qkv: Tensor, *args: Any, **options: Any) -> Tensor:
    """Queries, keys and values in one tensor, (batch, sequence, 3, heads, head size)."""
    q, k, v = qkv.unbind(2)
    return flash_attn_func(q, k, v, *args, **options)


def flash_attn_kvpacked_func(q: Tensor, kv: Tensor, *args: Any, **options: Any) -> Tensor:
    """Keys and values in one tensor, (batch, sequence, 2, heads, head size)."""
    k, v = kv.unbind(2)
    return flash_attn_func(q, k, v, *args, **options)


def by_sequence(q: Tensor, k: Tensor, v: Tensor, cu_q: Tensor, cu_k: Tensor, **options: Any) -> Tensor:
    """Attention within each sequence; (tokens, heads, head size). Tokens beyond the last sequence get zeros."""
    ends_q, ends_k = cu_q.tolist(), cu_k.tolist()
    parts = [
        attend(q[None, q0:q1], k[None, k0:k1], v[None, k0:k1], **options)[0]
        for q0, q1, k0, k1 in zip(ends_q, ends_q[1:], ends_k, ends_k[1:], strict=False)
        if q1 > q0
    ]
    rest = q.shape[0] - sum(part.shape[0] for part in parts)
    if rest or not parts:
        parts.append(q.new_zeros(rest, q.shape[1], v.shape[-1]))
    return torch.cat(parts)


def flash_attn_varlen_func(q: Tensor, k: Tensor, v: Tensor, cu_seqlens_q: Tensor, cu_seqlens_k: Tensor,
                           max_seqlen_q: Any = None, max_seqlen_k: Any = None, dropout_p: float = 0.0,
                           softmax_scale: float | None = None, causal: bool = False, window_size: Window = (-1, -1),
                           softcap: float = 0.0, **options: Any) -> Tensor:  # fmt: skip
    """FlashAttention 2's `flash_attn_varlen_func`."""
    check({"dropout_p": dropout_p, **options})
    return by_sequence(q, k, v, cu_seqlens_q, cu_seqlens_k, scale=softmax_scale, causal=causal,
                       window=window_size, softcap=softcap)  # fmt: skip


def flash_attn_3_varlen_func(q: Tensor, k: Tensor, v: Tensor, cu_seqlens_q: Tensor, cu_seqlens_k: Tensor,
                             max_seqlen_q: Any = None, max_seqlen_k: Any = None, seqused_q: Any = None,
                             seqused_k: Any = None, softmax_scale: float | None = None, causal: bool = False,
                             qv: Any = None, q_descale: Any = None, k_descale: Any = None, v_descale: Any = None,
                             window_size: Window = (-1, -1), attention_chunk: int = 0, softcap: float = 0.0,
                             **options: Any) -> Tensor:  # fmt: skip
    """FlashAttention 3's `flash_attn_varlen_func`, whose positional arguments are others."""
    scales = {"q_descale": q_descale, "k_descale": k_descale, "v_descale": v_descale}
    more = {"seqused_q": seqused_q, "seqused_k": seqused_k, "qv": qv, "attention_chunk": attention_chunk}
    check({**more, **scales, **options})
    return by_sequence(q, k, v, cu_seqlens_q, cu_seqlens_k, scale=softmax_scale, causal=causal,
                       window=window_size, softcap=softcap)  # fmt: skip


def brought(path: str) -> bool:
    """Whether a file of the submission is an attention of its own."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return False
    return not any(binary in text for binary in BINARIES)


SECOND = {
    "flash_attn_func": flash_attn_func,
    "flash_attn_varlen_func": flash_attn_varlen_func,
    "flash_attn_qkvpacked_func": flash_attn_qkvpacked_func,
    "flash_attn_kvpacked_func": flash_attn_kvpacked_func,
}
THIRD = {"flash_attn_func": flash_attn_3_func, "flash_attn_varlen_func": flash_attn_3_varlen_func}
MODULES = {
    "flash_attn": SECOND,
    "flash_attn.flash_attn_interface": SECOND,
    "flash_attn_interface": THIRD,
    "flash_attn_3": THIRD,
    "flash_attn_3.flash_attn_interface": THIRD,
    "flash_attn_3._C": {},
    "hopper": THIRD,
    "hopper.flash_attn_interface": THIRD,
}


def get_kernel(name: str, *args: Any, **kwargs: Any) -> ModuleType:
    """`kernels.get_kernel`: the attention kernels of the hub are these functions, others are not here."""
    if "flash-attn" not in name and "flash_attn" not in name:
        raise RuntimeLimit(f"the kernel {name!r} is not here")
    return sys.modules["flash_attn_interface" if "3" in name else "flash_attn"]


def install(home: str) -> None:
    """Provide the packages, but for those that the submission brings along in its folder.

    A copy of the packages' own Python files is no substitute: it needs the binaries, and gives way.
    """
    for name, functions in MODULES.items():
        if brought(os.path.join(home, name.partition(".")[0] + ".py")):
            continue
        module = ModuleType(name)
        module.__dict__.update(functions, __version__="2.8.3" if functions is SECOND else "3.0.0", __path__=[])
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    kernels = ModuleType("kernels")
    kernels.__dict__.update(get_kernel=get_kernel)
    sys.modules["kernels"] = kernels
