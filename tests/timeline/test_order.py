"""Whether an update and a score are of the same tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.timeline.order import independent
from auditor.timeline.values import Region

CHUNK, EPOCH, WINDOW = 1, 2, 4
moving = Region("val", loops=CHUNK)
still = Region("val")
earlier = Region("val", old=CHUNK)
masks = st.integers(0, 7)
regions = st.builds(lambda loops, old: Region("val", loops=loops, old=old), masks, masks)

CASES = {
    "the chunk of the last iteration was trained on": (moving, CHUNK, CHUNK, moving, CHUNK, True),
    "this chunk was trained on in this iteration": (moving, CHUNK, 0, moving, CHUNK, False),
    "the same chunk was trained on in the last epoch": (moving, EPOCH | CHUNK, EPOCH, moving, EPOCH | CHUNK, False),
    "both chunks and epochs lie between": (moving, EPOCH | CHUNK, EPOCH | CHUNK, moving, EPOCH | CHUNK, True),
    "all tokens were trained on in the last iteration": (still, CHUNK, CHUNK, moving, CHUNK, False),
    "one fixed part is scored again and again": (moving, CHUNK, CHUNK, still, CHUNK, False),
    "the loops are different activations": (moving, CHUNK, 0, Region("val", loops=WINDOW), WINDOW, False),
    "the trained chunk was set aside one iteration before": (earlier, CHUNK, 0, moving, CHUNK, True),
    "the set-aside chunk is scored": (earlier, CHUNK, 0, earlier, CHUNK, False),
    "some of the trained tokens move with this iteration": (
        Region("val", loops=CHUNK, old=CHUNK), CHUNK, 0, moving, CHUNK, False,
    ),
    "windows of a chunk are scored after an earlier chunk": (
        moving, CHUNK, CHUNK, Region("val", loops=CHUNK | WINDOW), CHUNK | WINDOW, True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_same_or_other_tokens(case: str) -> None:
    update, update_stack, carried, read, read_stack, other = CASES[case]
    assert independent(update, update_stack, carried, read, read_stack) is other


@given(regions, masks, masks, regions, masks)
def test_without_a_common_loop_nothing_is_independent(
    update: Region, stack: int, carried: int, read: Region, read_stack: int
) -> None:
    assert not independent(update, stack, carried, read, read_stack & ~stack)


@given(regions, masks, masks, regions, masks, masks)
def test_another_crossed_back_edge_never_makes_the_tokens_the_same(
    update: Region, stack: int, carried: int, read: Region, read_stack: int, more: int
) -> None:
    if independent(update, stack, carried, read, read_stack):
        assert independent(update, stack, carried | more, read, read_stack)


@given(masks, masks, masks, masks)
def test_what_does_not_move_is_always_the_same_tokens(stack: int, carried: int, read_stack: int, loops: int) -> None:
    assert not independent(still, stack, carried, Region("val", loops=loops), read_stack)
    assert not independent(Region("val", loops=loops), stack, carried, still, read_stack)
