"""FlashAttention's interface, against attention written out."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from auditor.runtime import attention
from auditor.runtime.job import RuntimeLimit


def written_out(q, k, v, *, causal=False, window=(-1, -1), scale=None, softcap=0.0):
    """(sequence, heads, size) each; one query, one head at a time."""
    out = torch.zeros(q.shape[0], q.shape[1], v.shape[2])
    shift, group = k.shape[0] - q.shape[0], q.shape[1] // k.shape[1]
    left, right = window[0], 0 if causal else window[1]
    for head in range(q.shape[1]):
        for at in range(q.shape[0]):
            first = 0 if left < 0 else max(0, at + shift - left)
            last = k.shape[0] if right < 0 else min(k.shape[0], at + shift + right + 1)
            if first >= last:
                continue
            keys, values = k[first:last, head // group], v[first:last, head // group]
            scores = keys @ q[at, head] * (scale or 1 / math.sqrt(q.shape[2]))
            if softcap:
                scores = softcap * torch.tanh(scores / softcap)
            out[at, head] = scores.softmax(0) @ values
    return out


def tensors(queries: int, keys: int, heads: int, group: int, seed: int = 0):
    rng = torch.Generator().manual_seed(seed)
    shapes = ((queries, heads * group), (keys, heads), (keys, heads))
    return [torch.randn(*shape, 8, generator=rng) for shape in shapes]


windows = st.one_of(st.just((-1, -1)), st.tuples(st.integers(-1, 6), st.integers(-1, 6)))


@given(
    queries=st.integers(1, 9),
    more=st.integers(0, 4),
    group=st.sampled_from((1, 2)),
    causal=st.booleans(),
    window=windows,
    softcap=st.sampled_from((0.0, 5.0)),
)
def test_both_generations_are_attention(
    queries: int, more: int, group: int, causal: bool, window: tuple[int, int], softcap: float
) -> None:
    q, k, v = tensors(queries, queries + more, 2, group)
    expected = written_out(q, k, v, causal=causal, window=window, softcap=softcap)
    for function in (attention.flash_attn_func, attention.flash_attn_3_func):
        found = function(q[None], k[None], v[None], causal=causal, window_size=window, softcap=softcap)[0]
        torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)


@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=5), spare=st.integers(0, 2), causal=st.booleans())
def test_variable_lengths_keep_to_their_sequence(lengths: list[int], spare: int, causal: bool) -> None:
    total = sum(lengths)
    q, k, v = tensors(total + spare, total + spare, 2, 2)
    ends = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], dtype=torch.int32)
    expected = torch.zeros_like(q)
    for start, end in zip(ends.tolist(), ends[1:].tolist(), strict=False):
        expected[start:end] = written_out(q[start:end], k[start:end], v[start:end], causal=causal)
    for function in (attention.flash_attn_varlen_func, attention.flash_attn_3_varlen_func):
        found = function(q, k, v, ends, ends, 8, 8, causal=causal)
        torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)


def test_packed_tensors_and_positional_arguments() -> None:
    q, k, v = (tensor[None] for tensor in tensors(6, 6, 2, 1))
    plain = attention.flash_attn_func(q, k, v, 0.0, 0.5, True)
    assert torch.equal(attention.flash_attn_qkvpacked_func(torch.stack([q, k, v], 2), 0.0, 0.5, True), plain)
    assert torch.equal(attention.flash_attn_kvpacked_func(q, torch.stack([k, v], 2), 0.0, 0.5, True), plain)
    assert torch.equal(attention.flash_attn_3_func(q, k, v, 0.5, True), plain)


def test_gradients_flow_and_types_are_kept() -> None:
    q, k, v = (tensor[None].bfloat16().requires_grad_() for tensor in tensors(5, 5, 1, 1))
    out = attention.flash_attn_func(q, k, v, causal=True, window_size=(2, 0))
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16
    assert q.grad is not None and bool(q.grad.abs().sum() > 0)


@pytest.mark.parametrize("option", [{"dropout_p": 0.1}, {"alibi_slopes": torch.ones(1)}, {"attention_chunk": 4}])
def test_what_is_not_computed_is_refused(option: dict[str, object]) -> None:
    q, k, v = (tensor[None] for tensor in tensors(3, 3, 1, 1))
    with pytest.raises(RuntimeLimit):
        attention.flash_attn_func(q, k, v, **option)
    with pytest.raises(TypeError, match="no argument 'cuasal'"):
        attention.flash_attn_func(q, k, v, cuasal=True)
