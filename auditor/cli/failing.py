"""From errors to one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from auditor.console import warn
from auditor.verdict import ExitCode, PgolfError

INTERRUPTED = 130
"""What a shell reports of a command that an interrupt ended."""

SEVERITY = (ExitCode.CLEAN, ExitCode.HOLD, ExitCode.FLAG, ExitCode.USAGE, ExitCode.INTERNAL)
"""Exit codes from the mildest to the most severe: with several targets the worst one decides."""


@contextmanager
def failing(subject: str | None) -> Iterator[None]:
    """Turn a typed error into one line and exit code 2, and anything unforeseen into one line and exit code 4."""
    try:
        yield
    except PgolfError as error:
        warn(str(error) if subject is None else about(subject, error))
        raise typer.Exit(ExitCode.USAGE) from None
    except typer.Exit:
        raise
    except Exception as error:
        internal_error(subject or "output", error)
        raise typer.Exit(ExitCode.INTERNAL) from None


def about(subject: str, error: PgolfError) -> str:
    """The message of an error, with what it is about in front unless it says so itself."""
    message = str(error)
    return message if repr(subject) in message else f"{subject}: {message}"


def internal_error(subject: str, error: Exception) -> str:
    """Report a defect of pgolf itself on one line; the traceback only under PGOLF_DEBUG=1."""
    message = f"internal error: {type(error).__name__}: {error}"
    if os.environ.get("PGOLF_DEBUG") == "1":
        import traceback

        traceback.print_exception(error, file=sys.stderr)
        warn(f"{subject}: {message}")
    else:
        warn(f"{subject}: {message} (PGOLF_DEBUG=1 shows the traceback)")
    return message
