"""The data guard: what is refused, in one line, and what passes with what was not checked."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.experiment.data import train_tokenizer, write_shard
from auditor.validate import guard
from auditor.validate.guard import PRINT, Data, Export, check, exports, find, fingerprints, open_shard, sha256
from auditor.verdict import PgolfError

np = pytest.importorskip("numpy")

DOCUMENT = 100


def watched(paths: Sequence[Path]) -> Iterator[Path]:
    yield from paths


def documents(first: int, count: int) -> list[int]:
    """Documents that begin with the mark, each with tokens of its own."""
    return [token for at in range(first, first + count) for token in (1, *range(300 + at, 300 + at + DOCUMENT - 1))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset: ten validation documents, twenty others to train on."""
    write_shard(tmp_path / "fineweb_val_000000.bin", documents(0, 10))
    write_shard(tmp_path / "fineweb_train_000000.bin", documents(5_000, 20))
    return tmp_path


def checked(folder: Path, own: int | None = None, *, other: bool = True) -> Data:
    return check(find(folder, 1024), own, other=other, watched=watched)


def refusal(folder: Path, own: int | None = None, *, other: bool = True) -> str:
    with pytest.raises(PgolfError) as found:
        checked(folder, own, other=other)
    assert "\n" not in str(found.value)
    return str(found.value)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Export:
    """The fixture's split as if it were a published export."""
    one = Export("small", 1024, 999, 4242, 1000, (sha256(folder / "fineweb_val_000000.bin"),))
    monkeypatch.setattr(guard, "exports", lambda: (one,))
    return one


def test_shipped_lengths_are_those_of_one_text() -> None:
    assert {export.targets: export.bytes for export in exports()} == {
        62_021_632: 151_080_363, 45_508_608: 151_074_053, 40_540_160: 151_078_222, 47_851_520: 151_074_499
    }  # fmt: skip
    assert all(export.targets % 1024 == 0 for export in exports())
    assert all(0 <= (export.tokens - 1) - export.targets < 2048 for export in exports() if export.tokens)


def test_a_whole_known_split_passes_and_says_what_was_not_checked(folder: Path, known: Export) -> None:
    found = checked(folder, other=False)
    assert (found.name, found.tokens, found.is_other, found.documents, found.shared) == ("small", 1000, False, 10, 0)
    assert found.unchecked == ("bytes of the validation text: there is no one tokenizer beside the data",)


def test_a_cut_split_is_refused_with_its_length(folder: Path, known: Export) -> None:
    write_shard(folder / "fineweb_val_000000.bin", documents(0, 9))
    assert "has 900 tokens; known are small: 1,000" in refusal(folder, other=False)
    assert checked(folder, 899, other=False).name == "the submission's own"
    assert checked(folder, other=True).is_other


def test_a_changed_split_of_the_right_length_is_refused(folder: Path, known: Export) -> None:
    write_shard(folder / "fineweb_val_000000.bin", documents(1, 10))
    assert "are not those of small: another SHA-256" in refusal(folder, other=False)


def test_validation_documents_among_the_training_data_are_refused(folder: Path) -> None:
    write_shard(folder / "fineweb_train_000001.bin", documents(6_000, 3) + documents(4, 1) + documents(7_000, 3))
    assert "1 of 10 validation documents are among the training data (first in fineweb_train_000001.bin)" in refusal(
        folder
    )


def test_a_few_that_the_web_repeats_are_counted_and_pass(folder: Path) -> None:
    write_shard(folder / "fineweb_val_000000.bin", documents(0, 200))
    write_shard(folder / "fineweb_train_000000.bin", documents(5_000, 20) + documents(7, 1))
    found = checked(folder)
    assert (found.shared, found.documents) == (1, 200)


def test_without_document_marks_overlap_counts_as_unchecked(folder: Path) -> None:
    write_shard(folder / "fineweb_val_000000.bin", range(300, 1300))
    assert any(line.startswith("overlap of training and validation") for line in checked(folder).unchecked)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "its header is not [20240520, 1, ...]"),
        (struct.pack("<3i", 20240520, 2, 4) + bytes(1020), "its header is not [20240520, 1, ...]"),
        (struct.pack("<3i", 20240520, 1, 100) + bytes(1012 + 198), "1,222 bytes, and 100 tokens take 1,224"),
        (struct.pack("<3i", 20240520, 1, -1) + bytes(1012), "1,024 bytes, and -1 tokens take 1,022"),
    ],
)
def test_a_broken_file_is_named(folder: Path, content: bytes, said: str) -> None:
    (folder / "fineweb_train_000003.bin").write_bytes(content)
    message = refusal(folder)
    assert "fineweb_train_000003.bin" in message
    assert said in message


def test_a_folder_that_was_bound_must_be_as_it_was(folder: Path) -> None:
    name = "fineweb_val_000000.bin"
    (folder / "dataset.json").write_text(json.dumps({"files": {name: {"sha256": sha256(folder / name)}}}))
    checked(folder)
    write_shard(folder / name, documents(1, 10))
    assert "fineweb_val_000000.bin: changed since dataset.json was written" in refusal(folder)
    (folder / "dataset.json").write_text("[]")
    assert "dataset.json: cannot be read" in refusal(folder)


def test_the_tokenizer_must_be_the_one_that_made_the_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    model = train_tokenizer(512)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    text = "the quick brown fox jumps over the lazy dog, and the dog does not mind at all. " * 3
    tokens = [1, *processor.encode(text), 1, *processor.encode(text[::-1])]
    write_shard(folder / "fineweb_val_000000.bin", tokens)
    (folder / "toy_512_bpe.model").write_bytes(model)
    total = sum(len(processor.decode(processor.encode(each)).encode()) for each in (text, text[::-1]))
    assert checked(folder).bytes == total
    wrong = Export("small", 512, len(tokens) - 1, total + 1, len(tokens))
    monkeypatch.setattr(guard, "exports", lambda: (wrong,))
    assert "the tokenizer is not the one that made the data" in refusal(folder)
    write_shard(folder / "fineweb_val_000000.bin", [*tokens[:-1], 600])
    assert "token 600 is none of the 512" in refusal(folder)


def test_a_dataset_is_found_in_the_challenges_layout(tmp_path: Path) -> None:
    for vocab in (1024, 4096):
        dataset = tmp_path / "datasets" / f"fineweb10B_sp{vocab}"
        dataset.mkdir(parents=True)
        write_shard(dataset / "fineweb_val_000000.bin", documents(0, 3))
        write_shard(dataset / "fineweb_val_bytes_000000.bin", [1] * 300)
        (tmp_path / "tokenizers").mkdir(exist_ok=True)
        (tmp_path / "tokenizers" / f"fineweb_{vocab}_bpe.model").write_bytes(b"")
    layout = find(tmp_path, 4096)
    assert layout.dataset.name == "fineweb10B_sp4096"
    assert layout.tokenizer is not None and layout.tokenizer.name == "fineweb_4096_bpe.model"
    assert [path.name for path in layout.validation] == ["fineweb_val_000000.bin"]
    with pytest.raises(PgolfError, match="for a vocabulary of 8192; there is: fineweb10B_sp1024, fineweb10B_sp4096"):
        find(tmp_path, 8192)
    with pytest.raises(PgolfError, match="there is no such folder; type: pgolf data fetch"):
        find(tmp_path / "absent", 1024)


@given(st.lists(st.lists(st.integers(2, 60_000), max_size=150), max_size=8))
def test_fingerprints_are_the_beginnings_of_documents(made: list[list[int]]) -> None:
    tokens = np.array([token for text in made for token in (1, *text)], dtype=np.uint16)
    starts = [at for at, token in enumerate(tokens) if token == 1 and at + PRINT <= len(tokens)]
    assert fingerprints([tokens]) == {tokens[at : at + PRINT].tobytes() for at in starts}


@given(data=st.binary(max_size=1100))
def test_any_bytes_are_a_token_file_or_refused(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.bin"
    path.write_bytes(data)
    try:
        tokens = open_shard(path)
    except PgolfError as error:
        assert str(path) in str(error)
    else:
        assert 1024 + 2 * len(tokens) == len(data)
