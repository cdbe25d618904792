"""The order of updates and scores: the one question that most rules come down to."""

from __future__ import annotations

from auditor.program.linear import Linear, add
from auditor.timeline.values import Cut, Region

OVERLAP = 8
"""Fewer tokens than this that two chunks share are not judged."""


def independent(
    update: Region, update_stack: int, carried: int, read: Region, read_stack: int, used: Cut | None = None
) -> bool:
    """Whether state updated from `update` may legally serve to score `read`.

    `carried` are the loops whose back edge lies between the update and the read. Both events lie in `common`
    loops. The update is of *other* tokens than the read when, for one common loop, both regions move with the
    loop and either a back edge of it was crossed (the update used an earlier chunk) or the update took tokens
    that an earlier iteration had set aside. Where both positions are known, an update that looks ahead of the read
    is never legal, and one of what lies before the read always is; `used` is the side of a cut that counts of the
    read. Anything else is the same tokens: the score came after the update.
    """
    common = update_stack & read_stack
    moving = update.loops & read.loops
    if not common & (update.old | read.old):
        ahead = _distance(read.end, update.end)
        if ahead is not None and ahead >= OVERLAP:
            return False
    if not common & carried & ~moving and not common & read.old and lies_before(update, read, update_stack, used):
        return True
    if common & carried & moving:
        return True
    earlier = update.old & ~update.loops
    return bool(common & earlier & read.loops)


def lies_before(update: Region, read: Region, update_stack: int, used: Cut | None) -> bool:
    """Whether the tokens of an update end before those of a read begin, in one iteration."""
    if update.sliced & ~update_stack:
        return False  # one update for a batch of windows: what lies before one of them may be scored in another
    gap = _distance(update.end, read.start)
    if gap is not None and gap > -OVERLAP:
        return True
    head, tail = update.cut, used or read.cut
    return head is not None and tail is not None and head.bound == tail.bound and tail.tail and not head.tail


def _distance(first: Linear | None, second: Linear | None) -> int | None:
    """How far `second` lies behind `first`; None when that is not known."""
    gap = add(second, first, -1)
    return gap.const if gap is not None and not gap.terms else None
