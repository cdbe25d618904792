"""Triton kernels, against the same in plain torch."""

from __future__ import annotations

import pytest
import torch

from auditor.runtime import kernels
from auditor.runtime.job import RuntimeLimit
from auditor.runtime.kernels import LANGUAGE, Descriptor, KernelModule, cdiv, jit

tl = KernelModule("triton.language")
tl.__dict__.update(LANGUAGE)


@jit
def row_loss(losses, logits, targets, stride, columns, block: tl.constexpr):
    """Cross-entropy of one row a program, in two passes over blocks of columns."""
    row = tl.program_id(0).to(tl.int64)
    base = logits + row * stride
    most, total = -float("inf"), 0.0
    for start in range(0, columns, block):
        at = start + tl.arange(0, block)
        values = tl.load(base + at, mask=at < columns, other=-float("inf")).to(tl.float32)
        top = tl.maximum(most, tl.max(values, axis=0))
        total = total * tl.exp(most - top) + tl.sum(tl.exp(values - top), axis=0)
        most = top
    target = tl.load(targets + row).to(tl.int32)
    tl.store(losses + row, most + tl.log(total) - tl.load(base + target).to(tl.float32))


@jit
def product(a, b, c, rows, columns, depth, m: tl.constexpr, n: tl.constexpr, k: tl.constexpr):
    """A matrix product through descriptors."""
    row, column = tl.program_id(0) * m, tl.program_id(1) * n
    total = tl.zeros((m, n), dtype=tl.float32)
    for at in range(tl.cdiv(depth, k)):
        total = tl.dot(a.load([row, at * k]), b.load([column, at * k]).T, total)
    c.store([row, column], total)


def test_a_kernel_with_masks_reductions_and_a_loop_over_blocks() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 13, generator=rng)[:, :11]
    targets = torch.randint(0, 11, (5,), generator=rng)
    losses = torch.full((5,), -1.0)
    row_loss[(5,)](losses, logits, targets, logits.stride(0), 11, block=4, num_warps=4)
    torch.testing.assert_close(losses, torch.nn.functional.cross_entropy(logits, targets, reduction="none"))


def test_descriptors_read_zeros_beyond_the_edge_and_do_not_write_there() -> None:
    rng = torch.Generator().manual_seed(0)
    a, b, c = torch.randn(5, 7, generator=rng), torch.randn(6, 7, generator=rng), torch.empty(5, 6)
    tiles = [Descriptor.from_tensor(a, [4, 4]), Descriptor.from_tensor(b, [4, 4]), Descriptor.from_tensor(c, [4, 4])]
    product[lambda meta: (cdiv(5, meta["m"]), 2)](*tiles, 5, 6, 7, m=4, n=4, k=4)
    torch.testing.assert_close(c, a @ b.T)


def test_an_index_that_occurs_twice_is_added_twice() -> None:
    @jit
    def count(counts, at):
        tl.atomic_add(counts + tl.load(at + tl.arange(0, 4)), tl.full([4], 1.0, tl.float32))

    counts = torch.zeros(3)
    count[(1,)](counts, torch.tensor([0, 2, 2, 2]))
    assert counts.tolist() == [1, 0, 3]


def test_kernels_call_kernels_and_tuning_takes_the_first_configuration() -> None:
    @jit
    def twice(value):
        return value * 2

    @kernels.autotune([kernels.Config({"block": 2}, num_warps=8), kernels.Config({"block": 4})], key=["n"])
    @jit
    def double(values, n, block: tl.constexpr):
        at = tl.program_id(0) * block + tl.arange(0, block)
        tl.store(values + at, twice(tl.load(values + at, mask=at < n)), mask=at < n)

    values = torch.arange(5.0)
    double[lambda meta: (cdiv(5, meta["block"]),)](values, 5)
    assert values.tolist() == [0, 2, 4, 6, 8]


def test_a_name_that_is_not_interpreted_says_so() -> None:
    with pytest.raises(RuntimeLimit, match=r"triton\.language\.inline_asm_elementwise is not interpreted"):
        _ = tl.inline_asm_elementwise
