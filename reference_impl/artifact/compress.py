"""General compressors at their strongest, in front of which like bytes are laid together."""

from __future__ import annotations

import lzma
import zlib
from typing import Any

import brotli
import numpy as np
import zstandard

from reference_impl.errors import InputError

METHODS = ("zlib", "zstd", "lzma", "brotli")
XZ = ({"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0},)


def compress(content: bytes, method: str) -> bytes:
    """The same bytes for the same input."""
    if method == "zlib":
        return zlib.compress(content, 9)
    if method == "zstd":
        return zstandard.ZstdCompressor(level=22).compress(content)
    if method == "lzma":
        return lzma.compress(content, format=lzma.FORMAT_RAW, filters=XZ)
    return bytes(brotli.compress(content, quality=11, lgwin=24))


def decompress(content: bytes, method: str) -> bytes:
    """Undo `compress`; raises `InputError` on anything else."""
    try:
        if method == "zlib":
            return zlib.decompress(content)
        if method == "zstd":
            return zstandard.ZstdDecompressor().decompress(content)
        if method == "lzma":
            return lzma.decompress(content, format=lzma.FORMAT_RAW, filters=XZ)
        return bytes(brotli.decompress(content))
    except (zlib.error, zstandard.ZstdError, lzma.LZMAError, EOFError, brotli.error) as error:
        raise InputError(f"the artifact is damaged: {error}") from None


def shuffle(array: np.ndarray[Any, Any]) -> bytes:
    """All first bytes of the elements, then all second ones, and so on (PR #1089)."""
    return array.reshape(-1).view(np.uint8).reshape(-1, array.dtype.itemsize).T.tobytes()


def unshuffle(content: bytes, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Undo `shuffle`; flat."""
    planes = np.frombuffer(content, np.uint8).reshape(dtype.itemsize, -1)
    return planes.T.copy().reshape(-1).view(dtype)
