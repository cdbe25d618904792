"""What a run left: bytes of the code as it is committed, and of the compressed weights."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from auditor.submission.model import Submission

WEIGHTS = frozenset(
    (".ptz", ".bin", ".pt", ".pth", ".xz", ".lzma", ".zst", ".zstd", ".br", ".brotli", ".zlib", ".gz", ".lrz", ".blob")
)
"""Suffixes of files that hold weights."""
_COMPRESSED = WEIGHTS - {".pt", ".pth", ".bin"}


def weights(left: Mapping[str, int], before: Mapping[str, int], said: int | None) -> tuple[str, int] | None:
    """The compressed weights among the files that a run left, and their bytes; None where none can be them.

    `before` are the files that it started with. Of the new ones it is the file of the size that the log prints for the
    model (`said`), else the smallest weights whose suffix is a compressor's, else the smallest weights: the others are
    what was compressed.
    """
    new = {path: size for path, size in left.items() if size and (path not in before or before[path] != size)}
    exact = sorted(path for path, size in new.items() if size == said)
    if exact:
        return exact[0], new[exact[0]]
    for suffixes in (_COMPRESSED, WEIGHTS):
        fitting = {path: size for path, size in new.items() if PurePosixPath(path).suffix.lower() in suffixes}
        if fitting:
            path = min(fitting, key=lambda each: (fitting[each], each))
            return path, fitting[path]
    return None


def code_bytes(submission: Submission, text: str) -> int:
    """Bytes of the committed script and of the local modules that it imports, directly or through one another."""
    counted: set[str] = set()
    todo = [text]
    while todo:
        for name in imported(todo.pop()):
            if name in submission.modules and name not in counted:
                counted.add(name)
                todo.append(submission.modules[name].decode("utf-8", "replace"))
    return len(submission.code) + sum(len(submission.modules[name]) for name in counted)


def imported(text: str) -> Iterator[str]:
    """Names of the modules that a source imports; none where it does not parse."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
