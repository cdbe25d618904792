"""Runs that need more than files: processes that find each other, someone who listens, what is left behind."""

from __future__ import annotations

import errno
import importlib.util
import sys
from pathlib import Path

import pytest

from auditor.sandbox import Access, Limits, Status, Unavailable, availability, run
from tests.sandbox.conftest import TIGHT

GROUP = """
import os
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
total = torch.ones(1) * (dist.get_rank() + 1)
dist.all_reduce(total)
print(f"rank {dist.get_rank()} has {total.item():.0f}\\n", end="", flush=True)
dist.destroy_process_group()
"""
INTERFACES = "import socket\nprint(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).fileno() > 0)\n"
NAMES = "import socket\nprint(socket.gethostbyname('localhost'))\n"


@pytest.fixture(autouse=True)
def sandboxed() -> None:
    found = availability()
    if isinstance(found, Unavailable):
        pytest.skip(f"no sandbox: {found.reason}; {found.remedy}")


class Listener:
    """Keeps what it hears, and ends the run at a word."""

    def __init__(self, word: bytes = b"") -> None:
        self.word = word
        self.heard: list[tuple[int, bytes, float]] = []

    def hear(self, stream: int, data: bytes, seconds: float) -> None:
        self.heard.append((stream, data, seconds))

    def stop(self, seconds: float) -> str | None:
        said = b"".join(data for _, data, _ in self.heard)
        return "it said the word" if self.word and self.word in said else None


def written(folder: Path, text: str) -> Path:
    (folder / "script.py").write_text(text)
    return folder


def test_processes_of_one_group_find_each_other(tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    outcome = run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "script.py"],
        workspace=written(tmp_path, GROUP),
        env={"OMP_NUM_THREADS": "1"},
        limits=Limits(memory_mb=6144, cpu_s=100),
        access=Access(peers=True),
    )
    assert outcome.status is Status.OK, outcome.stderr[-800:]
    assert sorted(outcome.stdout.split("\n")[:2]) == ["rank 0 has 3", "rank 1 has 3"]


@pytest.mark.parametrize(("text", "refused"), [(INTERFACES, errno.EAFNOSUPPORT), (NAMES, None)])
def test_alone_a_program_asks_for_no_peers(tmp_path: Path, text: str, refused: int | None) -> None:
    command = [sys.executable, "script.py"]
    alone = run(command, workspace=written(tmp_path, text), limits=TIGHT)
    assert alone.status is Status.RE
    assert refused is None or f"[Errno {refused}]" in alone.stderr
    assert run(command, workspace=tmp_path, limits=TIGHT, access=Access(peers=True)).status is Status.OK


def test_a_listener_hears_at_once_and_may_end_the_run(tmp_path: Path) -> None:
    text = "import sys, time\nprint('one', flush=True)\nprint('two', file=sys.stderr, flush=True)\ntime.sleep(60)\n"
    listener = Listener(b"two")
    outcome = run([sys.executable, "script.py"], workspace=written(tmp_path, text), limits=TIGHT, watcher=listener)
    assert (outcome.status, outcome.reason) == (Status.TO, "it said the word")
    assert {(stream, data) for stream, data, _ in listener.heard} == {(1, b"one\n"), (2, b"two\n")}
    assert all(0 <= seconds <= outcome.wall_s for *_, seconds in listener.heard)


def test_what_is_left_is_listed_with_its_size(tmp_path: Path) -> None:
    text = """
import os
os.makedirs('logs')
open('logs/a.txt', 'w').write('12345')
open('model.bin', 'wb').write(bytes(1000))
os.symlink('/etc/hosts', 'link')
"""
    outcome = run([sys.executable, "script.py"], workspace=written(tmp_path, text), limits=TIGHT)
    assert outcome.left == {"script.py": len(text), "logs/a.txt": 5, "model.bin": 1000}
