"""Processes that do the same work on many items, each of which may crash, hang, or take the process with it.

One item at a time a process, so that whatever ends the process ends that item only. The processes are forked: what the
parent has loaded and read is there at once.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

from auditor.verdict import PgolfError

SERVES = 32
"""Items after which a process makes way for a new one.

Its garbage is never collected: forgetting the process is cheaper, and bounds its memory as well.
"""
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """Why an item has no result."""

    reason: str
    defect: bool
    """Whether the process ended by itself; otherwise it was over the time limit."""


@dataclass
class _Worker(Generic[Item]):
    process: BaseProcess
    connection: Connection
    group: deque[Item]
    """What it is given next."""
    left: int
    item: Item | None = None
    since: float = 0.0


class Workers(Generic[Item, Result]):
    """`count` processes, started as they are needed; each calls `work`, and `leave` before it ends well."""

    def __init__(self, work: Callable[[Item], Result], leave: Callable[[], None], *, count: int, limit: float) -> None:
        """An item that takes more than `limit` seconds fails."""
        self._work = work
        self._leave = leave
        self._count = count
        self._limit = limit
        self._workers: list[_Worker[Item]] = []
        try:
            self._context = multiprocessing.get_context("fork")
        except ValueError:
            raise PgolfError(
                "this system cannot fork processes: use pgolf audit, or run it on Linux or macOS"
            ) from None

    def run(self, groups: Iterable[Iterable[Item]]) -> Generator[tuple[Item, Result | Failure], None, None]:
        """Each item with its result, in the order in which they are done; a group stays with one process if it can."""
        queue = deque(group for items in groups if (group := deque(items)))
        try:
            while True:
                while len(self._workers) < self._count and queue:
                    self._give(self._start(queue.popleft()))
                if not self._workers:
                    return
                for worker in self._waited():
                    yield self._answer(worker)
                    if worker not in self._workers:
                        if worker.group:
                            queue.appendleft(worker.group)
                    elif worker.group or queue:
                        worker.group = worker.group or queue.popleft()
                        self._give(worker)
                    else:
                        self._end(worker)
        finally:
            for worker in [*self._workers]:
                worker.process.kill()
                self._end(worker)

    def _start(self, group: deque[Item]) -> _Worker[Item]:
        ours, theirs = multiprocessing.Pipe()
        not_theirs = [ours, *(worker.connection for worker in self._workers)]
        process = self._context.Process(
            target=_serve, args=(theirs, not_theirs, self._work, self._leave), name="pgolf-sweep", daemon=True
        )
        process.start()
        theirs.close()
        worker: _Worker[Item] = _Worker(process, ours, group, SERVES)
        self._workers.append(worker)
        return worker

    def _give(self, worker: _Worker[Item]) -> None:
        worker.item, worker.since = worker.group.popleft(), time.monotonic()
        worker.left -= 1
        with contextlib.suppress(OSError):  # it is gone; `_answer` finds that out, and what ended it
            worker.connection.send(worker.item)

    def _waited(self) -> list[_Worker[Item]]:
        """The workers that have something to say, or no time left."""
        first = min(worker.since for worker in self._workers) + self._limit
        ready = wait([worker.connection for worker in self._workers], max(0.0, first - time.monotonic()))
        late = time.monotonic() - self._limit
        return [worker for worker in self._workers if worker.connection in ready or worker.since <= late]

    def _answer(self, worker: _Worker[Item]) -> tuple[Item, Result | Failure]:
        """What became of the worker's item; a worker that is done with serving is gone afterwards."""
        item, worker.item = worker.item, None
        assert item is not None
        result: Result | Failure
        try:
            if worker.connection.poll():
                result = worker.connection.recv()
                if worker.left == 0:
                    self._end(worker)
                return item, result
            result = Failure(f"it took more than {self._limit:g} s", defect=False)
            worker.process.kill()
            self._end(worker)
        except (EOFError, OSError):
            self._end(worker)
            result = Failure(_ending(worker.process.exitcode), defect=True)
        return item, result

    def _end(self, worker: _Worker[Item]) -> None:
        worker.connection.close()
        worker.process.join()
        self._workers.remove(worker)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"the process was ended by {signal.Signals(-code).name}"
    return f"the process ended with code {code}"


def _serve(
    connection: Connection,
    not_ours: list[Connection],
    work: Callable[[Item], Result],
    leave: Callable[[], None],
) -> None:
    """Answer until there are no more questions: the parent has had its number, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    for other in not_ours:
        other.close()  # an end of a pipe that is still open here would keep its reader waiting for ever
    gc.disable()
    gc.freeze()
    try:
        for _ in range(SERVES):
            connection.send(work(connection.recv()))
    except (EOFError, OSError):
        pass
    leave()
    os._exit(0)  # at once, without taking apart what the audits have built
