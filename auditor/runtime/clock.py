"""A clock that advances by readings: what a script decides by wall-clock time is decided the same way in every run.

Each reading takes 50 microseconds of this clock, and sleeping takes as long as it says, at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable

TICK_NS = 50_000
EPOCH_NS = 1_767_225_600 * 10**9
"""The first reading of `time.time`: 2026-01-01T00:00:00Z."""

real = time.perf_counter
"""The clock of the machine, for what the runtime itself measures."""

_ns = 0


def advance(ns: int = TICK_NS) -> int:
    """Let time pass; gives the nanoseconds since the start."""
    global _ns
    _ns += ns
    return _ns


def now() -> float:
    """Seconds since the start, after one tick."""
    return advance() / 1e9


def sleep(seconds: float) -> None:
    """Pass the time without waiting."""
    advance(max(0, int(seconds * 1e9)))


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
