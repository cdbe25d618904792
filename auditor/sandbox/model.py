"""The vocabulary of the sandbox: what a run may use, what it may see, how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from auditor.verdict import PgolfError


class Status(StrEnum):
    """How a run ended, in the words of the `isolate` sandbox (its meta file, `isolate(1)`)."""

    OK = "OK"
    """It ended by itself with exit code 0."""
    RE = "RE"
    """It ended by itself with another exit code."""
    SG = "SG"
    """A signal ended it: a crash, or the sandbox because it used too much of something; `reason` says of what."""
    TO = "TO"
    """It used up its processor or wall-clock time."""
    XX = "XX"
    """The sandbox failed; this says nothing about the program."""


@dataclass(frozen=True)
class Limits:
    """What one run may use. Beyond a limit the run is ended, or its request refused by the kernel."""

    cpu_s: float = 60.0
    """Processor time, seconds, of all processes together."""
    wall_s: float = 120.0
    """Seconds from start to end."""
    memory_mb: int = 2048
    """Memory of all processes together, without files, MiB; no process may ask for more by itself."""
    processes: int = 64
    """Processes and threads at a time."""
    file_mb: int = 256
    """Size of one file, MiB."""
    disk_mb: int = 512
    """Size of all files together, MiB. They lie in memory and count beside `memory_mb`."""
    files: int = 10_000
    """Files and folders at a time."""
    open_files: int = 128
    """File descriptors of one process, and sockets of all processes together."""
    output_bytes: int = 1 << 20
    """Standard output and error together, bytes."""
    result_bytes: int = 1 << 20
    """Size of one collected file, bytes."""


@dataclass(frozen=True)
class Mount:
    """A file or folder of the host that the program may read, and where it sees it."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Access:
    """What a run is let through the walls to, beyond files: nothing, unless it trains on this machine."""

    peers: bool = False
    """Its processes may look up the name `localhost` and the network interfaces, of which there is the loopback: this
    is how those of one process group find each other (gloo and NCCL ask for the interfaces by AF_NETLINK)."""
    devices: tuple[Path, ...] = ()
    """Device files that it may read and write: GPUs. It then sees /sys and what /proc has of drivers too, read-only,
    and may reserve any amount of address space, as CUDA does."""


class Watcher(Protocol):
    """Who follows a run while it runs. Times are seconds since the program started, by the clock of the host."""

    def hear(self, stream: int, data: bytes, seconds: float) -> None:
        """Take a piece of standard output (1) or error (2), as soon as it is written; it need not end with a line."""

    def stop(self, seconds: float) -> str | None:
        """Why the run is to be ended now; None to let it go on. Asked several times a second."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended, what it used and what it left. All text and all files are hostile input."""

    status: Status
    exit_code: int | None = None
    """Of the program, when it ended by itself."""
    signal: int | None = None
    """That ended the program."""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    """Processor time of all processes that were waited for, and of those seen running."""
    max_rss_mb: float = 0.0
    """The most memory seen in use by all processes together, MiB; at least that of the largest process."""
    stdout: str = ""
    stderr: str = ""
    truncated: bool = False
    """There was more output than `Limits.output_bytes`."""
    reason: str | None = None
    """One line on why it is not OK."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """The collected files, by name."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Files that could not be collected, by name, and why."""
    left: Mapping[str, int] = field(default_factory=dict)
    """Bytes of every plain file that the workspace held in the end, by path in it."""


@dataclass(frozen=True)
class Available:
    """The sandbox works on this machine."""

    bwrap: str
    """Path of bubblewrap."""
    version: str


@dataclass(frozen=True)
class Unavailable:
    """The sandbox does not work on this machine."""

    reason: str
    remedy: str
    """What to type or to change to get it."""


class NoSandbox(PgolfError):
    """Nothing is run where the sandbox does not work: one line with the remedy."""
