"""The bubblewrap command that makes the walls, and what of the host can be seen through them.

Everything is mounted read-only but one folder in memory, `/tmp`, which is bounded in size, and the GPUs that a run is
given. `/dev` is read-only, without terminals and without `/dev/zero` (shared mappings of it escape the watch on
memory). The user is unprivileged: in a user namespace of its own where pgolf runs as an ordinary user; with a number
that nobody else has where pgolf is root.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from auditor.sandbox.model import Access, Limits, Mount

WORKSPACE = Path("/tmp/work")
"""Where the program finds its workspace, and its working directory."""

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
LINKER = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
DEVICES = ("null", "full", "random", "urandom")
SHOWN = ("cpuinfo", "filesystems", "loadavg", "meminfo", "stat", "uptime", "version")
"""Of /proc, what is shown beside the sandbox's own processes: programs and libraries ask it how to run well."""
DRIVER = ("devices", "driver", "modules")
"""Of /proc, what is shown beside that where a run has GPUs: their libraries look for their driver there."""
OWN_UIDS = range(0x7000_0000, 0x7800_0000)
"""User numbers that no distribution and no systemd hands out (systemd.io/UIDS-GIDS)."""
INSIDE_UID = 65534
"""What an ordinary user is called in its own user namespace."""


def own_uid() -> int | None:
    """As root: a user number for one run, so that the kernel counts its processes apart. Else none is needed."""
    return secrets.choice(OWN_UIDS) if os.geteuid() == 0 else None


def interpreter() -> list[Mount]:
    """This Python and its packages, at the paths they have on the host, wherever they lie.

    Only what a prefix has of Python: it may be a folder with much else in it, such as `~/.local`.
    """
    prefixes = {Path(prefix).absolute() for prefix in (sys.prefix, sys.exec_prefix, sys.base_prefix)}
    parts = [prefix / part for prefix in sorted(prefixes) for part in ("bin", "lib", "lib64", "pyvenv.cfg")]
    parts.append(Path(os.path.realpath(sys.executable)).parent)
    outside = dict.fromkeys(part for part in parts if part.exists() and not part.is_relative_to("/usr"))
    return [Mount(part, part) for part in outside]


HOSTS = Path(__file__).with_name("hosts")
"""The names of a machine without network."""


def bubblewrap(
    bwrap: str, *, uid: int | None, readonly: Sequence[Mount], access: Access, limits: Limits, seccomp: int
) -> list[str]:
    """The command up to the program; `seccomp` is a descriptor from which bwrap reads the filter.

    `uid` is what the program's first process will change to, for which it is left the capability; None where a user
    namespace does that.
    """
    command = [bwrap, "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    command += ["--hostname", "sandbox", "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL"]
    if uid is None:
        command += ["--unshare-user", "--uid", str(INSIDE_UID), "--gid", str(INSIDE_UID)]
    else:
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    for path in map(Path, SYSTEM):
        if path.is_symlink():
            command += ["--symlink", os.readlink(path), str(path)]
        elif path.exists():
            command += ["--ro-bind", str(path), str(path)]
    for place in map(Path, LINKER):
        if place.exists():
            command += bind(Mount(place, place))
    command += ["--proc", "/proc"]
    for hidden in covered((*SHOWN, *DRIVER) if access.devices else SHOWN):
        folder = os.path.isdir(hidden)
        command += ["--tmpfs", hidden, "--remount-ro", hidden] if folder else ["--ro-bind", "/dev/null", hidden]
    command += ["--tmpfs", "/dev"]
    for device in DEVICES:
        command += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    for path in access.devices:
        command += ["--dev-bind", str(path), str(path)]
    for link, name in (("/proc/self/fd", "fd"), ("fd/0", "stdin"), ("fd/1", "stdout"), ("fd/2", "stderr")):
        command += ["--symlink", link, f"/dev/{name}"]
    command += ["--symlink", "/tmp", "/dev/shm", "--remount-ro", "/dev"]
    command += ["--perms", "1777", "--size", str(limits.disk_mb << 20), "--tmpfs", "/tmp"]
    if access.peers:
        command += bind(Mount(HOSTS, Path("/etc/hosts")))
    if access.devices:
        command += ["--ro-bind", "/sys", "/sys"]
    for mount in (*interpreter(), *readonly):
        command += bind(mount)
    return [*command, "--remount-ro", "/", "--chdir", "/", "--seccomp", str(seccomp), "--"]


def covered(shown: Sequence[str]) -> list[str]:
    """Of /proc, what is covered: all but processes, links to them, what is shown, and what only root can read."""
    return sorted(
        entry.path
        for entry in os.scandir("/proc")
        if not (entry.name.isdigit() or entry.name in shown or entry.is_symlink())
        and entry.stat().st_mode & stat.S_IROTH
    )


def bind(mount: Mount) -> list[str]:
    """The arguments that mount read-only, below folders that anyone may enter (bwrap would make them private)."""
    arguments = []
    for parent in reversed(mount.target.parents[:-1]):
        arguments += ["--perms", "0755", "--dir", str(parent)]
    return [*arguments, "--ro-bind", str(mount.source.absolute()), str(mount.target)]
