"""A clock that advances by readings: what a script decides by wall-clock time is decided the same way in every run.

Each reading takes 50 microseconds of this clock, and more the more there have been: a loop that works until its ten
minutes are over ends after some thousand turns. Sleeping takes as long as it says, at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable

TICK_NS = 50_000
EPOCH_NS = 1_767_225_600 * 10**9
"""The first reading of `time.time`: 2026-01-01T00:00:00Z."""

real = time.perf_counter
"""The clock of the machine, for what the runtime itself measures."""

PATIENCE = 500
"""Readings after which the tick begins to grow, with the cube of their number."""

_ns = 0
_readings = 0


def advance() -> int:
    """Let one tick pass; gives the nanoseconds since the start."""
    global _ns, _readings
    _readings += 1
    _ns += TICK_NS * (1 + (_readings // PATIENCE) ** 3)
    return _ns


def now() -> float:
    """Seconds since the start, after one tick."""
    return advance() / 1e9


def sleep(seconds: float) -> None:
    """Pass the time without waiting."""
    global _ns
    _ns += max(0, int(seconds * 1e9))


def install() -> None:
    """Replace the clocks of `time`."""
    clocks: dict[str, Callable[[], float]] = {
        "time": lambda: (EPOCH_NS + advance()) / 1e9,
        "time_ns": lambda: EPOCH_NS + advance(),
    }
    for name in ("perf_counter", "monotonic", "process_time", "thread_time"):
        clocks[name] = now
        clocks[name + "_ns"] = advance
    for name, clock in clocks.items():
        setattr(time, name, clock)
    setattr(time, "sleep", sleep)  # noqa: B010  its parameter has a wider type there
