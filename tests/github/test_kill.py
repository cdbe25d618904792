"""kill -9 at each request, before and after it takes effect: the next run leaves one comment and one check run."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.github.conftest import HEAD, SECRET
from tests.github.fake import BOT, Fault, GitHub, serving

ROOT = Path(__file__).resolve().parents[2]


class Poster:
    """See `tests.github.poster`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin and process.stdout
        self._in, self._out = process.stdin, process.stdout

    def post(self, url: str, text: str, kill_at: tuple[GitHub, int, bool] | None = None) -> int:
        """Exit code of a child that posts `text`, and is killed at a request if asked to."""
        print(url, text, file=self._in, flush=True)
        child = int(self._out.readline())
        if kill_at is not None:
            hub, request, done = kill_at
            hub.faults = [Fault(after=request, done=done, kill=child)]
        print("go", file=self._in, flush=True)
        return int(self._out.readline())


@pytest.fixture(scope="module")
def poster() -> Iterator[Poster]:
    command = [sys.executable, "-m", "tests.github.poster"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Poster(process)
        process.communicate()


def course() -> GitHub:
    hub = GitHub()
    hub.tokens = {SECRET}
    hub.pull(7, HEAD, {"records/track/run/train_gpt.py": b"x\n" * 60})
    return hub


def requests_of(poster: Poster, texts: list[str]) -> int:
    """How many requests the posting of the last text takes."""
    hub = course()
    with serving(hub) as url:
        for text in texts:
            before = len(hub.seen)
            assert poster.post(url, text) == 0
    return len(hub.seen) - before


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("texts", [["One."], ["One.", "Two."]], ids=["create", "update"])
def test_killed_at_each_request(poster: Poster, texts: list[str], done: bool) -> None:
    count = requests_of(poster, texts)
    assert count == 7
    for request in range(count):
        hub = course()
        with serving(hub) as url:
            for text in texts[:-1]:
                assert poster.post(url, text) == 0
            assert poster.post(url, texts[-1], (hub, request, done)) == -signal.SIGKILL
            assert len(hub.comments_of(7, BOT)) <= 1 and len(hub.runs) <= 1
            assert poster.post(url, texts[-1]) == 0
        (body,) = hub.comments_of(7, BOT)
        (run,) = hub.runs.values()
        assert texts[-1] in body and texts[-1] in run["output"]["summary"], f"killed at request {request}"
        assert [note["start_line"] for note in hub.notes[run["id"]]] == list(range(1, 61))
