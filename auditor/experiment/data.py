"""Toy data in the real format: shards, a tokenizer, and the byte counts that some scripts read beside them.

A shard is 256 little-endian int32 [20240520, 1, number of tokens, 0, ...] and then the tokens as little-endian uint16
(openai/parameter-golf, `data/cached_challenge_fineweb.py`). The tokenizer is trained with the flags of the challenge's
own, on the documentation that ships with Python: real English prose with document boundaries, and no download.
"""

from __future__ import annotations

import io
import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from auditor.verdict import PgolfError

MAGIC, VERSION = 20240520, 1
HEADER_INTS = 256
BOS = 1
"""Token that begins each document; pad, end and unknown are 0, 2 and 3."""
SMALLEST = 300
"""Below this sentencepiece has no room for its 256 byte tokens and the letters."""


@dataclass(frozen=True)
class ToyData:
    """What a run finds below `data/`."""

    vocab: int
    tokenizer: bytes | None
    """A sentencepiece model; None where the vocabulary is too small for one."""
    train: Sequence[int]
    val: Sequence[int]
    val_bytes: Sequence[int] = ()
    """Bytes of text of each validation token, for the scripts that read them from a file."""

    @property
    def dataset(self) -> str:
        """Folder of the shards, relative to the workspace."""
        return f"data/datasets/fineweb10B_sp{self.vocab}"

    @property
    def val_shard(self) -> str:
        """The validation shard, relative to the workspace."""
        return f"{self.dataset}/fineweb_val_000000.bin"

    @property
    def tokenizer_path(self) -> str:
        """The tokenizer's file, relative to the workspace."""
        return f"data/tokenizers/fineweb_{self.vocab}_bpe.model"

    def write(self, workspace: Path, *, with_bytes: bool) -> None:
        """Write everything below `workspace`; the byte counts only when asked, as `fineweb_val_*` matches them too."""
        folder = workspace / self.dataset
        folder.mkdir(parents=True)
        write_shard(folder / "fineweb_train_000000.bin", self.train)
        write_shard(workspace / self.val_shard, self.val)
        if with_bytes and self.val_bytes:
            write_shard(folder / "fineweb_val_bytes_000000.bin", self.val_bytes)
        if self.tokenizer is not None:
            path = workspace / self.tokenizer_path
            path.parent.mkdir(parents=True)
            path.write_bytes(self.tokenizer)


def write_shard(path: Path, tokens: Iterable[int]) -> None:
    """Write tokens, each below 65,536, as one shard; raises `OverflowError` for a larger one."""
    body = array("H", tokens)
    if sys.byteorder == "big":
        body.byteswap()
    header = [MAGIC, VERSION, len(body)] + [0] * (HEADER_INTS - 3)
    path.write_bytes(struct.pack(f"<{HEADER_INTS}i", *header) + body.tobytes())


def read_shard(path: Path) -> list[int]:
    """The tokens of a shard; raises `PgolfError` when the file is none."""
    data = path.read_bytes()
    if len(data) < 4 * HEADER_INTS:
        raise PgolfError(f"{path.name!r} is no shard: {len(data)} bytes, and the header alone has {4 * HEADER_INTS}")
    magic, version, count = struct.unpack_from("<3i", data)
    if (magic, version) != (MAGIC, VERSION) or len(data) != 4 * HEADER_INTS + 2 * count:
        raise PgolfError(f"{path.name!r} is no shard of version {VERSION}: its header and its size disagree")
    body = array("H", data[4 * HEADER_INTS :])
    if sys.byteorder == "big":
        body.byteswap()
    return body.tolist()


@lru_cache(maxsize=1)
def documents() -> tuple[str, ...]:
    """English prose that ships with Python: its language reference, by topic."""
    from pydoc_data.topics import topics

    return tuple(topics[name] for name in sorted(topics))


@lru_cache(maxsize=8)
def train_tokenizer(vocab: int) -> bytes:
    """A sentencepiece model of exactly `vocab` tokens; raises `PgolfError` where sentencepiece is not installed."""
    try:
        import sentencepiece
    except ImportError:
        raise PgolfError(
            f"sentencepiece is not installed; type: {sys.executable} -m pip install 'pgolf[probe]'"
        ) from None
    lines = [line for text in documents() for line in text.splitlines() if line.strip()]
    filler: list[str] = []
    while True:
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, vocab_size=vocab, model_type="bpe",
            character_coverage=0.999, byte_fallback=True, split_digits=True, normalization_rule_name="nmt_nfkc",
            add_dummy_prefix=False, pad_id=0, bos_id=BOS, eos_id=2, unk_id=3, hard_vocab_limit=False,
            user_defined_symbols=filler, num_threads=1, minloglevel=2,
        )  # fmt: skip
        missing = vocab - int(sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).vocab_size())
        if missing <= 0:
            return model.getvalue()
        filler += [f"<filler_{at}>" for at in range(len(filler), len(filler) + missing)]


def toy_data(vocab: int, train: int, val: int) -> ToyData:
    """Prose in `vocab` tokens: `val` of them to validate on, `train` others to train on, repeated when it is too short.

    With a vocabulary too small for sentencepiece the tokens are the text's bytes, modulo the vocabulary.
    """
    if vocab < SMALLEST:
        stream = [token for text in documents() for token in (BOS, *(byte % vocab for byte in text.encode()))]
        return ToyData(vocab, None, repeated(stream[val:], train), stream[:val])
    model = train_tokenizer(vocab)
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    stream = [token for text in documents() for token in (BOS, *processor.encode(text))]
    sizes = [piece_bytes(processor.id_to_piece(token)) for token in range(processor.vocab_size())]
    kept = stream[:val]
    return ToyData(vocab, model, repeated(stream[val:], train), kept, [sizes[token] for token in kept])


def repeated(stream: Sequence[int], count: int) -> list[int]:
    """The first `count` tokens of a stream that starts over when it ends."""
    return [stream[at % len(stream)] for at in range(count)]


def piece_bytes(piece: str) -> int:
    """Bytes of text that a sentencepiece token stands for."""
    if piece.startswith("<") and piece.endswith(">"):
        return 1 if piece.startswith("<0x") else 0
    return len(piece.replace("\u2581", " ").encode())
