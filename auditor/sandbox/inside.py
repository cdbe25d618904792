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
import subprocess
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
        prepare()
        report = supervise(job["argv"], job["env"], job["cwd"], job["uid"])
    except OSError as error:
        report = {"error": f"the program cannot be started: {error}"}
    host.send(json.dumps(report).encode())


def prepare() -> None:
    """Take on what the program is to inherit, and close this process to it."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    # Process 1 is safe from the signals of its namespace for which it has no handler.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def supervise(argv: list[str], env: dict[str, str], folder: str, uid: int | None) -> dict[str, object]:
    """Start the program, and reap until it ends.

    Only the program changes its user: the kernel would let process 1 outlive bubblewrap if their users differed.
    """
    groups: list[int] | None = None if uid is None else []
    program = subprocess.Popen(argv, env=env, cwd=folder, user=uid, group=uid, extra_groups=groups)
    while True:
        pid, status = os.wait()
        if pid == program.pid:
            break
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"status": status, "cpu_s": used.ru_utime + used.ru_stime, "max_rss_kb": used.ru_maxrss}


if __name__ == "__main__":
    main()
