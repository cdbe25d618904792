"""The command line's way to the outside: standard output, files written whole, one-line messages."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from auditor.verdict import PgolfError


class Format(StrEnum):
    """Output formats of reports."""

    text = "text"
    json = "json"
    sarif = "sarif"
    github = "github"
    markdown = "markdown"


def warn(message: str) -> None:
    """Print one line to standard error, safe on a terminal however hostile the names in it."""
    from auditor.report.escape import one_line

    print(f"pgolf: {one_line(message, 1000)}", file=sys.stderr)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on standard error that something is under way, when someone watches."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    from auditor.report.escape import one_line

    with Console(stderr=True).status(Text(one_line(what, 60))):
        yield


def use_color(choice: str, output: Path | None) -> bool:
    """Decide on colour from `--color`, https://no-color.org and where the output goes."""
    if choice != "auto":
        return choice == "always"
    return output is None and not os.environ.get("NO_COLOR") and sys.stdout.isatty()


def writable(output: Path | None) -> None:
    """Fail before the work starts when the output file cannot be written; raises `PgolfError`."""
    if output is None:
        return
    if output.is_dir():
        raise PgolfError(f"--output {output} is a directory; name a file in it")
    if not output.parent.is_dir():
        raise PgolfError(f"--output {output}: there is no directory {output.parent}; type: mkdir -p {output.parent}")


def emit(text: str, output: Path | None) -> None:
    """Write to standard output, or to a file that then holds all of the text or is as it was before."""
    if output is not None:
        write_whole(text, output)
        return
    try:
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough (`| head`): the verdict, and so the exit code, stand.
        # Without this the interpreter complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_whole(text: str, output: Path, shown: str | None = None) -> None:
    """Write a file through a temporary one beside it; raises `PgolfError` when the system refuses.

    `shown` is what the message is about, for a file that is not `--output`.
    """
    shown = shown or f"--output {output}"
    try:
        handle, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.", suffix=".part")
    except OSError as error:
        raise PgolfError(f"{shown}: {error.strerror}") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(text)
        # mkstemp makes private files; a report is as readable as any file that its user creates.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, output)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise PgolfError(f"{shown}: {error.strerror}") from None
        raise
