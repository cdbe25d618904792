"""What the data is, before anything is run on it: the right validation text, all of it, and none of it for training.

A data folder has the layout of the challenge (`datasets/NAME/fineweb_val_*.bin`, `tokenizers/*.model`) or holds the
token files and the tokenizer itself. A token file is 256 little-endian int32 [20240520, 1, number of tokens, 0, ...]
and the tokens as little-endian uint16. Every refusal is one line; what could not be checked is listed and never counts
as checked.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.experiment.data import BOS, HEADER_INTS, MAGIC, VERSION
from auditor.verdict import PgolfError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Tokens = npt.NDArray[np.uint16]

TRAIN, VALIDATION, SIDECAR = "fineweb_train_*.bin", "fineweb_val_[0-9]*.bin", "fineweb_val_bytes_*.bin"
BINDING = "dataset.json"
"""Hashes of a folder's files, where `pgolf data fetch` or `pgolf data bind` wrote them."""
CUTS = (1, 1024, 2048)
"""Scripts cut the validation split to whole sequences of one of these lengths."""
PRINT = 64
"""Tokens at the beginning of a document by which it is known."""
SHARED = 0.01
"""Part of the validation documents that may begin like a training document: web text repeats itself, and a split that
was trained on has all of them there."""


@dataclass(frozen=True)
class Export:
    """A published export of the challenge's data."""

    name: str
    vocab: int
    targets: int
    bytes: int
    tokens: int | None = None
    sha256: tuple[str, ...] = ()

    def has(self, tokens: int) -> bool:
        """Whether a validation split of so many tokens is this one's."""
        return tokens == self.tokens if self.tokens else any((tokens - 1) // cut * cut == self.targets for cut in CUTS)


@dataclass(frozen=True)
class Layout:
    """Where the files of one dataset lie."""

    root: Path
    """The folder that was named."""
    dataset: Path
    tokenizer: Path | None

    @property
    def validation(self) -> list[Path]:
        """The validation files, in order."""
        return sorted(self.dataset.glob(VALIDATION))

    @property
    def train(self) -> list[Path]:
        """The training files, in order."""
        return sorted(self.dataset.glob(TRAIN))


@dataclass(frozen=True)
class Data:
    """A dataset that passed."""

    name: str
    """Of the export, or why it is another one."""
    is_other: bool
    """Whether it is neither a published export nor as long as the submission's own: scores say nothing then."""
    tokens: int
    """Of the validation split."""
    bytes: int | None
    """That its targets stand for; None where this could not be counted."""
    train_tokens: int
    files: dict[str, str]
    """SHA-256 of each validation file."""
    shared: int
    """Validation documents that begin like a training document."""
    documents: int
    unchecked: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """A hash of what a run depends on."""
        return hashlib.sha256(json.dumps([self.files, self.train_tokens]).encode()).hexdigest()


@lru_cache(maxsize=1)
def exports() -> tuple[Export, ...]:
    """The published exports, as shipped with the package."""
    text = resources.files("auditor.validate").joinpath("known.toml").read_text(encoding="utf-8")
    return tuple(Export(**{**each, "sha256": tuple(each["sha256"])}) for each in tomllib.loads(text)["export"])


def find(root: Path, vocab: int) -> Layout:
    """The dataset in a folder, of several the one whose name ends in the vocabulary; raises `PgolfError`."""
    if not root.is_dir():
        raise PgolfError(f"--data {root}: there is no such folder; type: pgolf data fetch --out {root}")
    candidates = [root] if list(root.glob(VALIDATION)) else sorted(
        {path.parent for path in root.glob(f"datasets/*/{VALIDATION}")}
    )  # fmt: skip
    named = [folder for folder in candidates if f"sp{vocab}" in folder.name]
    chosen = named if len(candidates) > 1 else candidates
    if len(chosen) != 1:
        seen = ", ".join(folder.name for folder in candidates) or "none"
        raise PgolfError(
            f"--data {root}: wants one dataset with {VALIDATION}, for a vocabulary of {vocab}; there is: {seen}"
        )
    models = sorted([*chosen[0].glob("*.model"), *root.glob("tokenizers/*.model")])
    fitting = [path for path in models if f"_{vocab}_" in path.name]
    tokenizer = fitting[0] if fitting else (models[0] if len(models) == 1 else None)
    return Layout(root, chosen[0], tokenizer)


def check(layout: Layout, own: int | None, *, other: bool, watched: Callable[[Sequence[Path]], Iterator[Path]]) -> Data:
    """Check a dataset; raises `PgolfError` with one line where it must not be used.

    `own` is how many validation tokens the submission's logs print, `other` whether a split that is neither a published
    one nor the submission's own is wanted all the same. `watched` goes over files and shows how far it is.
    """
    if not layout.train:
        raise PgolfError(f"{layout.dataset}: there is no {TRAIN} in it")
    validation = [open_shard(path) for path in layout.validation]
    tokens = sum(map(len, validation))
    export = next((export for export in exports() if export.has(tokens)), None)
    is_own = own is not None and any((tokens - 1) // cut * cut == own for cut in CUTS)
    if export is None and not is_own and not other:
        lengths = ", ".join(f"{export.name}: {export.tokens or export.targets + 1:,}" for export in exports())
        raise PgolfError(
            f"{layout.dataset}: the validation split has {tokens:,} tokens; known are {lengths}; fetch it again, or"
            " type --other-data to run on it without comparing scores"
        )
    files = {path.name: sha256(path) for path in layout.validation}
    unchecked = [*_hashes(layout, files, export)]
    counted, problem = _counted(layout, validation, export)
    unchecked += [problem] if problem else []
    prints = fingerprints(validation)
    shared, train_tokens = _shared(prints, layout, watched)
    if not prints:
        unchecked.append("overlap of training and validation: the validation split has no document marks")
    elif len(shared) > SHARED * len(prints):
        raise PgolfError(
            f"{layout.dataset}: {len(shared):,} of {len(prints):,} validation documents are among the training data"
            f" (first in {next(iter(shared.values()))}); fetch it again"
        )
    name = export.name if export else "the submission's own" if is_own else "another one"
    return Data(
        name, not (export or is_own), tokens, counted, train_tokens, files, len(shared), len(prints), tuple(unchecked)
    )


def open_shard(path: Path) -> Tokens:
    """The tokens of a file, mapped; raises `PgolfError` when it is no token file or not all of one."""
    np = numpy()
    header = np.fromfile(path, dtype="<i4", count=HEADER_INTS)
    if len(header) != HEADER_INTS or (header[0], header[1]) != (MAGIC, VERSION):
        raise PgolfError(f"{path}: no token file: its header is not [{MAGIC}, {VERSION}, ...]")
    count, size = int(header[2]), path.stat().st_size
    if count < 1 or size != 4 * HEADER_INTS + 2 * count:
        raise PgolfError(f"{path}: {size:,} bytes, and {count:,} tokens take {4 * HEADER_INTS + 2 * count:,}")
    mapped: Tokens = np.memmap(path, dtype="<u2", mode="r", offset=4 * HEADER_INTS, shape=(count,))
    return mapped


def fingerprints(shards: Sequence[Tokens]) -> set[bytes]:
    """The first `PRINT` tokens of each document that has as many after it in its file."""
    np = numpy()
    found: set[bytes] = set()
    for tokens in shards:
        starts = np.flatnonzero(tokens[: max(0, len(tokens) - PRINT + 1)] == BOS)
        found.update(row.tobytes() for row in tokens[starts[:, None] + np.arange(PRINT)])
    return found


def sha256(path: Path) -> str:
    """Hash of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def numpy() -> Any:
    """The module, which the audit alone does without; raises `PgolfError` where it is missing."""
    try:
        import numpy
    except ImportError:
        raise PgolfError("numpy is not installed; type: python3 -m pip install 'pgolf[probe]'") from None
    return numpy


def _shared(
    prints: set[bytes], layout: Layout, watched: Callable[[Sequence[Path]], Iterator[Path]]
) -> tuple[dict[bytes, str], int]:
    """Validation documents that a training file has too, with its name, and the number of training tokens."""
    shared: dict[bytes, str] = {}
    tokens = 0
    for path in watched(layout.train):
        shard = open_shard(path)
        tokens += len(shard)
        shared.update(dict.fromkeys(prints & fingerprints([shard]), path.name))
    return shared, tokens


def _hashes(layout: Layout, files: dict[str, str], export: Export | None) -> Iterator[str]:
    """Compare hashes with the published ones and with the folder's own binding; gives what cannot be compared."""
    if export is not None and export.sha256:
        if tuple(files.values()) != export.sha256:
            raise PgolfError(f"{layout.dataset}: the validation files are not those of {export.name}: another SHA-256")
    elif export is not None:
        yield f"hashes of the validation files: none is published for {export.name}"
    binding = layout.dataset / BINDING
    if binding.is_file():
        try:
            bound = {name: entry["sha256"] for name, entry in json.loads(binding.read_text("utf-8"))["files"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise PgolfError(f"{binding}: cannot be read; type: pgolf data bind --help") from None
        for name, found in files.items():
            if bound.get(name) != found:
                raise PgolfError(f"{layout.dataset / name}: changed since {BINDING} was written; fetch it again")


def _counted(layout: Layout, shards: Sequence[Tokens], export: Export | None) -> tuple[int | None, str | None]:
    """Bytes that the validation targets stand for, compared with the known number; or why they are not counted."""
    np = numpy()
    tokens = np.concatenate(shards)
    sidecar = sorted(layout.dataset.glob(SIDECAR))
    if sidecar:
        each = np.concatenate([open_shard(path) for path in sidecar])
        if len(each) != len(tokens):
            raise PgolfError(f"{layout.dataset}: {SIDECAR} counts {len(each):,} tokens of {len(tokens):,}")
        each = each[1:]
    elif layout.tokenizer is None:
        return None, "bytes of the validation text: there is no one tokenizer beside the data"
    else:
        try:
            import sentencepiece
        except ImportError:
            return None, "bytes of the validation text: sentencepiece is not installed"
        processor = sentencepiece.SentencePieceProcessor(model_file=str(layout.tokenizer))
        if int(tokens.max()) >= processor.vocab_size():
            raise PgolfError(
                f"{layout.dataset}: token {int(tokens.max())} is none of the {processor.vocab_size()} of"
                f" {layout.tokenizer.name}: this is not the tokenizer that made the data"
            )
        each = token_bytes(processor, tokens)
    if export is not None and (found := int(each[: export.targets].sum(dtype=np.int64))) != export.bytes:
        raise PgolfError(
            f"{layout.dataset}: {export.targets:,} targets stand for {found:,} bytes, those of {export.name} for"
            f" {export.bytes:,}: the tokenizer is not the one that made the data"
        )
    return int(each.sum(dtype=np.int64)), None


def token_bytes(processor: Any, tokens: Tokens) -> Any:
    """Bytes of each target, int32, one fewer than tokens: UTF-8, a leading space once, none at a document's start."""
    np = numpy()
    vocab = processor.vocab_size()
    pieces = [processor.id_to_piece(token) for token in range(vocab)]
    empty = np.array(
        [processor.is_control(t) or processor.is_unknown(t) or processor.is_unused(t) for t in range(vocab)]
    )
    leads = np.array([piece.startswith("\u2581") for piece in pieces]) & ~empty
    base = np.array(
        [1 if processor.is_byte(t) else len(pieces[t].removeprefix("\u2581").encode()) for t in range(vocab)],
        dtype=np.int32,
    )
    base[empty] = 0
    previous, target = tokens[:-1], tokens[1:]
    return base[target] + (leads[target] & ~empty[previous])
