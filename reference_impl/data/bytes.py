"""How many bytes of text a token stands for: the denominator of bits per byte.

bytes(previous, target) = base[target] + (target begins with a space and previous is no boundary). The space is counted
with the token that carries it, once, and not at the start of a document, where the tokenizer put none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference_impl.data.shards import Tokens
from reference_impl.errors import InputError

SPACE = "▁"
"""U+2581, how SentencePiece writes a space: 3 bytes as a character, 1 byte as text."""
KNOWN_TOTALS = {
    62_021_632: 151_080_363,
    45_508_608: 151_074_053,
    40_540_160: 151_078_222,
    47_851_520: 151_074_499,
    47_853_343: 151_080_645,
}
"""Bytes of the challenge's validation split by the number of targets, for its five exports (vocabularies 1024, 4096 and
8192, and lossless case operations with and without the tail). The text is one and the same; only truncation differs."""


@dataclass(frozen=True)
class ByteTable:
    """What each token contributes; all (v)."""

    base: Tensor
    """int64: UTF-8 length without a leading space; 1 for byte tokens, 0 for control, unknown and unused ones."""
    leads: Tensor
    """bool: begins with a space."""
    boundary: Tensor
    """bool: control, unknown or unused, after which a leading space does not count."""

    def count(self, previous: Tensor, target: Tensor) -> Tensor:
        """Bytes of each target, int64; both arguments int64 of one shape."""
        return self.base[target] + (self.leads[target] & ~self.boundary[previous])

    def total(self, tokens: Tokens, targets: int | None = None) -> int:
        """Bytes of a stream, all of its tokens but the first being targets; of the first `targets` of them if given."""
        end = len(tokens) if targets is None else targets + 1
        total = 0
        for start in range(0, end - 1, 1 << 22):
            piece = torch.from_numpy(tokens[start : min(start + (1 << 22), end - 1) + 1].astype(np.int64))
            total += int(self.count(piece[:-1], piece[1:]).sum())
        return total


def byte_table(tokenizer: Any) -> ByteTable:
    """The table of a `sentencepiece.SentencePieceProcessor`.

    Raises `InputError` for one that spells lone spaces in bytes: each would count 3 bytes instead of 1 (issue #897).
    """
    size = tokenizer.vocab_size()
    base = torch.zeros(size, dtype=torch.int64)
    leads = torch.zeros(size, dtype=torch.bool)
    boundary = torch.ones(size, dtype=torch.bool)
    spells = False
    for token in range(size):
        if tokenizer.is_control(token) or tokenizer.is_unknown(token) or tokenizer.is_unused(token):
            continue
        boundary[token] = False
        if tokenizer.is_byte(token):
            base[token], spells = 1, True
            continue
        piece = tokenizer.id_to_piece(token)
        leads[token] = piece.startswith(SPACE)
        # A space inside a piece is written as three bytes and is one.
        base[token] = len(piece.removeprefix(SPACE).replace(SPACE, " ").encode("utf-8"))
    if spells and tokenizer.piece_to_id(SPACE) == tokenizer.unk_id():
        raise InputError(f"this tokenizer has no piece {SPACE!r}, so that single spaces become three bytes each (#897)")
    return ByteTable(base, leads, boundary)


def load_tokenizer(path: Path) -> Any:
    """A SentencePiece model; raises `InputError` when it is none."""
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} is no SentencePiece model: {error}") from None
