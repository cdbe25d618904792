"""Token files, loaders, byte tables, and the binding of tokens to their tokenizer."""

import dataclasses
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[train]'")
np = pytest.importorskip("numpy")
pytest.importorskip("sentencepiece", reason="sentencepiece is not installed: pip install 'pgolf[train]'")

from reference_impl.config import TrainConfig
from reference_impl.data.bytes import KNOWN_TOTALS, SPACE, ByteTable, byte_table, load_tokenizer
from reference_impl.data.dataset import bind, open_dataset
from reference_impl.data.loaders import contiguous, coprime, coprime_stride, document_ids, make_loader
from reference_impl.data.shards import TokenFiles, open_shard, write_shard
from reference_impl.data.toy import BOS
from reference_impl.errors import InputError


def files(folder, *lengths):
    """Shards that hold 0, 1, 2, ... across their borders."""
    paths, start = [], 0
    for i, length in enumerate(lengths):
        paths.append(folder / f"fineweb_train_{i:06d}.bin")
        write_shard(paths[-1], np.arange(start, start + length, dtype=np.uint16))
        start += length
    return TokenFiles(paths)


def test_shard_format_is_that_of_the_challenge(tmp_path):
    path = tmp_path / "a.bin"
    write_shard(path, np.array([7, 65535], dtype=np.uint16))
    raw = path.read_bytes()
    assert np.frombuffer(raw[:12], "<i4").tolist() == [20240520, 1, 2]
    assert raw[12:1024] == bytes(1012) and raw[1024:] == b"\x07\x00\xff\xff"
    assert open_shard(path).tolist() == [7, 65535]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-1], lambda raw: b"\0" * 1024, lambda raw: raw + b"\0\0", lambda raw: raw[:9]]
)
def test_damaged_shard_is_refused(tmp_path, damage):
    path = tmp_path / "a.bin"
    write_shard(path, np.arange(5, dtype=np.uint16))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"a\.bin"):
        open_shard(path)


@settings(deadline=None, max_examples=40)
@given(start=st.integers(0, 200), count=st.integers(0, 90))
def test_stream_crosses_files_and_starts_again(tmp_path_factory, start, count):
    stream = files(tmp_path_factory.mktemp("stream"), 10, 1, 25)
    assert stream.read(start, count).tolist() == [i % 36 for i in range(start, start + count)]


def test_contiguous_batches_share_no_token(tmp_path):
    load = contiguous(files(tmp_path, 30, 30), rows=2, sequence=4)
    x, y = load(1)
    assert x.tolist() == [[9, 10, 11, 12], [13, 14, 15, 16]]
    assert y.tolist() == [[10, 11, 12, 13], [14, 15, 16, 17]]


@settings(deadline=None, max_examples=30)
@given(count=st.integers(2, 60))
def test_coprime_order_visits_every_sequence_once_a_pass(tmp_path_factory, count):
    load = coprime(files(tmp_path_factory.mktemp("coprime"), count * 4 + 1), rows=1, sequence=4)
    firsts = [int(load(i)[0][0, 0]) for i in range(count)]
    assert sorted(firsts) == [4 * i for i in range(count)]
    assert int(load(count)[0][0, 0]) == 1  # the second pass cuts elsewhere


@given(st.integers(2, 10**9))
def test_stride_is_coprime(count):
    assert math.gcd(coprime_stride(count), count) == 1


def test_too_little_data_is_said(tmp_path):
    with pytest.raises(InputError, match=r"lower train\.batch_tokens"):
        make_loader(TrainConfig(), files(tmp_path, 100))


def test_documents_are_numbered_within_a_row():
    rows = torch.tensor([[5, BOS, 6, BOS], [BOS, 7, 8, 9]])
    assert document_ids(rows, BOS).tolist() == [[0, 1, 1, 2], [1, 1, 1, 1]]


@pytest.fixture(scope="module")
def tokenizer(toy_data):
    return load_tokenizer(toy_data.tokenizer)


WORDS = st.lists(st.sampled_from(["the", "import", "naïve", "日本", "€5", "x=1", "🙂", "a"]), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(documents=st.lists(WORDS, min_size=1, max_size=4))
def test_bytes_are_those_of_the_decoded_text(tokenizer, documents):
    texts = [" ".join(words) for words in documents]
    tokens = np.array([t for text in texts for t in (BOS, *tokenizer.encode(text))], dtype=np.uint16)
    decoded = "".join(tokenizer.decode(tokenizer.encode(text)) for text in texts)
    assert byte_table(tokenizer).total(tokens) == len(decoded.encode("utf-8"))


def test_byte_rules_one_by_one(tokenizer):
    table = byte_table(tokenizer)

    def count(previous, target):
        return int(table.count(torch.tensor([previous]), torch.tensor([target])))

    space, word = tokenizer.piece_to_id(SPACE), tokenizer.piece_to_id(SPACE + "the")
    byte = next(i for i in range(tokenizer.vocab_size()) if tokenizer.is_byte(i))
    assert count(byte, word) == 4 and count(BOS, word) == 3  # a space counts once, and not behind a boundary
    assert count(byte, space) == 1 and count(word, byte) == 1 and count(word, BOS) == 0


def test_tokenizer_without_a_piece_for_spaces_is_refused():
    class Spaceless:
        vocab_size = staticmethod(lambda: 2)
        is_control = is_unknown = is_unused = staticmethod(lambda token: False)
        is_byte = staticmethod(lambda token: token == 0)
        id_to_piece = staticmethod(lambda token: "a")
        piece_to_id = staticmethod(lambda piece: 3)
        unk_id = staticmethod(lambda: 3)

    with pytest.raises(InputError, match="three bytes"):
        byte_table(Spaceless())


def test_toy_is_bound_and_its_bytes_are_its_text(toy_data, tokenizer):
    found = open_dataset(toy_data.folder, toy_data.vocab)
    starts = np.flatnonzero(found.validation == BOS).tolist()
    texts = [tokenizer.decode(part[1:].tolist()) for part in np.split(found.validation, starts[1:])]
    assert found.validation_bytes == sum(len(text.encode("utf-8")) for text in texts)
    assert int(found.target_bytes(0, len(found.validation) - 1).sum()) == found.validation_bytes


def copied(toy_data, folder):
    for path in toy_data.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_another_tokenizer_is_refused(toy_data, tmp_path):
    folder = copied(toy_data, tmp_path)
    model = (folder / "tokenizer.model").read_bytes()
    (folder / "tokenizer.model").write_bytes(model + b"\0")
    with pytest.raises(InputError, match="is not the tokenizer"):
        open_dataset(folder, toy_data.vocab)


def test_changed_validation_is_refused(toy_data, tmp_path):
    folder = copied(toy_data, tmp_path)
    path = folder / "fineweb_val_000000.bin"
    raw = bytearray(path.read_bytes())
    raw[-2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(InputError, match="changed since"):
        open_dataset(folder, toy_data.vocab)


def test_wrong_vocabulary_and_missing_binding_are_said(toy_data, tmp_path):
    with pytest.raises(InputError, match=r"set model\.vocab"):
        open_dataset(toy_data.folder, 1024)
    with pytest.raises(InputError, match="pgolf data bind"):
        open_dataset(tmp_path, 512)
    with pytest.raises(InputError, match="pgolf data toy"):
        open_dataset(tmp_path / "nowhere", 512)


def test_known_split_with_another_number_of_bytes_is_refused(toy_data, tmp_path, monkeypatch):
    folder = copied(toy_data, tmp_path)
    targets = len(toy_data.validation) - 1
    monkeypatch.setitem(KNOWN_TOTALS, targets, toy_data.validation_bytes)
    assert bind(folder, folder / "tokenizer.model").validation_bytes == toy_data.validation_bytes
    monkeypatch.setitem(KNOWN_TOTALS, targets, toy_data.validation_bytes + 1)
    with pytest.raises(InputError, match="not the tokenizer that made them"):
        bind(folder, folder / "tokenizer.model")


def test_sidecar_counts_in_place_of_the_table(toy_data, tmp_path):
    folder = copied(toy_data, tmp_path)
    tokens = len(toy_data.validation)
    write_shard(folder / "fineweb_val_bytes_000000.bin", np.full(tokens, 2, dtype=np.uint16))
    found = bind(folder, folder / "tokenizer.model")
    assert found.validation_bytes == 2 * (tokens - 1)
    assert len(found.validation) == tokens and found.target_bytes(3, 5).tolist() == [2] * 5
    write_shard(folder / "fineweb_val_bytes_000000.bin", np.full(tokens - 1, 2, dtype=np.uint16))
    with pytest.raises(InputError, match="counts"):
        bind(folder, folder / "tokenizer.model")


def test_long_streams_are_counted_in_pieces():
    table = ByteTable(torch.tensor([1, 2]), torch.tensor([False, True]), torch.tensor([True, False]))
    tokens = np.random.default_rng(0).integers(0, 2, (1 << 22) + 9).astype(np.uint16)
    previous, target = tokens[:-1], tokens[1:]
    assert table.total(tokens) == int((1 + target).sum() + ((target == 1) & (previous == 1)).sum())


def test_binding_is_readable_and_carries_no_path(toy_data):
    binding = json.loads((toy_data.folder / "dataset.json").read_text())
    assert binding["tokenizer"]["file"] == "tokenizer.model"
    assert dataclasses.replace(toy_data, folder=toy_data.folder) == toy_data
