"""Where the script is when its time runs out: said by the runtime, shortly before the sandbox ends the process.

A thread looks at the clocks of the machine. A script could keep it from running; then the sandbox has the last word.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

EVERY_S = 0.25


def watch(cpu_s: float, wall_s: float, home: str, late: Callable[[str], object]) -> None:
    """Call `late` with one line when the process has used `cpu_s` or lived for `wall_s` seconds; 0 is no limit."""
    watched = threading.get_ident()
    used, clock, wait = time.process_time, time.monotonic, threading.Event().wait
    end = clock() + wall_s

    def look() -> None:
        while True:
            wait(EVERY_S)
            if cpu_s and used() > cpu_s:
                break
            if wall_s and clock() > end:
                break
        late(f"its time ran out{place(sys._current_frames().get(watched), home)}")

    threading.Thread(target=look, daemon=True).start()


def place(frame: FrameType | None, home: str) -> str:
    """The innermost frame of the submission's own files, as ` (file:line in function)`."""
    while frame is not None and not frame.f_code.co_filename.startswith((home, "<packed")):
        frame = frame.f_back
    if frame is None:
        return ""
    return f" ({os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno} in {frame.f_code.co_name})"
