"""Running code that nobody has read: `run` starts a program that can reach nothing and outlive nothing.

The program sees a read-only system, the folders it is handed and one folder of its own, in memory. It has no network,
no privileges, no sight of other processes, and bounded time, memory, processes, files and output. What it leaves behind
is read as data. Where that cannot be had, `run` refuses: there is no way to run a program without the sandbox.

- `model`: the vocabulary: limits, mounts, outcomes, and their status words
- `launch`: running a program, and whether that works here
- `session`: one run, step by step
- `command`: the bubblewrap command that makes the walls
- `seccomp`: the system calls that are refused, as a filter program for the kernel
- `inside`: the first process in the sandbox, which starts the program and sees it end
- `watch`: what all processes of a run use together
- `result`: decoding what the program wrote
"""

from __future__ import annotations

from auditor.sandbox.command import WORKSPACE, interpreter
from auditor.sandbox.launch import availability, run
from auditor.sandbox.model import (
    Access,
    Available,
    Limits,
    Mount,
    NoSandbox,
    Outcome,
    Status,
    Unavailable,
    Watcher,
)
from auditor.sandbox.result import BadResult, decode

__all__ = [
    "WORKSPACE",
    "Access",
    "Available",
    "BadResult",
    "Limits",
    "Mount",
    "NoSandbox",
    "Outcome",
    "Status",
    "Unavailable",
    "Watcher",
    "availability",
    "decode",
    "interpreter",
    "run",
]
