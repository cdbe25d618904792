"""Compressors at their fastest level: what they give back is the same, and an artifact of noise takes seconds less."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

FASTEST: tuple[tuple[str, str, str, int], ...] = (
    ("lzma", "compress", "preset", 0),
    ("zlib", "compress", "level", 1),
    ("bz2", "compress", "compresslevel", 1),
    ("zstandard", "ZstdCompressor", "level", 1),
    ("brotli", "compress", "quality", 1),
)
"""Module, function, the name that its level has, and the fastest level."""


def install() -> None:
    """Let the compressors that are installed ignore the level that they are asked for."""
    for module, name, option, level in FASTEST:
        try:
            library = importlib.import_module(module)
        except ImportError:
            continue
        setattr(library, name, fastest(getattr(library, name), option, level))


def fastest(compress: Callable[..., Any], option: str, level: int) -> Callable[..., Any]:
    """The compressor, called with its fastest level unless it is given a chain of filters of its own."""

    def call(*args: Any, **options: Any) -> Any:
        if "filters" in options:
            return compress(*args, **options)
        data = args[: 0 if compress.__name__ == "ZstdCompressor" else 2 if compress.__module__ == "lzma" else 1]
        return compress(*data, **{**options, option: level})

    return call
