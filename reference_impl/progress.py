"""Progress on standard error, when someone watches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress, track

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
def counting(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Something to be told how many of `total` are done, with a bar."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)
