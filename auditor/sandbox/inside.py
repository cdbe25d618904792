"""The first process in the sandbox: starts the program, waits for it, says how it ended.

It runs as process 1 of its namespace: the program cannot kill it, and when it ends the kernel kills all that is left.
It is handed to the interpreter as text and uses the standard library only. What it says is believed, so it keeps the
program from reaching it: its memory and descriptors are closed to others (not dumpable).

The conversation, one packet each, over the socket whose descriptor is the argument:
it sends descriptors of its /tmp and /proc; gets the job; sends a report.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import sys

PR_SET_DUMPABLE = 4


def main() -> None:
    """Serve one run."""
    host = socket.socket(fileno=int(sys.argv[1]))
    host.set_inheritable(False)
    places = [os.open(place, os.O_RDONLY | os.O_DIRECTORY) for place in ("/tmp", "/proc")]
    socket.send_fds(host, [b"ready"], places)
    for place in places:
        os.close(place)
    job = json.loads(host.recv(1 << 20))
    try:
        prepare(job)
        report = supervise(job)
    except OSError as error:
        report = {"error": f"cannot start the program: {error}"}
    host.send(json.dumps(report).encode())


def prepare(job: dict[str, object]) -> None:
    """Give up privileges and take on the limits; the program inherits both."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    uid = job["uid"]
    if isinstance(uid, int):
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    limits = job["limits"]
    assert isinstance(limits, dict)
    for name, value in limits.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (ceiling, ceiling))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    # Process 1 is safe from signals of its own namespace as long as it handles none.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def supervise(job: dict[str, object]) -> dict[str, object]:
    """Start the program and reap until it ends."""
    argv, env = job["argv"], job["env"]
    assert isinstance(argv, list) and isinstance(env, dict)
    os.environ["PATH"] = env["PATH"]
    os.chdir(str(job["cwd"]))
    defaults = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    program = os.posix_spawnp(argv[0], argv, env, setsigdef=defaults, setsigmask=[])
    while True:
        pid, status = os.wait()
        if pid == program:
            break
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"status": status, "cpu_s": used.ru_utime + used.ru_stime, "max_rss_kb": used.ru_maxrss}


if __name__ == "__main__":
    main()
