"""Reads heads and makes drafts, each in a process that may crash or hang without taking the watch with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

from auditor.github.draft import Draft, draft_of
from auditor.sweep.workers import Failure, Workers
from auditor.verdict import PgolfError, Unreachable

LIMIT_S = 120.0
"""For one pull request, the reading from GitHub included."""


@dataclass(frozen=True)
class Read:
    """What came of one head: a draft, or the reason why there is none."""

    number: int
    draft: Draft | None = None
    cls: str = ""
    head: str = ""
    skip: str | None = None
    """Why there is nothing to review."""
    fail: str | None = None
    """Why it could not be read."""
    stop: bool = False
    """Whether GitHub does not answer, whichever pull request is asked for."""


def read_all(repo: str, numbers: Iterable[int], *, jobs: int, limit: float = LIMIT_S) -> Iterator[Read]:
    """Audit each pull request and make the draft of its review, as they are done."""

    def work(number: int) -> Read:
        return read(repo, number)

    workers = Workers[int, Read](work, lambda: None, count=jobs, limit=limit)
    with closing(workers.run([number] for number in numbers)) as results:
        for number, result in results:
            yield Read(number, fail=result.reason) if isinstance(result, Failure) else result


def read(repo: str, number: int) -> Read:
    """Audit one pull request; never raises."""
    from auditor.engine import audit
    from auditor.fix import repair
    from auditor.report.view import is_submission, reason
    from auditor.review import render
    from auditor.submission.assemble import assemble
    from auditor.submission.github import open_pull
    from rules import catalogue
    from rules.rulings import rulings

    try:
        rules = catalogue()
        submission = assemble(open_pull(repo, number))
        report = audit(submission, rules)
        head = report.target.head or ""
        if not is_submission(report):
            return Read(number, head=head, skip=reason(report))
        found = repair(submission, report, rules)
        draft = draft_of(report, render(report, rules=rules, rulings=rulings(), repair=found.diff if found else None))
        return Read(number, draft, report.cls, head)
    except Unreachable as error:
        return Read(number, fail=str(error), stop=True)
    except PgolfError as error:
        return Read(number, fail=str(error))
    except MemoryError:
        return Read(number, fail="it takes more memory than is allowed")
    except Exception as error:
        return Read(number, fail=f"internal error: {type(error).__name__}: {error}"[:300])
