"""Progress on standard error, when someone watches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def watched(items: Sequence[T], what: str) -> Iterable[T]:
    """The items one by one, with a bar."""
    console = Console(stderr=True)
    return track(items, what, console=console, transient=True, disable=not console.is_terminal)


def busy(what: str) -> AbstractContextManager[object]:
    """A spinner beside work that cannot say how far it is."""
    console = Console(stderr=True)
    return console.status(what) if console.is_terminal else nullcontext()
