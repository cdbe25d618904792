"""The file that a sweep writes: one report a line, in the order of the plan, whole after every kill.

Lines are appended as soon as their turn comes, so at every moment the file is the beginning of the finished one, but
for a last line that a kill may have cut. The plan (pull requests and keys) lies beside it, in `.FILE.sweep`, until the
sweep is done: a resumed sweep keeps the lines whose key is still the same, and goes on from there.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from auditor.console import write_whole
from auditor.verdict import PgolfError

START = b'{"schema": "pgolf.report/1", '


class Output:
    """The file, locked against a second sweep. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        """Open or make it; `PgolfError` when it cannot be written, or holds something else than reports."""
        self._path = path
        self._plan = path.with_name(f".{path.name}.sweep")
        self._file = _opened(path)
        try:
            self._claim()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def resume(self, plan: Sequence[tuple[int, str]]) -> list[str]:
        """The lines that an interrupted sweep left and that this plan of (pull request, key) would write again.

        The file is cut to them, and the plan is put beside it.
        """
        kept: list[str] = []
        end = 0
        for line, now, before in zip(self._lines(), plan, self._planned(), strict=False):
            if now != before or not _is_report(line, now[0]):
                break
            kept.append(line.decode())
            end += len(line)
        # In this order: a kill between the two leaves lines that are right under both plans.
        os.ftruncate(self._file, end)
        os.lseek(self._file, end, os.SEEK_SET)
        write_whole(json.dumps(plan) + "\n", self._plan, shown=f"--out {self._path}")
        return kept

    def write(self, line: str) -> None:
        """Append one line; what a full disk took of it is taken back. `PgolfError` when that happens."""
        data = memoryview(line.encode())
        start = os.lseek(self._file, 0, os.SEEK_CUR)
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            os.ftruncate(self._file, start)
            raise PgolfError(
                f"--out {self._path}: {error.strerror}; what was written is whole: make room and type the same again"
            ) from None

    def finish(self) -> None:
        """All is written: the plan is not needed any more."""
        self._plan.unlink(missing_ok=True)

    def _claim(self) -> None:
        try:
            # A record lock, not flock: forked processes do not inherit it, so it ends with this process.
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise PgolfError(f"--out {self._path}: another sweep is writing it; name another file") from None
        start = os.pread(self._file, len(START), 0)
        if not START.startswith(start):
            raise PgolfError(f"--out {self._path} holds something else than reports; remove it or name another file")

    def _lines(self) -> list[bytes]:
        """Complete lines; the last one may have been cut by a kill, and is then left out."""
        data = bytearray()
        # Not through a second descriptor: closing that one would give up the lock.
        while part := os.pread(self._file, 1 << 24, len(data)):
            data += part
        return [line + b"\n" for line in bytes(data).split(b"\n")[:-1]]

    def _planned(self) -> list[tuple[int, str]]:
        try:
            return [(number, key) for number, key in json.loads(self._plan.read_bytes())]
        except (OSError, ValueError, TypeError):
            return []


def _opened(path: Path) -> int:
    if not path.parent.is_dir():
        raise PgolfError(f"--out {path}: there is no directory {path.parent}; type: mkdir -p {path.parent}")
    try:
        # O_NONBLOCK: a named pipe without a reader is refused instead of waited for.
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    except OSError as error:
        raise PgolfError(f"--out {path}: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise PgolfError(f"--out {path} is no plain file, and a sweep could not be resumed from it; name a file")
    return file


def _is_report(line: bytes, number: int) -> bool:
    try:
        return line.startswith(START) and json.loads(line)["target"]["pr"] == number
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
