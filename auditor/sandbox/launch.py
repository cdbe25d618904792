"""Running a program in the sandbox, and whether there is one."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from auditor.sandbox.model import Access, Available, Limits, Mount, NoSandbox, Outcome, Status, Unavailable, Watcher
from auditor.sandbox.seccomp import MACHINES


def run(
    argv: Sequence[str],
    *,
    workspace: Path,
    readonly: Sequence[Mount] = (),
    env: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    collect: Sequence[str] = (),
    access: Access | None = None,
    watcher: Watcher | None = None,
) -> Outcome:
    """Run a program that nobody trusts, and wait for its end.

    `workspace` is a folder that is copied to `WORKSPACE`, where the program starts and may write; nothing is written
    back. `readonly` names what it sees beside the system and this Python. `env` is its whole environment, but for PATH,
    HOME, TMPDIR, LANG and USER where it does not set them. `collect` names files in the workspace that are wanted
    afterwards: they are in `Outcome.files`, for `decode`, or in `Outcome.refused`. `watcher` hears what the program
    says while it runs, and may end it.

    Raises `NoSandbox` where the sandbox does not work. Everything else that goes wrong is an outcome.
    """
    found = availability()
    if isinstance(found, Unavailable):
        raise NoSandbox(f"no sandbox: {found.reason}; remedy: {found.remedy}")
    return execute(found.bwrap, argv, workspace, readonly, env or {}, limits or Limits(), collect, access, watcher)


def execute(
    bwrap: str,
    argv: Sequence[str],
    workspace: Path | None,
    readonly: Sequence[Mount],
    env: Mapping[str, str],
    limits: Limits,
    wanted: Sequence[str],
    access: Access | None = None,
    watcher: Watcher | None = None,
) -> Outcome:
    """`run` with the bubblewrap that is given, working or not; without a workspace the folder is empty."""
    from auditor.sandbox.session import Broken, Session  # its imports are there on Linux only

    with Session(limits, access or Access(), watcher) as session:
        try:
            session.build(bwrap, readonly)
            session.stage(workspace)
            session.start(argv, env)
        except Broken as broken:
            return Outcome(Status.XX, reason=str(broken))
        session.watch()
        return session.outcome(wanted)


@functools.cache
def availability() -> Available | Unavailable:
    """Whether the sandbox works here, found by using it once."""
    if sys.platform != "linux":
        return Unavailable("it needs Linux", "use a Linux machine")
    if platform.machine() not in MACHINES:
        return Unavailable(f"no system call filter for {platform.machine()}", "use x86_64 or aarch64")
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return Unavailable("bubblewrap is not installed", "sudo apt-get install bubblewrap")
    trial = execute(bwrap, [sys.executable, "-I", "-c", "pass"], None, (), {}, Limits(wall_s=20), ())
    if trial.status is Status.OK:
        said = subprocess.run([bwrap, "--version"], capture_output=True, text=True, check=False).stdout
        return Available(bwrap, said.split()[-1])
    return Unavailable(trial.reason or trial.status.value, remedy())


SWITCHES = {
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),
    "kernel.unprivileged_userns_clone": ("0", "1"),
    "user.max_user_namespaces": ("0", "15000"),
}
"""Settings of the system that keep ordinary users from namespaces: the value that does, and one that does not."""


def remedy() -> str:
    """What stands in the way of namespaces here, as a command where there is one."""
    if os.geteuid() != 0:
        for name, (blocking, free) in SWITCHES.items():
            with suppress(OSError):
                if Path("/proc/sys", name.replace(".", "/")).read_text().strip() == blocking:
                    return f"sudo sysctl -w {name}={free}"
    return "use Linux >= 5.14 and bubblewrap >= 0.8, and in a container the right to make namespaces"
