"""The sweep itself: plan, take what is known, audit the rest in parallel, write in order."""

from __future__ import annotations

import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from auditor.engine import Rule, audit
from auditor.memory import Memory
from auditor.report.as_json import dumps
from auditor.submission.assemble import assemble
from auditor.sweep.cache import Cache, Entry
from auditor.sweep.keys import key
from auditor.sweep.output import Output
from auditor.sweep.places import Place
from auditor.sweep.summary import DEFECT, Tally
from auditor.sweep.workers import Failure, Workers
from auditor.verdict import PgolfError, Report, Target, Unreachable, unreadable


@dataclass(frozen=True)
class Job:
    """One pull request of the plan."""

    number: int
    key: str
    cached: bool
    """Whether the key stands for all that the result depends on, so that it may be kept for other sweeps."""
    scripts: frozenset[str] = frozenset()
    """Ids of its Python files."""


@dataclass(frozen=True)
class Line:
    """What a worker hands back."""

    text: str
    keep: bool = False
    """Whether the same pull request gives the same line again."""
    absent: tuple[str, ...] = ()
    stop: bool = False
    """Whether no other pull request could be read either; `text` is then the reason."""


@dataclass(frozen=True)
class Task:
    """What each worker does with a pull request."""

    place: Place
    repo: str
    rules: Sequence[Rule]
    env: Mapping[str, str]
    memory: Memory = field(default_factory=Memory)
    """Of the worker, with whom it ends."""

    def __call__(self, job: Job) -> Line:
        """Audit one pull request; never raises."""
        self.place.absent.clear()
        try:
            report = audit(assemble(self.place.open(job.number)), self.rules, env=self.env, memory=self.memory)
            return Line(line(report), keep=True, absent=tuple(sorted(self.place.absent)))
        except Unreachable as error:
            return Line(str(error), stop=True)
        except PgolfError as error:
            self.place.close()  # should the reader be at fault, the next pull request gets a new one
            return Line(self.error(job, str(error)))
        except MemoryError:
            return Line(self.error(job, "it takes more memory than is allowed"))
        except Exception as error:
            return Line(self.error(job, DEFECT + origin(error)))

    def error(self, job: Job, reason: str) -> str:
        """The line of a pull request that could not be audited."""
        target = Target(repo=self.repo, pr=job.number, head=self.place.head(job.number))
        return line(unreadable(target, reason))


def plan(place: Place, numbers: Sequence[int], repo: str, engine: str, env: Mapping[str, str]) -> list[Job]:
    """What is to be done, in the order of the output."""
    jobs = []
    for number in numbers:
        state = place.state(number)
        if state is None:
            jobs.append(Job(number, key(engine, repo, number, "unknown", env), cached=False))
        else:
            jobs.append(Job(number, key(engine, repo, number, state.text, env), cached=True, scripts=state.scripts))
    return jobs


def alike(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs by the Python file that most of them have in common, so that one worker meets the same scripts again."""
    shared = Counter(script for job in jobs for script in job.scripts)
    groups: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        groups[max(job.scripts, key=lambda script: (shared[script], script), default=str(job.number))].append(job)
    return list(groups.values())


def sweep(
    jobs: Sequence[Job],
    task: Task,
    output: Output,
    cache: Cache | None,
    *,
    processes: int,
    limit: float,
    watch: Callable[[Tally], None],
) -> Tally:
    """Write one line for each job and count them; `watch` is called after each.

    Raises `PgolfError` when the output cannot be written or the place does not answer any more; the output can then
    be resumed, as after a kill.
    """
    tally = Tally()
    for kept in output.resume([(job.number, job.key) for job in jobs]):
        tally.add(kept)
    watch(tally)
    left = jobs[tally.total :]
    done = {job: text for job in left if (text := known(job, task.place, cache)) is not None}
    task.place.close()  # a worker must not share its reader
    workers = Workers[Job, Line](task, task.place.close, count=processes, limit=limit)
    with closing(workers.run(alike([job for job in left if job not in done]))) as results:
        for job in left:
            while job not in done:
                other, result = next(results)
                done[other] = settled(other, result, task, cache)
            output.write(done[job])
            tally.add(done.pop(job))
            watch(tally)
    output.finish()
    if cache is not None:
        cache.prune()
    return tally


def known(job: Job, place: Place, cache: Cache | None) -> str | None:
    """The line of an earlier audit, when it would be the same again."""
    if cache is None or not job.cached:
        return None
    entry = cache.get(job.key)
    return entry.line if entry is not None and place.lacks(entry.absent) else None


def settled(job: Job, result: Line | Failure, task: Task, cache: Cache | None) -> str:
    """The line for what a worker handed back, which is kept for other sweeps when it may be."""
    if isinstance(result, Failure):
        return task.error(job, (DEFECT if result.defect else "") + result.reason)
    if result.stop:
        raise Unreachable(result.text)
    if cache is not None and job.cached and result.keep:
        cache.put(job.key, Entry(result.text, result.absent))
    return result.text


def line(report: Report) -> str:
    """A report as one line, which the same input makes again: without timings."""
    return dumps(replace(report, timings_ms={}), indent=None) + "\n"


def origin(error: Exception) -> str:
    """What went wrong and where, without paths of this machine."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno} {last.name}: {error}"[:300]
