"""Progress on standard error, when someone watches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn, track

T = TypeVar("T")


def watched(items: Sequence[T], what: str) -> Iterable[T]:
    """The items one by one, with a bar."""
    console = Console(stderr=True)
    return track(items, what, console=console, transient=True, disable=not console.is_terminal)


def busy(what: str) -> AbstractContextManager[object]:
    """A spinner beside work that cannot say how far it is."""
    console = Console(stderr=True)
    return console.status(what) if console.is_terminal else nullcontext()


@contextmanager
def counting(total: int, what: str, *, show: bool = True) -> Iterator[Callable[[int], None]]:
    """Something to be told how many of `total` are done, with a bar."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not show or not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def training(what: str, *, show: bool = True) -> Iterator[Callable[[float, str], None]]:
    """Something to be told the share of a run that is over and a line on how it goes, with a bar."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not show or not console.is_terminal) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda share, line: progress.update(task, completed=share, description=line)
