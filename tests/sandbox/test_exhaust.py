"""Hostile scripts that use up what there is: time, memory, processes, files, output."""

from __future__ import annotations

import time

import pytest

from auditor.sandbox import Status

from .conftest import Script


def test_an_endless_loop_runs_out_of_processor_time(script: Script) -> None:
    outcome = script("while True: pass", cpu_s=0.5)
    assert (outcome.status, outcome.reason) == (Status.TO, "processor time: 0.5 s allowed")
    assert 0.4 < outcome.cpu_s < 2


def test_processor_time_is_that_of_all_processes(script: Script) -> None:
    outcome = script("import os\nfor _ in range(4): os.fork()\nwhile True: pass", cpu_s=1, processes=20)
    assert (outcome.status, outcome.reason) == (Status.TO, "processor time: 1 s allowed")


def test_sleeping_runs_out_of_time(script: Script) -> None:
    begun = time.monotonic()
    outcome = script("import time; print('slept', flush=True); time.sleep(100)", wall_s=0.5)
    assert (outcome.status, outcome.reason) == (Status.TO, "wall clock: 0.5 s allowed")
    assert outcome.stdout == "slept\n"
    assert time.monotonic() - begun < 5


def test_ignoring_every_signal_does_not_help(script: Script) -> None:
    outcome = script(
        """
        import signal, time
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        time.sleep(100)
        """,
        wall_s=0.5,
    )
    assert outcome.status is Status.TO


def test_one_process_gets_no_more_memory_than_allowed(script: Script) -> None:
    outcome = script("x = bytearray(1 << 30)")
    assert outcome.status is Status.RE
    assert "MemoryError" in outcome.stderr
    assert outcome.max_rss_mb < 256


FORKS = """
    import os, time
    for _ in range(8):
        if os.fork() == 0:
            {work}
            time.sleep(100)
    time.sleep(100)
"""


def test_many_processes_get_no_more_memory_than_one(script: Script) -> None:
    outcome = script(FORKS.format(work="x = bytearray(b'x') * (60 << 20)"), memory_mb=128)
    assert outcome.status is Status.SG
    assert (outcome.reason or "").startswith("memory: ")
    assert outcome.max_rss_mb < 1024


def test_memory_that_processes_share_is_counted_once(script: Script) -> None:
    outcome = script(
        """
        import os, time
        x = bytearray(b"x") * (80 << 20)
        children = [os.fork() for _ in range(3)]
        time.sleep(0.5)
        """,
        memory_mb=160,
    )
    assert outcome.status is Status.OK, outcome.reason


@pytest.mark.parametrize(
    "bomb",
    [
        "while True: os.fork()",
        "while True: threading.Thread(target=time.sleep, args=(100,)).start()",
        "while True:\n    try: os.fork()\n    except OSError: pass",
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True:\n    if os.fork() == 0: os.setsid(); os.fork()",
    ],
    ids=["forks", "threads", "forks that go on", "daemons"],
)
def test_a_fork_bomb_does_not_go_off(script: Script, bomb: str) -> None:
    outcome = script(f"import os, signal, threading, time\n{bomb}")
    if outcome.status is Status.RE:  # the kernel refused the next process before the watch ended it
        assert "BlockingIOError" in outcome.stderr or "can't start new thread" in outcome.stderr
        return
    assert outcome.status is Status.SG
    assert (outcome.reason or "").startswith("processes: ")


def test_endless_output_is_cut(script: Script) -> None:
    outcome = script("while True: print('x' * 1000)")
    assert (outcome.status, outcome.reason) == (Status.SG, "output: more than 100,000 bytes")
    assert outcome.truncated
    assert len(outcome.stdout) == 100_000


def test_output_at_the_limit_is_whole(script: Script) -> None:
    outcome = script("import sys; sys.stdout.write('x' * 60_000); sys.stderr.write('y' * 40_000)")
    assert (outcome.status, outcome.truncated) == (Status.OK, False)
    assert (len(outcome.stdout), len(outcome.stderr)) == (60_000, 40_000)


def test_one_file_has_a_largest_size(script: Script) -> None:
    outcome = script("open('x', 'wb').write(b'x' * (9 << 20))")
    assert outcome.status is Status.RE
    assert "File too large" in outcome.stderr


def test_all_files_together_have_a_largest_size(script: Script) -> None:
    outcome = script("""
        import os
        for place in ("/tmp", "/dev/shm", "."):
            for number in range(20):
                name = f"{place}/{number}"
                file = open(name, "wb", buffering=0)  # stays open without a name
                os.unlink(name)
                globals()[name] = file
                file.write(b"x" * (7 << 20))
    """)
    assert outcome.status is Status.RE
    assert "write" in outcome.stderr or "No space" in outcome.stderr


def test_files_have_a_largest_number(script: Script) -> None:
    outcome = script("import time\nfor number in range(2000): open(str(number), 'w')\ntime.sleep(100)")
    assert outcome.status is Status.SG
    assert (outcome.reason or "").startswith("files: ")


def test_open_files_have_a_largest_number(script: Script) -> None:
    outcome = script("files = [open('/dev/null') for _ in range(1000)]")
    assert "Too many open files" in outcome.stderr


def test_no_core_is_dumped_and_no_crash_handler_is_called(script: Script) -> None:
    outcome = script("""
        import resource
        print(next(line.split()[4:6] for line in open("/proc/self/limits") if line.startswith("Max core")))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    """)
    assert outcome.stdout == "['1', '1']\n"
    assert "not allowed" in outcome.stderr


def test_messages_that_nobody_receives_are_bounded(script: Script) -> None:
    outcome = script(
        """
        import os, socket, time
        for _ in range(3):
            os.fork()
        pairs = []
        while len(pairs) < 25:
            pairs.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        time.sleep(100)
        """,
        open_files=100,
    )
    assert outcome.status is Status.SG
    assert (outcome.reason or "").startswith("sockets: ")


def test_a_machine_without_memory_runs_nothing(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.sandbox.session.memory_left", lambda: 0.04)
    outcome = script("import time; time.sleep(100)")
    assert (outcome.status, outcome.reason) == (Status.XX, "this machine has less than 5% of its memory left")
