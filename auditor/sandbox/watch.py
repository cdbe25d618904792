"""What all processes of a run use together, read by the host from the sandbox's own /proc.

That /proc shows every process of the namespace and no other one, whatever they call themselves and whoever their parent
is. The kernel's own limits hold for one process at a time; these sums are what stands against many.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
HELD = re.compile(rb"^(?:RssAnon|RssShmem|VmSwap|VmPTE|HugetlbPages):\s+(\d+) kB", re.MULTILINE)
"""Memory that goes only when the process lets go of it; pages of files are the system's to drop."""
SOCKETS = re.compile(rb"sockets: used (\d+)")
AVAILABLE = re.compile(rb"^Mem(?:Total|Available):\s+(\d+) kB", re.MULTILINE)
SHARED_OUT = re.compile(rb"^(?:Pss_Anon|Pss_Shmem|SwapPss):\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True)
class Usage:
    """Of all processes at one moment."""

    tasks: int
    """Processes and threads, without the sandbox's own first process."""
    cpu_s: float
    memory: int
    """Bytes; what processes share is counted for each of them."""
    sockets: int
    """Open or on their way to another process. What is sent and not received lies in memory of no process."""


def usage(proc: int) -> Usage:
    """Read the sandbox's /proc, given as a descriptor of that folder."""
    tasks, ticks, memory = 0, 0, 0
    for pid in processes(proc):
        # Fields are counted from behind the name, in which anything may stand (proc(5): utime is the 14th).
        stat = read(proc, f"{pid}/stat").rpartition(b")")[2].split()
        if not stat:
            continue  # it has ended
        ticks += int(stat[13]) + int(stat[14])
        if pid != "1":
            tasks += int(stat[17])
            ticks += int(stat[11]) + int(stat[12])
            memory += sum(map(int, HELD.findall(read(proc, f"{pid}/status")))) << 10
    sockets = SOCKETS.search(read(proc, "1/net/sockstat"))
    return Usage(tasks, ticks / TICKS, memory, int(sockets[1]) if sockets else 0)


def exact_memory(proc: int) -> int:
    """Bytes held by all processes, shared memory counted once. Slower than `usage`."""
    total = 0
    for pid in processes(proc):
        if pid != "1":
            rollup = read(proc, f"{pid}/smaps_rollup")
            held = SHARED_OUT.findall(rollup) if rollup else HELD.findall(read(proc, f"{pid}/status"))
            total += sum(map(int, held)) << 10
    return total


def memory_left() -> float:
    """Share of this machine's memory that is free or can be freed at once."""
    total, available = map(int, AVAILABLE.findall(Path("/proc/meminfo").read_bytes()))
    return available / total


def processes(proc: int) -> list[str]:
    """Process numbers in the namespace."""
    return [name for name in os.listdir(proc) if name.isdigit()]


def read(proc: int, name: str) -> bytes:
    """A file of /proc; empty when its process has ended or does not let itself be read."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
