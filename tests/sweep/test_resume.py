"""The output of a sweep that was killed, interrupted or out of room: whole, and the same when it is done."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from auditor.sweep.output import Output
from auditor.verdict import PgolfError
from tests.forge import Forge
from tests.sweep.conftest import CORPUS, Sweep, fill, sweeping

ROOT = Path(__file__).parents[2]
MAIN = "from auditor.cli import main; main()"
SLOWLY = f"""
import time
from auditor.sweep import run
usual = run.Task.__call__
run.Task.__call__ = lambda task, job: (time.sleep(0.05 * (job.number % 3)), usual(task, job))[1]
{MAIN}
"""


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The output of a sweep that nothing disturbed, over a mirror that is the same in every test."""
    folder = tmp_path_factory.mktemp("whole")
    fill(forge := Forge(folder / "mirror.git"))
    sweeping(forge.gitdir, folder)("whole.jsonl", cached=False)
    return (folder / "whole.jsonl").read_bytes()


def start(code: str, mirror: Path, out: Path, *options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", code, "sweep", "--mirror", mirror, "--out", out, "--jobs", 2, *options]
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_for(out: Path, lines: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and (not out.exists() or out.read_bytes().count(b"\n") < lines):
        time.sleep(0.005)


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_sweep_goes_on_and_comes_out_the_same(
    sweep: Sweep, mirror: Path, tmp_path: Path, whole: bytes, seed: int
) -> None:
    out = tmp_path / "killed.jsonl"
    chance = random.Random(seed)
    for _ in range(2):
        process = start(SLOWLY, mirror, out, "--no-cache")
        wait_for(out, chance.randrange(CORPUS), process)
        time.sleep(chance.random() / 20)
        process.kill()
        process.communicate()
        left = out.read_bytes() if out.exists() else b""
        assert whole.startswith(left)
    sweep(out, cached=False)
    assert out.read_bytes() == whole


def test_workers_end_with_the_sweep_that_was_killed(mirror: Path, tmp_path: Path) -> None:
    process = start(SLOWLY, mirror, tmp_path / "killed.jsonl", "--no-cache")
    wait_for(tmp_path / "killed.jsonl", 2, process)
    process.kill()
    process.communicate()
    # All of them are in the session that was started for it.
    for _ in range(400):
        if not members(process.pid):
            return
        time.sleep(0.025)
    pytest.fail(f"still there: {members(process.pid)}")


def members(session: int) -> list[str]:
    """Processes of a session, zombies aside."""
    listed = subprocess.run(["ps", "-eo", "sid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [row[-1] for row in rows if row[0] == str(session) and not row[1].startswith("Z")]


def test_an_interrupt_says_how_to_go_on_and_exits_with_130(
    sweep: Sweep, mirror: Path, tmp_path: Path, whole: bytes
) -> None:
    out = tmp_path / "stopped.jsonl"
    process = start(SLOWLY, mirror, out, "--no-cache")
    wait_for(out, 3, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in complaint
    assert b"the same command goes on" in complaint
    assert whole.startswith(out.read_bytes())
    sweep(out, cached=False)
    assert out.read_bytes() == whole


def interrupted(sweep: Sweep, out: Path, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that ends after so many lines."""
    usual = Output.write
    written = 0

    def write(self: Output, line: str) -> None:
        nonlocal written
        if written == lines:
            raise KeyboardInterrupt
        written += 1
        usual(self, line)

    with monkeypatch.context() as patch:
        patch.setattr(Output, "write", write)
        assert sweep(out, cached=False).exit_code == 130


def test_a_line_that_was_cut_anywhere_is_written_again(
    sweep: Sweep, tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "cut.jsonl"
    chance = random.Random(1)
    for _ in range(3):
        out.unlink(missing_ok=True)
        interrupted(sweep, out, 8, monkeypatch)
        os.truncate(out, chance.randrange(out.stat().st_size))
        sweep(out, cached=False)
        assert out.read_bytes() == whole


@pytest.mark.parametrize(
    "damage", [b"garbage\n", b"\0\0\0\n", b'{"schema": "pgolf.report/1", "target": 7}\n', b"\n", b"[" * 9**5]
)
def test_lines_after_a_damaged_one_are_written_again(
    sweep: Sweep, tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    out = tmp_path / "damaged.jsonl"
    interrupted(sweep, out, 6, monkeypatch)
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join([*lines[:3], damage, *lines[3:]]))
    sweep(out, cached=False)
    assert out.read_bytes() == whole


def test_lines_of_the_interrupted_sweep_are_kept(
    sweep: Sweep, tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "kept.jsonl"
    interrupted(sweep, out, 6, monkeypatch)
    monkeypatch.setattr("auditor.sweep.run.audit", lambda *_, **__: 1 / 0)
    sweep(out, cached=False)
    verdicts = [json.loads(line)["verdict"] for line in out.read_bytes().splitlines()]
    assert verdicts[:6] == [json.loads(line)["verdict"] for line in whole.splitlines()[:6]]
    assert set(verdicts[6:]) == {"error"}


def test_lines_made_under_other_rules_are_not_kept(
    sweep: Sweep, tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "old.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr("auditor.sweep.keys.engine", lambda _: "another")
        patch.setattr("auditor.sweep.run.audit", lambda *_, **__: 1 / 0)
        interrupted(sweep, out, 6, monkeypatch)
    sweep(out, cached=False)
    assert out.read_bytes() == whole


def test_another_list_keeps_what_it_has_in_common(
    sweep: Sweep, tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "shorter.jsonl"
    interrupted(sweep, out, 6, monkeypatch)
    sweep(out, "--prs", "1-4,9", cached=False)
    lines = whole.splitlines(keepends=True)
    assert out.read_bytes() == b"".join([*lines[:4], lines[8]])


# Two at once.


def test_two_sweeps_share_a_cache(mirror: Path, tmp_path: Path, whole: bytes) -> None:
    outs = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    both = [start(MAIN, mirror, out, "--cache", tmp_path / "cache") for out in outs]
    for process in both:
        _, complaint = process.communicate(timeout=120)
        assert (process.returncode, complaint) == (1, b"")
    assert [out.read_bytes() for out in outs] == [whole, whole]


def test_a_file_that_another_sweep_writes_is_left_alone(sweep: Sweep, tmp_path: Path) -> None:
    out = tmp_path / "taken.jsonl"
    code = """
import pathlib, sys
from auditor.sweep.output import Output
output = Output(pathlib.Path(sys.argv[1]))
print(flush=True)
input()
"""
    other = subprocess.Popen([sys.executable, "-c", code, out], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout
    other.stdout.readline()
    result = sweep(out)
    other.communicate(b"\n")
    assert result.exit_code == 2
    assert "another sweep" in result.stderr
    assert out.read_bytes() == b""


# What cannot be written, or should not be.


def test_a_full_disk_leaves_whole_lines(sweep: Sweep, mirror: Path, tmp_path: Path, whole: bytes) -> None:
    out = tmp_path / "full.jsonl"
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({len(whole) // 2},) * 2)\n{MAIN}"
    process = start(limited, mirror, out, "--no-cache")
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 2
    assert b"File too large; what was written is whole" in complaint
    left = out.read_bytes()
    assert left.endswith(b"\n")
    assert whole.startswith(left)
    sweep(out, cached=False)
    assert out.read_bytes() == whole


def test_a_full_cache_stops_nothing(mirror: Path, tmp_path: Path, whole: bytes) -> None:
    code = f"""
from auditor.sweep import cache
def full(*_, **__):
    raise OSError(28, "No space left on device")
cache.tempfile = type("", (), {{"mkstemp": full}})
{MAIN}
"""
    process = start(code, mirror, tmp_path / "x.jsonl", "--cache", tmp_path / "cache")
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 1
    assert complaint.count(b"\n") == 1
    assert b"No space left on device" in complaint
    assert (tmp_path / "x.jsonl").read_bytes() == whole


def test_a_file_of_something_else_is_not_touched(sweep: Sweep, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("do not lose me\n")
    result = sweep(notes)
    assert result.exit_code == 2
    assert "something else than reports" in result.stderr
    assert notes.read_text() == "do not lose me\n"


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, complaint in {
        tmp_path: "Is a directory",
        Path("/dev/full"): "no plain file",
        tmp_path / "pipe": "no plain file",
        tmp_path / "absent" / "x.jsonl": "mkdir -p",
    }.items():
        with pytest.raises(PgolfError, match=complaint):
            Output(path)


def test_a_cache_that_cannot_be_made_is_wrong_usage(sweep: Sweep, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    result = sweep("x.jsonl")
    assert result.exit_code == 2
    assert "--no-cache" in result.stderr
