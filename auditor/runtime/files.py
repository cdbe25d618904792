"""The toy data where the script looks for the real data.

Scripts find data by settings, by literal paths, by paths below their own folder. A path or pattern that exists is left
alone; one that does not, and that names shards or a tokenizer, is looked up by its last part in the toy data.
"""

from __future__ import annotations

import builtins
import fnmatch
import glob
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

SHARD = re.compile(r"(fineweb|train|val|byte).*\.(bin|npy)$|^\*\.bin$", re.IGNORECASE)
TOKENIZER = re.compile(r"\.(model|vocab)$", re.IGNORECASE)


class Toy:
    """The toy data of one run: files by base name."""

    def __init__(self, root: str) -> None:
        self.files = {name: os.path.join(folder, name) for folder, _, names in os.walk(root) for name in sorted(names)}
        self.folders = [folder for folder, _, names in os.walk(root) if any(map(SHARD.search, names))]

    def matching(self, pattern: str) -> list[str]:
        """Toy shards whose base name matches the last part of a pattern, or that are for what it names."""
        last = os.path.basename(pattern)
        if not SHARD.search(last):
            return []
        found = fnmatch.filter(self.files, last)
        if not found:  # named otherwise: `fineweb_bpe4096_train_*.bin`
            kind = next((kind for kind in ("val", "train") if kind in last), "")
            found = [name for name in self.files if kind and f"_{kind}_0" in name]
        return sorted(self.files[name] for name in found)

    def file(self, path: Any) -> Any:
        """The toy file for a path that does not exist; the path itself where there is none."""
        if not isinstance(path, str | os.PathLike):
            return path
        text = os.fspath(path)
        if not isinstance(text, str) or real_exists(text):
            return path
        last = os.path.basename(text)
        if last in self.files:
            return self.files[last]
        if TOKENIZER.search(last):
            return next((file for name, file in self.files.items() if name.endswith(last[last.rindex(".") :])), path)
        if SHARD.search(last):
            kind = "val" if "val" in last else "train"
            return next((file for name, file in self.files.items() if f"_{kind}_0" in name), path)
        return path


real_exists = os.path.exists
real_isfile = os.path.isfile


def install(root: str) -> None:
    """Look up in the toy data below `root` what the script does not find."""
    import numpy as np

    toy = Toy(root)
    real_iglob, real_path_glob, real_open = glob.iglob, pathlib.Path.glob, builtins.open
    numpy: Any = np
    fromfile, memmap = numpy.fromfile, numpy.memmap

    def glob_(pathname: Any, **options: Any) -> list[Any]:
        return list(real_iglob(pathname, **options)) or toy.matching(str(pathname))

    def path_glob(self: pathlib.Path, pattern: str, **options: Any) -> Iterator[pathlib.Path]:
        found = list(real_path_glob(self, pattern, **options)) if self.is_dir() else []
        return iter(found or [pathlib.Path(file) for file in toy.matching(str(pattern))])

    def open_(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        return real_open(toy.file(file) if "r" in mode and "+" not in mode else file, mode, *args, **options)

    def exists(path: Any) -> bool:
        return real_exists(toy.file(path))

    def isfile(path: Any) -> bool:
        return real_isfile(toy.file(path))

    class Memmap(numpy.memmap):  # type: ignore[misc]
        def __new__(cls, filename: Any, *args: Any, **options: Any) -> Any:
            return memmap(toy.file(filename), *args, **options)

    builtins.open = open_
    modules: Any = glob
    modules.glob = glob_
    modules.iglob = lambda pathname, **options: iter(glob_(pathname, **options))
    pathlib.Path.glob = path_glob  # type: ignore[method-assign, assignment]
    os.path.exists = exists
    os.path.isfile = isfile
    pathlib.Path.exists = lambda self, **options: exists(self)  # type: ignore[method-assign]
    pathlib.Path.is_file = lambda self, **options: isfile(self)  # type: ignore[method-assign]
    numpy.fromfile = lambda file, *args, **options: fromfile(toy.file(file), *args, **options)
    numpy.memmap = Memmap
    tokenizers(toy)


def tokenizers(toy: Toy) -> None:
    """Let sentencepiece load the toy tokenizer for one that is not there."""
    try:
        import sentencepiece
    except ImportError:
        return  # a script that needs it says so itself
    processor: Any = sentencepiece.SentencePieceProcessor
    load_file = processor.LoadFromFile
    processor.LoadFromFile = lambda self, path, *args: load_file(self, os.fspath(toy.file(path)), *args)
