"""The order of updates and scores: the one question that most rules come down to."""

from __future__ import annotations

from auditor.timeline.values import Region


def independent(update: Region, update_stack: int, carried: int, read: Region, read_stack: int) -> bool:
    """Whether state updated from `update` may legally serve to score `read`.

    `carried` are the loops whose back edge lies between the update and the read. Both events lie in `common`
    loops. The update is of *other* tokens than the read when, for one common loop, both regions move with the
    loop and either a back edge of it was crossed (the update used an earlier chunk) or the update took tokens
    that an earlier iteration had set aside. Anything else is the same tokens: the score came after the update.
    """
    common = update_stack & read_stack
    if common & carried & update.loops & read.loops:
        return True
    earlier = update.old & ~update.loops
    return bool(common & earlier & read.loops)
