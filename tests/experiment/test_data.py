"""Toy data: the shard format, and tokens that a sentencepiece model of the right size decodes to prose."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.experiment.data import BOS, ToyData, documents, piece_bytes, read_shard, repeated, toy_data, write_shard
from auditor.verdict import PgolfError


@given(tokens=st.lists(st.integers(0, 65_535), max_size=50))
def test_a_shard_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, tokens: list[int]) -> None:
    path = tmp_path_factory.mktemp("shard") / "fineweb_val_000000.bin"
    write_shard(path, tokens)
    assert read_shard(path) == tokens
    data = path.read_bytes()
    assert struct.unpack("<256i", data[:1024]) == (20240520, 1, len(tokens), *[0] * 253)
    assert struct.unpack(f"<{len(tokens)}H", data[1024:]) == tuple(tokens)


@pytest.mark.parametrize("broken", [b"", b"\0" * 1024, struct.pack("<256i", 20240520, 1, 3, *[0] * 253) + b"\0\0"])
def test_what_is_no_shard_says_so(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(broken)
    with pytest.raises(PgolfError, match=r"'x\.bin' is no shard"):
        read_shard(path)


def test_a_token_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OverflowError):
        write_shard(tmp_path / "x.bin", [65_536])


@pytest.mark.parametrize("vocab", [512, 1024])
def test_tokens_decode_to_the_prose_and_count_its_bytes(vocab: int) -> None:
    spm = pytest.importorskip("sentencepiece")
    data = toy_data(vocab, 500, 300)
    processor = spm.SentencePieceProcessor(model_proto=data.tokenizer)
    assert processor.vocab_size() == vocab
    assert [processor.id_to_piece(token) for token in (BOS, 2, 3)] == ["<s>", "</s>", "<unk>"]
    assert (len(data.train), len(data.val), data.val[0]) == (500, 300, BOS)
    text = processor.decode([token for token in data.val if token != BOS])
    assert text[:100] in " ".join(documents()[0].split())
    assert sum(data.val_bytes) == len(text.encode())
    assert max(data.train) < vocab


def test_a_vocabulary_beyond_the_prose_is_filled_up() -> None:
    spm = pytest.importorskip("sentencepiece")
    data = toy_data(32_768, 10, 10)
    assert spm.SentencePieceProcessor(model_proto=data.tokenizer).vocab_size() == 32_768


def test_a_vocabulary_of_bytes_has_no_tokenizer() -> None:
    data = toy_data(260, 50, 20)
    assert data.tokenizer is None
    assert max(data.val) < 260


@given(stream=st.lists(st.integers(), min_size=1, max_size=9), count=st.integers(0, 30))
def test_a_short_stream_starts_over(stream: list[int], count: int) -> None:
    assert repeated(stream, count) == (stream * count)[:count]


@pytest.mark.parametrize(
    ("piece", "size"), [("\u2581the", 4), ("\u00e9", 2), ("<0x0A>", 1), ("<s>", 0), ("\u2581", 1), ("<", 1)]
)
def test_bytes_of_a_piece(piece: str, size: int) -> None:
    assert piece_bytes(piece) == size


def test_byte_counts_are_written_only_for_scripts_that_read_them(tmp_path: Path) -> None:
    data = ToyData(300, None, [1, 2], [3, 4], [1, 1])
    for asked in (False, True):
        (tmp_path / str(asked)).mkdir()
        data.write(tmp_path / str(asked), with_bytes=asked)
        found = sorted(path.name for path in (tmp_path / str(asked)).rglob("*val*"))
        assert found == ["fineweb_val_000000.bin", *["fineweb_val_bytes_000000.bin"] * asked]
