"""Processes that do the work of a sweep: who does what."""

from __future__ import annotations

import os

import pytest

from auditor.sweep import workers
from auditor.sweep.run import Job, alike
from auditor.sweep.workers import Failure, Workers


def done(groups: list[list[int]], fatal: int | None = None) -> dict[int, int | Failure]:
    """Each item with the process that did it; `fatal` ends the process that is given it."""

    def work(item: int) -> int:
        if item == fatal:
            os._exit(1)
        return os.getpid()

    return dict(Workers[int, int](work, lambda: None, count=2, limit=30).run(groups))


def test_a_group_stays_with_one_process() -> None:
    found = done([[1, 2, 3], [], [4, 5, 6]])
    assert sorted(found) == [1, 2, 3, 4, 5, 6]
    assert len({found[item] for item in (1, 2, 3)}) == len({found[item] for item in (4, 5, 6)}) == 1


def test_the_rest_of_a_group_is_done_when_its_process_ends() -> None:
    found = done([[1, 2, 3, 4], [5]], fatal=2)
    assert isinstance(found.pop(2), Failure)
    assert sorted(found) == [1, 3, 4, 5]
    assert found[3] == found[4] != found[1]


def test_a_process_makes_way_within_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "SERVES", 2)
    found = done([[1, 2, 3]])
    assert found[1] == found[2] != found[3]
    assert not isinstance(found[3], Failure)


def test_pull_requests_are_grouped_by_the_file_that_most_of_them_hold() -> None:
    held = ["ab", "b", "", "bc", "c", ""]
    jobs = [Job(number, "", True, frozenset(scripts)) for number, scripts in enumerate(held)]
    assert [[job.number for job in group] for group in alike(jobs)] == [[0, 1, 3], [2], [4], [5]]
