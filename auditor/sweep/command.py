"""`pgolf sweep` from options to tally: opens the output, the place and the cache, and shows how far it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from auditor.console import warn
from auditor.engine import Rule
from auditor.sweep import keys, pulls, run
from auditor.sweep.cache import Cache, default_folder
from auditor.sweep.output import Output
from auditor.sweep.places import GitHubPlace, MirrorPlace, Place
from auditor.sweep.summary import Tally
from auditor.verdict import PgolfError


def sweep(
    out: Path,
    prs: str | None,
    mirror: Path | None,
    repo: str,
    env: Mapping[str, str],
    rules: Sequence[Rule],
    packages: Sequence[Path],
    cache: Cache | None,
    *,
    jobs: int | None,
    limit: float,
) -> Tally | None:
    """Audit what the options ask for; None after an interrupt.

    `packages` are the folders of sources that the results depend on.
    """
    wanted = pulls.ranges(prs) if prs is not None else None
    place: Place = MirrorPlace(mirror, repo) if mirror is not None else GitHubPlace(repo)
    numbers = place.numbers(wanted)
    if wanted is not None and (absent := sum(map(len, wanted)) - len(numbers)) > 0:
        warn(f"{absent:,} of the numbers asked for are no pull requests of {mirror}, and are left out")
    tally = Tally()
    with Output(out) as output, progress(len(numbers)) as show:

        def watch(now: Tally) -> None:
            nonlocal tally
            tally = now
            show(now)

        try:
            planned = run.plan(place, numbers, repo, keys.engine(packages), env)
            task = run.Task(place, repo, rules, env)
            tally = run.sweep(planned, task, output, cache, processes=jobs or cores(), limit=limit, watch=watch)
        except KeyboardInterrupt:
            warn(
                f"stopped after {tally.total:,} of {len(numbers):,} pull requests; the same command goes on from there"
            )
            return None
        finally:
            place.close()
    if cache is not None and cache.problem is not None:
        warn(cache.problem)
    return tally


def cache_at(folder: Path | None) -> Cache | None:
    """The cache in `folder`, else in the user's own folder; without one there, it is gone without."""
    if folder is not None:
        return Cache(folder)
    usual = default_folder()
    try:
        return Cache(usual) if usual is not None else None
    except PgolfError as error:
        warn(f"nothing is cached: {error}")
        return None


def cores() -> int:
    """Processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not offered by this system
        return os.cpu_count() or 1


@contextmanager
def progress(total: int) -> Iterator[Callable[[Tally], None]]:
    """A bar on standard error with an estimate, when someone watches; yields what moves it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("sweep"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[found]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    # No thread of its own: the workers are forked while the bar is shown.
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("sweep", total=total, found="")
        shown = 0.0

        def show(tally: Tally) -> None:
            nonlocal shown
            found = f"{tally.verdicts['flag']:,} flag, {tally.verdicts['hold']:,} hold"
            bar.update(task, completed=tally.total, found=found)
            if (now := bar.get_time()) - shown > 0.1 or tally.total == total:
                shown = now
                bar.refresh()

        bar.refresh()
        yield show
