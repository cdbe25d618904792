"""Thread pools that run in the caller's thread, and threads that keep to the CPU.

The mode that sends tensors to the CPU acts in one thread only, and the order in which threads come to their turn is no
part of what a script computes.
"""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.thread
import multiprocessing.pool
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .device import OnCpu


class Synchronous(concurrent.futures.Executor):
    """An executor whose `submit` returns when the work is done."""

    def __init__(
        self, *args: Any, initializer: Callable[..., Any] | None = None, initargs: Any = (), **kw: Any
    ) -> None:
        if initializer is not None:
            initializer(*initargs)

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """The finished future of a call."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as error:  # handed to whoever asks for the result
            future.set_exception(error)
        return future


class Result:
    """What `apply_async` gives: a value that is there."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def get(self, timeout: Any = None) -> Any:
        """The value."""
        return self.value

    def wait(self, timeout: Any = None) -> None:
        """Nothing to wait for."""

    def ready(self) -> bool:
        """It is."""
        return True


class Pool:
    """A `multiprocessing` pool of the caller's thread."""

    def __init__(self, processes: Any = None, initializer: Any = None, initargs: Any = (), *rest: Any) -> None:
        if initializer is not None:
            initializer(*initargs)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *args: Any) -> None:
        pass

    def apply(self, work: Callable[..., Any], args: Any = (), kwargs: Any = None) -> Any:
        """A call."""
        return work(*args, **(kwargs or {}))

    def apply_async(self, work: Callable[..., Any], args: Any = (), kwargs: Any = None, *rest: Any) -> Result:
        """A call, done."""
        return Result(self.apply(work, args, kwargs))

    def map(self, work: Callable[..., Any], items: Iterable[Any], *rest: Any, **kwargs: Any) -> list[Any]:
        """All values in order."""
        return [work(item) for item in items]

    def starmap(self, work: Callable[..., Any], items: Iterable[Any], *rest: Any, **kwargs: Any) -> list[Any]:
        """All values in order."""
        return [work(*item) for item in items]

    def imap(self, work: Callable[..., Any], items: Iterable[Any], *rest: Any, **kwargs: Any) -> Iterator[Any]:
        """The values in order."""
        return map(work, items)

    imap_unordered = imap

    def map_async(self, work: Callable[..., Any], items: Iterable[Any], *rest: Any) -> Result:
        """All values, done."""
        return Result(self.map(work, items))

    def close(self) -> None:
        """Nothing is open."""

    terminate = join = close


def install() -> None:
    """Replace pools, and let each thread enter the mode that keeps tensors on the CPU."""
    futures: Any = concurrent.futures
    futures.ThreadPoolExecutor = futures.thread.ThreadPoolExecutor = Synchronous
    futures.ProcessPoolExecutor = Synchronous
    pools: Any = multiprocessing.pool
    pools.ThreadPool = pools.Pool = Pool
    context: Any = multiprocessing
    context.Pool = Pool
    run = threading.Thread.run

    def run_on_cpu(self: threading.Thread) -> None:
        with OnCpu():
            run(self)

    threading.Thread.run = run_on_cpu  # type: ignore[method-assign]
