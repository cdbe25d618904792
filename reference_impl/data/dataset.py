"""A folder of token files, bound by hash to the tokenizer that made them.

`dataset.json` in the folder says which tokenizer (SHA-256), which files (SHA-256), and how many tokens and bytes the
validation split has. Without that binding a run can score with another tokenizer's table: five published runs counted
27.5 % too many bytes that way, with correct code.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference_impl.data.bytes import KNOWN_TOTALS, ByteTable, byte_table, load_tokenizer
from reference_impl.data.shards import TokenFiles, Tokens, open_shard, sha256
from reference_impl.errors import InputError
from reference_impl.files import write_json
from reference_impl.progress import watched

BINDING = "dataset.json"
TRAIN, VALIDATION, SIDECAR = "fineweb_train_*.bin", "fineweb_val_[0-9]*.bin", "fineweb_val_bytes_*.bin"
"""The sidecar holds bytes a token, for text with case operations (PR #1729), whose tokens are not the text's bytes."""


@dataclass(frozen=True)
class Dataset:
    """What a run reads."""

    folder: Path
    tokenizer: Path
    vocab: int
    validation_bytes: int
    """Of all targets of the validation split."""

    @cached_property
    def train(self) -> TokenFiles:
        """The training tokens."""
        return TokenFiles(files_of(self.folder, TRAIN))

    @cached_property
    def validation(self) -> Tokens:
        """The validation tokens."""
        return np.concatenate([open_shard(path) for path in files_of(self.folder, VALIDATION)])

    @cached_property
    def table(self) -> ByteTable:
        """Bytes of each token."""
        return byte_table(load_tokenizer(self.tokenizer))

    @cached_property
    def sidecar(self) -> Tensor | None:
        """Bytes of each validation token, int64, where the dataset brings its own count."""
        return read_sidecar(self.folder, len(self.validation))

    def target_bytes(self, start: int, count: int) -> Tensor:
        """Bytes of the validation targets `start` .. `start + count` (the target of position i is token i + 1)."""
        if self.sidecar is not None:
            return self.sidecar[start + 1 : start + count + 1]
        tokens = torch.from_numpy(self.validation[start : start + count + 1].astype(np.int64))
        return self.table.count(tokens[:-1], tokens[1:])


def open_dataset(folder: Path, vocab: int) -> Dataset:
    """A bound dataset; raises `InputError` where the binding is missing or broken, or made for another vocabulary."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; for a small dataset type: pgolf data toy --out {folder}")
    if not (folder / BINDING).is_file():
        raise InputError(f"{folder} is not bound to a tokenizer; type: pgolf data bind {folder} --tokenizer FILE.model")
    try:
        binding: dict[str, Any] = json.loads((folder / BINDING).read_text("utf-8"))
        tokenizer, validation, sizes = binding["tokenizer"], binding["validation"], binding["files"]
        found = Dataset(folder, folder / tokenizer["file"], tokenizer["vocab"], validation["bytes"])
        expected = tokenizer["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / BINDING} cannot be read ({error}); bind the folder again") from None
    if found.vocab != vocab:
        raise InputError(f"{folder} has a vocabulary of {found.vocab}, the model one of {vocab}; set model.vocab")
    if not found.tokenizer.is_file() or sha256(found.tokenizer) != expected:
        raise InputError(f"{found.tokenizer} is not the tokenizer that {folder} is bound to")
    for name, size in sizes.items():
        path = folder / name
        if not path.is_file() or len(open_shard(path)) != size["tokens"]:
            raise InputError(
                f"{path} is missing or not the file that was bound; fetch it again, or bind the folder again"
            )
    for path in [*files_of(folder, VALIDATION), *sorted(folder.glob(SIDECAR))]:
        if sha256(path) != sizes.get(path.name, {}).get("sha256"):
            raise InputError(f"{path} changed since the folder was bound")
    return found


def bind(folder: Path, tokenizer: Path) -> Dataset:
    """Bind a folder of token files to a tokenizer, which is copied into it.

    Raises `InputError` when files are missing or broken, tokens lie outside the vocabulary, or a validation
    split of known length comes to another number of bytes: then another tokenizer made it.
    """
    processor = load_tokenizer(tokenizer)
    table, vocab = byte_table(processor), int(processor.vocab_size())
    shards = [*files_of(folder, TRAIN), *files_of(folder, VALIDATION)]
    validation = np.concatenate([open_shard(path) for path in files_of(folder, VALIDATION)])
    if int(validation.max()) >= vocab:
        raise InputError(
            f"{folder} holds token {int(validation.max())}, {tokenizer} has {vocab}: they do not belong together"
        )
    own = read_sidecar(folder, len(validation))
    for targets in {(len(validation) - 1) // cut * cut for cut in (1, 1024, 2048)} & KNOWN_TOTALS.keys():
        counted = int(own[1 : targets + 1].sum()) if own is not None else table.total(validation, targets)
        if counted != KNOWN_TOTALS[targets]:
            raise InputError(
                f"{targets} validation targets come to {counted} bytes with {tokenizer}, but the challenge's have "
                f"{KNOWN_TOTALS[targets]}: this is not the tokenizer that made them"
            )
    total = int(own[1:].sum()) if own is not None else table.total(validation)
    place = folder / tokenizer.name
    if place.resolve() != tokenizer.resolve():
        shutil.copyfile(tokenizer, place)
    write_json(
        folder / BINDING,
        {
            "tokenizer": {"file": place.name, "sha256": sha256(place), "vocab": vocab},
            "validation": {"tokens": len(validation), "bytes": total},
            "files": {
                path.name: {"tokens": len(open_shard(path)), "sha256": sha256(path)}
                for path in watched([*shards, *sorted(folder.glob(SIDECAR))], "hash")
            },
        },
    )
    return Dataset(folder, place, vocab, total)


def files_of(folder: Path, pattern: str) -> list[Path]:
    """Files of one kind, sorted; raises `InputError` when there are none."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise InputError(f"there is no {pattern} in {folder}; type: pgolf data fetch --help")
    return found


def read_sidecar(folder: Path, tokens: int) -> Tensor | None:
    """Bytes of each validation token, int64, or None; raises `InputError` when they are not as many as the tokens."""
    paths = sorted(folder.glob(SIDECAR))
    if not paths:
        return None
    counts = np.concatenate([open_shard(path) for path in paths])
    if len(counts) != tokens:
        raise InputError(f"{folder}: {SIDECAR} counts {len(counts)} tokens, the validation split has {tokens}")
    return torch.from_numpy(counts.astype(np.int64))
