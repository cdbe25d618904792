"""Lists of pull requests as people write them: `1-10,15`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from auditor.verdict import PgolfError

MAX_ASKED = 5_000
"""More than this is not asked of GitHub one by one."""
_PART = re.compile(r"#?(\d{1,7})(?:\s*-\s*#?(\d{1,7}))?", re.ASCII)


def ranges(text: str) -> list[range]:
    """`7,1-3` as [range(1, 4), range(7, 8)], ascending and disjoint; `PgolfError` on anything else."""
    found: list[range] = []
    for part in sorted(map(_range, text.split(",")), key=lambda part: part.start):
        if found and part.start <= found[-1].stop:
            part = range(found[-1].start, max(part.stop, found.pop().stop))
        found.append(part)
    return found


def among(wanted: Sequence[range], held: Iterable[int]) -> list[int]:
    """Those of the pull requests `held` that are wanted, ascending."""
    return sorted(number for number in held if any(number in part for part in wanted))


def every(wanted: Sequence[range]) -> list[int]:
    """All numbers of the ranges, ascending; `PgolfError` when they are too many to be meant."""
    if sum(map(len, wanted)) > MAX_ASKED:
        raise PgolfError(f"--prs names more than {MAX_ASKED:,} pull requests: give --mirror, or name fewer")
    return [number for part in wanted for number in part]


def _range(part: str) -> range:
    match = _PART.fullmatch(part.strip())
    if match is None:
        raise PgolfError(f"--prs wants numbers and ranges, such as 1-10,15, not {part.strip()[:40]!r}")
    first, last = int(match[1]), int(match[2] or match[1])
    if first < 1 or last < first:
        raise PgolfError(f"--prs {part.strip()}: a range goes from a lower to a higher number, from 1 on")
    return range(first, last + 1)
