"""Results of earlier audits, one small file each, by key; shared by all sweeps of a user.

Each file is written beside its place and renamed, so that no reader ever sees half of one and two sweeps may run at
once. Compressed with a checksum: a damaged file is a miss. When the folder grows over its bound, those that have not
been used for longest go.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from auditor.verdict import PgolfError

MAX_BYTES = 128 << 20
"""About ten sweeps over 2,000 pull requests."""
_STALE_PART_S = 3600
_BLOCK = 4096


@dataclass(frozen=True)
class Entry:
    """A line of output, and the objects that the clone lacked when it was made."""

    line: str
    absent: tuple[str, ...] = ()


class Cache:
    """A folder of results. Reading never fails; the first failed write ends the writing."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        """`PgolfError` when the folder cannot be made."""
        self._folder = folder
        self._max_bytes = max_bytes
        self.problem: str | None = None
        """Why nothing is written any more."""
        self._wrote = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PgolfError(f"--cache {folder}: {error.strerror}; name another folder, or --no-cache") from None

    def get(self, key: str) -> Entry | None:
        """The entry of that key; None when there is none, or it is damaged."""
        path = self._path(key)
        try:
            data = json.loads(zlib.decompress(path.read_bytes()))
            os.utime(path)
            if data["key"] != key or not isinstance(data["line"], str):
                return None
            return Entry(data["line"], tuple(data["absent"]))
        except (OSError, zlib.error, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, entry: Entry) -> None:
        """Keep an entry, whole or not at all; a cache that cannot be written is `problem`, not an error."""
        if self.problem is not None:
            return
        data = json.dumps({"key": key, "line": entry.line, "absent": entry.absent}).encode()
        path = self._path(key)
        part = None
        try:
            path.parent.mkdir(exist_ok=True)
            handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
            with os.fdopen(handle, "wb") as file:
                file.write(zlib.compress(data, 1))
            os.replace(part, path)
            self._wrote = True
        except OSError as error:
            self.problem = f"nothing more is cached in {self._folder}: {error.strerror}"
            if part is not None:
                with contextlib.suppress(OSError):
                    os.unlink(part)

    def prune(self) -> None:
        """Bring the folder under its bound, after writing to it; what another sweep removed meanwhile is no matter."""
        if not self._wrote:
            return
        found = []
        for path in self._folder.glob("??/*"):
            with contextlib.suppress(OSError):
                status = path.stat()
                if path.suffix == ".part" and time.time() - status.st_mtime > _STALE_PART_S:
                    path.unlink()
                else:
                    found.append((status.st_mtime_ns, -(-status.st_size // _BLOCK) * _BLOCK, path))
        found.sort(reverse=True)
        total = 0
        for _, size, path in found:
            total += size
            if total > self._max_bytes:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]


def default_folder() -> Path | None:
    """Where the platform keeps caches (XDG base directories); None for a user without a home."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(configured):
        return Path(configured) / "pgolf"
    try:
        return Path.home() / ".cache" / "pgolf"
    except RuntimeError:
        return None
