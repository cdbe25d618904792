"""One run, step by step: build the walls, hand the program over, watch it, end everything, read what it left.

Nothing of a run is ever on the host's disk. The workspace is copied into the sandbox's memory, of which the host holds
a descriptor; when that is closed, by a crash of pgolf too, the memory is gone. Every process of the run dies with
process 1 of its namespace, which dies with bubblewrap, which dies with pgolf.
"""

from __future__ import annotations

import json
import math
import os
import resource
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from auditor.sandbox import seccomp
from auditor.sandbox.command import WORKSPACE, bubblewrap, own_uid
from auditor.sandbox.model import Access, Limits, Mount, Outcome, Status, Watcher
from auditor.sandbox.result import BadResult, collect, sizes
from auditor.sandbox.watch import exact_memory, memory_left, usage

INSIDE = Path(__file__).with_name("inside.py")
TICK_S = 0.05
"""Between two looks at what a run uses."""
START_S = 20.0
"""What building the walls may take."""
ROOM = 4 << 30
"""Bytes of address space beyond the memory limit: libraries, and what allocators reserve and do not use."""
SPARE = 8
"""Processes that the kernel grants beyond the limit, so that the watch sees the excess and can name it."""
LEAST_LEFT = 0.05
"""Share of the machine's memory. The kernel holds some on behalf of a program that no count of ours sees (locks, maps,
messages); without control groups this is what keeps that from harming the host."""
DEFAULTS = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8", "USER": "sandbox"}
CREDENTIALS = struct.Struct("iII")
"""`struct ucred`: process, user and group."""


class Broken(Exception):
    """The sandbox itself failed; one line says how."""


class Session:
    """One run, used once: `build`, `stage`, `start`, `watch`, `outcome`; leaving the context ends everything."""

    def __init__(self, limits: Limits, access: Access, watcher: Watcher | None) -> None:
        self.limits = limits
        self.access = access
        self.watcher = watcher
        self.uid = own_uid()
        self.held = ExitStack()
        self.bwrap: subprocess.Popen[bytes] | None = None
        self.first: int | None = None
        """Descriptor of process 1 of the namespace: when that is gone, all are."""
        self.output: dict[int, bytearray] = {}
        self.streams = (-1, -1)
        self.truncated = False
        self.stopped: tuple[Status, str] | None = None
        """Why the host ended the run."""
        self.report: dict[str, Any] | None = None
        self.started = self.ended = 0.0
        self.cpu_s = 0.0
        self.memory = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.held:
            self.end()

    def hold(self, descriptor: int) -> int:
        """Close the descriptor when the run is over."""
        self.held.callback(os.close, descriptor)
        return descriptor

    def build(self, bwrap: str, readonly: Sequence[Mount]) -> None:
        """Start bubblewrap and wait until its first process has said that it is there; raises `Broken`."""
        self.host, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.held.callback(self.host.close)
        self.host.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.host.settimeout(START_S)
        filter_ = self.hold(os.memfd_create("seccomp"))
        os.write(filter_, seccomp.assemble(os.uname().machine, peers=self.access.peers))
        os.lseek(filter_, 0, os.SEEK_SET)
        walls = bubblewrap(
            bwrap, uid=self.uid, readonly=readonly, access=self.access, limits=self.limits, seccomp=filter_
        )
        first = [os.path.realpath(sys.executable), "-I", "-S", "-c", INSIDE.read_text(), str(theirs.fileno())]
        with theirs:
            self.spawn(walls + first, (theirs.fileno(), filter_))
        try:
            self.meet()
        except OSError as error:
            self.end()
            said = self.output[self.streams[1]].decode(errors="replace").strip().splitlines()
            raise Broken(said[-1] if said else f"it does not start: {error}") from None

    def spawn(self, command: list[str], descriptors: tuple[int, ...]) -> None:
        """Start bubblewrap, out of reach of this terminal; raises `Broken`."""
        try:
            self.bwrap = subprocess.Popen(
                command,
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=descriptors,
                start_new_session=True,
            )
        except OSError as error:
            raise Broken(f"{command[0]} cannot be started: {error.strerror}") from None
        assert self.bwrap.stdout is not None and self.bwrap.stderr is not None
        self.held.enter_context(self.bwrap.stdout)
        self.held.enter_context(self.bwrap.stderr)
        self.streams = (self.bwrap.stdout.fileno(), self.bwrap.stderr.fileno())
        for stream in self.streams:
            os.set_blocking(stream, False)
            self.output[stream] = bytearray()

    def meet(self) -> None:
        """Take the first process's message: who it is, and descriptors of its /tmp and /proc."""
        size = socket.CMSG_SPACE(CREDENTIALS.size) + socket.CMSG_SPACE(2 * struct.calcsize("i"))
        message, ancillary, _, _ = self.host.recvmsg(64, size, socket.MSG_CMSG_CLOEXEC)
        if not message:
            raise ConnectionResetError("it ended at once")
        for _, kind, data in ancillary:
            if kind == socket.SCM_RIGHTS:
                self.tmp, self.proc = map(self.hold, struct.unpack("2i", data))
            elif kind == socket.SCM_CREDENTIALS:
                self.pid = CREDENTIALS.unpack(data)[0]
                self.first = self.hold(os.pidfd_open(self.pid))

    def stage(self, workspace: Path | None) -> None:
        """Copy the workspace into the sandbox; raises `Broken`. Nothing hostile runs yet, so paths hold."""
        folder = Path(f"/proc/self/fd/{self.tmp}", WORKSPACE.name)
        try:
            if workspace is None:
                folder.mkdir()
            else:
                shutil.copytree(workspace, folder, symlinks=True)
            folder.chmod(0o755)  # the first process, with root's name but without its powers, enters it too
            if self.uid is not None:
                for parent, _, files in os.walk(folder):
                    for path in (parent, *(os.path.join(parent, file) for file in files)):
                        os.chown(path, self.uid, self.uid, follow_symlinks=False)
        except OSError as error:
            raise Broken(f"the workspace cannot be copied into {self.limits.disk_mb} MiB: {error}") from None
        self.work = self.hold(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def start(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Let the first process start the program."""
        job = {"argv": list(argv), "env": DEFAULTS | dict(env), "cwd": str(WORKSPACE), "uid": self.uid}
        try:
            self.limit()
            self.host.send(json.dumps(job).encode())
        except OSError as error:
            raise Broken(f"the program cannot be handed over: {error}") from None
        self.started = time.monotonic()

    def limit(self) -> None:
        """Set what the kernel bounds by itself on the first process, from which the program inherits it."""
        limits = self.limits
        reserved = resource.RLIM_INFINITY if self.access.devices else (limits.memory_mb << 20) + ROOM
        for kind, wanted in {
            resource.RLIMIT_CPU: math.ceil(limits.cpu_s) + 1,
            resource.RLIMIT_DATA: limits.memory_mb << 20,
            resource.RLIMIT_AS: reserved,
            resource.RLIMIT_NPROC: limits.processes + SPARE,
            resource.RLIMIT_FSIZE: limits.file_mb << 20,
            resource.RLIMIT_NOFILE: limits.open_files,
            resource.RLIMIT_SIGPENDING: limits.open_files,
            resource.RLIMIT_MSGQUEUE: 0,
            resource.RLIMIT_CORE: 1,  # unlike 0 it also keeps a crash from the host's crash handler, a root (core(5))
        }.items():
            _, hard = resource.prlimit(self.pid, kind)
            value = min((each for each in (wanted, hard) if each != resource.RLIM_INFINITY), default=hard)
            resource.prlimit(self.pid, kind, (value, value))

    def watch(self) -> None:
        """Read output and look at what is used, until the program ends or has to be ended."""
        with selectors.DefaultSelector() as selector:
            for source in (*self.streams, self.host.fileno()):
                selector.register(source, selectors.EVENT_READ)
            look = self.started
            while self.stopped is None:
                now = time.monotonic()
                if now >= look:
                    self.look(now - self.started)
                    look = now + TICK_S
                for key, _ in selector.select(max(0.0, look - time.monotonic())):
                    if key.fd == self.host.fileno():
                        packet = self.host.recv(1 << 16)
                        self.report = json.loads(packet) if packet else None
                        return
                    if not self.read(key.fd):
                        selector.unregister(key.fd)

    def look(self, elapsed: float) -> None:
        """Stop the run when it is beyond a limit."""
        used = usage(self.proc)
        self.cpu_s = max(self.cpu_s, used.cpu_s)
        limits, disk = self.limits, os.fstatvfs(self.tmp)
        memory = used.memory if used.memory <= limits.memory_mb << 20 else exact_memory(self.proc)
        self.memory = max(self.memory, memory)
        if elapsed > limits.wall_s:
            self.stopped = Status.TO, f"wall clock: {limits.wall_s:g} s allowed"
        elif self.cpu_s > limits.cpu_s:
            self.stopped = Status.TO, f"processor time: {limits.cpu_s:g} s allowed"
        elif memory > limits.memory_mb << 20:
            self.stopped = Status.SG, f"memory: {memory >> 20:,} MiB in use, {limits.memory_mb:,} allowed"
        elif used.tasks > limits.processes:
            self.stopped = Status.SG, f"processes: {used.tasks} at a time, {limits.processes} allowed"
        elif used.sockets > limits.open_files:
            self.stopped = Status.SG, f"sockets: {used.sockets} at a time, {limits.open_files} allowed"
        elif memory_left() < LEAST_LEFT:
            self.stopped = Status.XX, f"this machine has less than {LEAST_LEFT:.0%} of its memory left"
        elif disk.f_files - disk.f_ffree > limits.files:
            self.stopped = Status.SG, f"files: {disk.f_files - disk.f_ffree:,} at a time, {limits.files:,} allowed"
        elif self.watcher is not None and (reason := self.watcher.stop(elapsed)) is not None:
            self.stopped = Status.TO, reason

    def read(self, stream: int) -> bool:
        """Take what a stream has; False when that is nothing."""
        try:
            data = os.read(stream, 1 << 16)
        except BlockingIOError:
            return False
        room = self.limits.output_bytes - sum(map(len, self.output.values()))
        self.output[stream] += data[:room]
        if self.watcher is not None and data:
            self.watcher.hear(1 + self.streams.index(stream), data[:room], time.monotonic() - self.started)
        if len(data) > room:
            self.truncated = True
            self.stopped = self.stopped or (Status.SG, f"output: more than {self.limits.output_bytes:,} bytes")
        return bool(data)

    def end(self) -> None:
        """Kill every process of the run, wait until none is left, and take the output that is still under way."""
        if self.bwrap is None:
            return
        if self.first is None:
            self.bwrap.kill()  # process 1 dies with it, or finds nobody to talk to
        else:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.first, signal.SIGKILL)
            with selectors.DefaultSelector() as selector:
                # Readable only after the kernel has killed and reaped the whole namespace.
                selector.register(self.first, selectors.EVENT_READ)
                selector.select()
        self.bwrap.wait()
        self.ended = self.ended or time.monotonic()
        for stream in self.streams:
            while not self.truncated and self.read(stream):
                pass

    def outcome(self, wanted: Sequence[str]) -> Outcome:
        """How the run ended and what it left."""
        self.end()
        status, exit_code, signal_, reason = self.verdict()
        files, refused = {}, {}
        for name in wanted:
            owner = os.geteuid() if self.uid is None else self.uid
            try:
                files[name] = collect(self.work, name, limit=self.limits.result_bytes, owner=owner)
            except BadResult as error:
                refused[name] = str(error)
        report = self.report or {}
        return Outcome(
            status,
            exit_code=exit_code,
            signal=signal_,
            wall_s=self.ended - self.started,
            cpu_s=max(self.cpu_s, float(report.get("cpu_s", 0))),
            max_rss_mb=max(self.memory / 2**20, float(report.get("max_rss_kb", 0)) / 2**10),
            stdout=self.output[self.streams[0]].decode(errors="replace"),
            stderr=self.output[self.streams[1]].decode(errors="replace"),
            truncated=self.truncated,
            reason=reason,
            files=files,
            refused=refused,
            left=sizes(self.work),
        )

    def verdict(self) -> tuple[Status, int | None, int | None, str | None]:
        """Status, exit code, signal and reason."""
        if self.stopped is not None:
            status, reason = self.stopped
            return status, None, int(signal.SIGKILL), reason
        if self.report is None:
            return Status.XX, None, None, "the sandbox ended before its program"
        if "error" in self.report:
            return Status.XX, None, None, str(self.report["error"])
        code = os.waitstatus_to_exitcode(int(self.report["status"]))
        if code == 0:
            return Status.OK, 0, None, None
        if code > 0:
            return Status.RE, code, None, f"exit code {code}"
        if float(self.report["cpu_s"]) > self.limits.cpu_s:
            return Status.TO, None, -code, f"processor time: {self.limits.cpu_s:g} s allowed"
        return Status.SG, None, -code, f"signal {-code} ({signal.strsignal(-code)})"
