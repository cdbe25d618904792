"""The world outside the program: settings from the environment, files by their path."""

from __future__ import annotations

import ast
import os.path
from fnmatch import fnmatchcase
from typing import Any

from auditor.program.index import texts
from auditor.program.linear import ZERO
from auditor.timeline.objects import Objects
from auditor.timeline.values import (
    GRAD,
    NOCONST,
    NONE,
    NONE_VAL,
    OUTSIDE,
    PATH_TRAIN,
    PATH_VAL,
    STATE,
    STORED,
    UNKNOWN,
    Obj,
    Region,
    Taint,
    Val,
    constant,
    join_taint,
    of_taint,
    taint,
    with_flags,
)

VAL_STREAM = taint(toks=frozenset((Region("val", start=ZERO),)))

TRAIN_STREAM = NONE  # training tokens are of no interest

_LAUNCH = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "8", "NODE_RANK": "0"}

_TEXTS = (".csv", ".json", ".jsonl", ".log", ".md", ".tsv", ".txt")
"""Endings of files that a program does not load its weights from."""

_VAL_WORDS = ("val", "valid", "validation")
_SPLITS = ("train", "fineweb_train", "fineweb_val", *_VAL_WORDS)

_SHARDS = ("fineweb_train_000000.bin", "fineweb_val_000000.bin")
"""Files of both splits, as the challenge names them."""


class Files(Objects):
    """Environment variables and files."""

    __slots__ = ()

    def read_env(self, key: Val, default: Val | None, node: ast.AST) -> Val:
        """`os.environ.get(key, default)` under the effective configuration."""
        name = key.const
        line = getattr(node, "lineno", 0)
        if not isinstance(name, str):
            return UNKNOWN
        if name in self.env:
            value, source = self.env[name]
            given = str(default.const) if default is not None and default.const is not NOCONST else "unset"
            self.config_read(name, value, source, line, _LAUNCH.get(name, given))
            return Val(const=value, taint=self.path_taint(value))
        if name in _LAUNCH:
            return constant(_LAUNCH[name])
        if default is None:
            return NONE_VAL
        if default.const is not NOCONST:
            self.config_read(name, "" if default.const is None else default.const, f"default:L{line}", line)
        return default

    def write_env(self, key: Val, value: Val, node: ast.AST, override: bool) -> None:
        """`os.environ[key] = value`."""
        name = key.const
        if isinstance(name, str) and value.const is not NOCONST and (override or name not in self.env):
            line = getattr(node, "lineno", 0)
            changed = dict(self.env)
            changed[name] = (str(value.const), f"default:L{line}")
            self.env = changed

    def path_taint(self, text: Any) -> Taint:
        """Files are recognised by their path: the data contract of the challenge names the split in it."""
        if not isinstance(text, str):
            return NONE
        if flags := _split_flags(text):
            return taint(flags=flags)
        return taint(flags=PATH_VAL | PATH_TRAIN) if _covers_both(text) and not self.sorts_files() else NONE

    def sorts_files(self) -> bool:
        """Whether the script holds the bare name of a split, by which it may pick the files of one of them."""
        return any(text.strip("_") in _SPLITS for text in texts(self.frame.globals.node))

    def open_file(self, path: Val) -> Val:
        """`open(path)`: a handle that remembers the path."""
        obj = Obj("file", "file", -2, extra=path)
        return Val(objs=(obj,), taint=self.content(path))

    def file_key(self, path: Val) -> Any:
        """What a file is remembered under: its base name, `*` when unknown."""
        if isinstance(path.const, str):
            return os.path.basename(path.const)
        for obj in path.objs:
            if obj.kind == "path" and isinstance(obj.extra, str):
                return os.path.basename(obj.extra)
            if obj.kind == "file":
                return self.file_key(obj.extra)
        return "*"

    def write_file(self, path: Val, t: Taint, *, raw: bool = False) -> None:
        """Content goes to disk, or into a buffer; losses only where the bare array does (`raw`)."""
        key = self.file_key(path)
        if not raw:
            if t.nll and key == "*" and not any(obj.kind == "tensor" for obj in path.objs):
                self.effect()
                return  # a journal of scores
            t = taint(t.toks, t.upd, t.deps, frozenset(), t.counts, t.flags & (STATE | GRAD))
        for obj in path.objs:
            if obj.kind == "tensor":
                self.add_content(obj, t)
                return
        self.effect()
        more = self.weak or any(o.kind == "file" for o in path.objs)  # an open file takes in one after the other
        self.files[key] = t if not more else join_taint(self.files.get(key, NONE), t)

    def saved(self, data: Val) -> Taint:
        """What is kept of a value on disk; of a dictionary not the scores beside the weights: nobody loads those."""
        if not data.objs or any(obj.kind != "dict" for obj in data.objs):
            return self.content(data)
        t = data.taint
        for obj in data.objs:
            for value in (*obj.fields.values(), *(() if obj.elem is None else (obj.elem,))):
                content = self.content(value)
                t = t if content.nll else join_taint(t, content)
        return t

    def copy_file(self, source: Val, target: Val, node: ast.AST) -> None:
        """A file is copied or moved: a split, or of those whose names are not known what went to such a one."""
        if self.content(source).flags & (PATH_VAL | PATH_TRAIN):
            t = self.read_file(source, node).taint
        else:
            t = self.files.get(self.file_key(source), NONE)
        self.write_file(target, t, raw=True)

    def read_file(self, path: Val, node: ast.AST) -> Val:
        """Content comes from disk: tokens of a split, or what the script wrote before."""
        flags = self.content(path).flags
        for obj in path.objs:
            if obj.kind == "file":
                flags |= self.content(obj.extra).flags
            if obj.kind == "tensor" and obj.content is not NONE:
                return of_taint(obj.content)
        loops = path.loops
        if flags & PATH_VAL:
            t = VAL_STREAM
            return of_taint(t if not loops else taint(frozenset((Region("val", loops, 0, ZERO),))), loops)
        if flags & PATH_TRAIN:
            return of_taint(TRAIN_STREAM)
        key = self.file_key(path)
        t = self.files.get(key, self.files.get("*", NONE))  # what went to an unknown path is no part of a known file
        if key == "*":
            for name, written in self.files.items():
                t = t if name.endswith(_TEXTS) else join_taint(t, written)
        if not self.files or (key != "*" and key not in self.files and "*" not in self.files):
            t = with_flags(t, STORED | (OUTSIDE if self.workers else 0))
        return of_taint(t, self.innermost())


def _split_flags(text: str) -> int:
    """Which splits a path names, as flags."""
    name = os.path.basename(text.rstrip("/"))
    lowered = name.lower()
    flags = 0
    if _is_split(lowered, _VAL_WORDS):
        flags |= PATH_VAL
    if _is_split(lowered, ("train",)):
        flags |= PATH_TRAIN
    if not flags or lowered.endswith((".py", ".txt", ".log", ".json", ".model", ".pt", ".ptz", ".md", ".vocab")):
        return 0
    if not (lowered.endswith((".bin", ".npy", ".parquet", ".zst", ".raw", "*")) or "fineweb" in text or "*" in name):
        return 0
    return flags


def _covers_both(text: str) -> bool:
    """Whether a pattern (`fineweb_*.bin`) takes in the shards of both splits, and not any file."""
    if "*" not in text:
        return False
    name = os.path.basename(text)
    return all(fnmatchcase(shard, name) for shard in _SHARDS) and not fnmatchcase("other.bin", name)


def _is_split(name: str, words: tuple[str, ...]) -> bool:
    parts = name.replace("-", "_").replace(".", "_").replace("*", "_").replace("[", "_").split("_")
    return any(p in words or p.rstrip("0123456789") in words for p in parts)


def names_split(text: str) -> str:
    """The split that a path or pattern names: `val`, `train`, or nothing."""
    flags = _split_flags(text)
    return "val" if flags == PATH_VAL else "train" if flags == PATH_TRAIN else ""
