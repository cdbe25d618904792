"""What is left of a run: nothing, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from auditor.sandbox import Status, run

from .conftest import TIGHT, Script

DAEMON = """
    import os, sys, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            {disguise}
            while True:
                time.sleep(0.01)
        os._exit(0)
    open("/tmp/" + sys.argv[1], "w").close()
    open("/dev/shm/2" + sys.argv[1], "w").close()
    time.sleep(0.3)
"""


@pytest.fixture
def marker() -> Iterator[str]:
    """A word that tells processes and files of a run from all others; afterwards there must be none."""
    word = f"pgolf-{uuid4().hex}"
    yield word
    assert not processes(word)
    for place in (Path("/tmp"), Path("/dev/shm"), Path.cwd()):
        assert not [name for name in os.listdir(place) if word in name]


def processes(marker: str) -> list[int]:
    """Processes of this machine that were started with the marker."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if marker.encode() in Path("/proc", pid, "cmdline").read_bytes():
                found.append(int(pid))
        except OSError:
            continue
    return found


def sandboxes() -> set[str]:
    """Namespaces of processes, other than the one that this test is in."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.add(os.readlink(f"/proc/{pid}/ns/pid"))
        except OSError:
            continue
    return found - {os.readlink("/proc/self/ns/pid")}


def test_a_daemon_does_not_outlive_its_run(script: Script, marker: str) -> None:
    outcome = script(DAEMON.format(disguise=""), marker)
    assert outcome.status is Status.OK
    assert outcome.wall_s < 4


def test_a_daemon_under_another_name_does_not_either(script: Script, marker: str) -> None:
    disguise = "os.execve('/bin/sleep', ['[kworker/0:0]', '100'], {})"
    before = sandboxes()
    assert script(DAEMON.format(disguise=disguise), marker).status is Status.OK
    left = sandboxes() - before
    end = time.monotonic() + 60  # those of other tests, which run beside this one; the daemon would sleep for longer
    while left and time.monotonic() < end:
        time.sleep(0.2)
        left &= sandboxes()
    assert not left


def test_zombies_are_reaped(script: Script) -> None:
    outcome = script(
        """
        import os, time
        for _ in range(100):  # orphans, more than there may be at a time
            if os.fork() == 0:
                os.fork()
                os._exit(0)
            os.wait()
            time.sleep(0.005)
        print(len([name for name in os.listdir("/proc") if name.isdigit()]) < 5)
        """
    )
    assert (outcome.status, outcome.stdout) == (Status.OK, "True\n"), outcome.reason


def test_deleting_its_own_folder_harms_nobody(script: Script, tmp_path: Path) -> None:
    outcome = script(
        "import shutil; shutil.rmtree('/tmp/work'); shutil.rmtree('/tmp', ignore_errors=True)", collect=("x",)
    )
    assert outcome.status is Status.OK
    assert outcome.refused == {"x": "cannot be opened: No such file or directory"}
    assert (tmp_path / "workspace" / "script.py").exists()
    assert Path(sys.executable).exists()


@pytest.mark.parametrize("sign, group", [(signal.SIGKILL, False), (signal.SIGTERM, False), (signal.SIGINT, True)])
def test_when_pgolf_is_ended_the_run_ends(
    script: Script, marker: str, tmp_path: Path, sign: signal.Signals, group: bool
) -> None:
    (tmp_path / "script.py").write_text("import time; time.sleep(100)")
    host = (
        "import sys\nfrom pathlib import Path\nfrom auditor.sandbox import run\n"
        f"run([sys.executable, 'script.py', {marker!r}], workspace=Path({str(tmp_path)!r}))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    pgolf = subprocess.Popen(
        [sys.executable, "-c", host], env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        await_that(lambda: len(processes(marker)) > 1)
        (os.killpg if group else os.kill)(pgolf.pid, sign)
        pgolf.wait(10)
        await_that(lambda: not processes(marker))
    finally:
        pgolf.kill()


def test_runs_side_by_side_do_not_see_each_other(tmp_path: Path, script: Script) -> None:
    from concurrent.futures import ThreadPoolExecutor

    (tmp_path / "script.py").write_text(
        "import os, time\nopen('/tmp/mine', 'x').close()\ntime.sleep(0.3)\n"
        "print(os.getpid(), len([name for name in os.listdir('/proc') if name.isdigit()]))\n"
    )
    with ThreadPoolExecutor(3) as pool:
        command = [sys.executable, "script.py"]
        outcomes = list(pool.map(lambda _: run(command, workspace=tmp_path, limits=TIGHT), range(3)))
    assert [outcome.stdout for outcome in outcomes] == ["2 2\n"] * 3


def await_that(condition: object, seconds: float = 10) -> None:
    """Wait until the condition holds."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.05)
