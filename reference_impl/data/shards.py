"""Token files: 256 little-endian int32 (magic, version, number of tokens, zeros), then the tokens as uint16."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reference_impl.errors import InputError

MAGIC, VERSION, HEADER = 20240520, 1, 256
Tokens = np.ndarray[Any, np.dtype[np.uint16]]


def write_shard(path: Path, tokens: Tokens) -> None:
    """Write a file whole, or leave what was there."""
    header = np.zeros(HEADER, dtype="<i4")
    header[:3] = MAGIC, VERSION, len(tokens)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(header.tobytes())
        file.write(np.asarray(tokens, dtype="<u2").tobytes())
    os.replace(partial, path)


def open_shard(path: Path) -> Tokens:
    """The tokens of a file, mapped, not read; raises `InputError` when it is no token file or not all of one."""
    header = np.fromfile(path, dtype="<i4", count=HEADER)
    if len(header) != HEADER or header[0] != MAGIC or header[1] != VERSION:
        raise InputError(f"{path} is no token file: its header is not [{MAGIC}, {VERSION}, ...]")
    count, size = int(header[2]), path.stat().st_size
    if size != 4 * HEADER + 2 * count:
        raise InputError(
            f"{path} should hold {count} tokens, {4 * HEADER + 2 * count} bytes, but has {size}; fetch it again"
        )
    return np.memmap(path, dtype="<u2", mode="r", offset=4 * HEADER, shape=(count,))


def sha256(path: Path) -> str:
    """Hash of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class TokenFiles:
    """Several files as one endless stream: after the last token comes the first."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.parts = [open_shard(path) for path in paths]
        self.starts = np.cumsum([0, *(len(part) for part in self.parts)])

    def __len__(self) -> int:
        """How many tokens there are."""
        return int(self.starts[-1])

    def read(self, start: int, count: int) -> Tokens:
        """`count` tokens from position `start`, modulo the length of the stream."""
        pieces: list[Tokens] = []
        while count > 0:
            start %= len(self)
            at = int(np.searchsorted(self.starts, start, side="right")) - 1
            piece = self.parts[at][start - self.starts[at] :][:count]
            pieces.append(piece)
            start, count = start + len(piece), count - len(piece)
        return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.uint16)
