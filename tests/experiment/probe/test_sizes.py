"""Toy sizes: smaller, never larger, and off stays off."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from auditor.experiment.probe.sizes import toy_literals, toy_sizes

NAMES = (
    "VOCAB_SIZE", "ITERATIONS", "TRAIN_SEQ_LEN", "EVAL_STRIDE", "TTT_CHUNK_TOKENS", "TTT_EPOCHS", "SLOT_STEPS",
    "NGRAM_BUCKETS", "EVAL_BATCH_SEQS", "GPTQ_CALIB_BATCHES", "TRAIN_BATCH_TOKENS", "PHASED_TTT_PREFIX_DOCS",
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 1 << 30)))
def test_sizes_only_shrink_and_zero_stays_zero(values: dict[str, int]) -> None:
    found = toy_sizes({name: str(value) for name, value in values.items()})
    for name, value in values.items():
        assert found.get(name, value) <= max(value, 64 if name == "NGRAM_BUCKETS" else value)
        assert (found.get(name, 0) == 0) == (value == 0)


def test_hash_tables_are_as_full_as_at_full_size() -> None:
    assert toy_sizes({"NGRAM_BUCKETS": "4194304"})["NGRAM_BUCKETS"] == 256
    assert toy_sizes({"NGRAM_EVAL_BUCKETS": "4_000_000"})["NGRAM_EVAL_BUCKETS"] == 132


def test_heads_keep_the_dimensions_that_partial_rotary_embedding_needs() -> None:
    assert toy_sizes({"MODEL_DIM": "512", "NUM_HEADS": "8", "ROPE_DIMS": "16"})["MODEL_DIM"] == 128
    assert toy_sizes({"MODEL_DIM": "512", "NUM_HEADS": "8", "ROPE_DIMS": "32"})["MODEL_DIM"] == 256


def test_names_that_count_nothing_are_left() -> None:
    assert set(toy_sizes({"SEED": "1337", "MATRIX_LR": "0.02", "TTT_ENABLED": "1", "MUON_BACKEND_STEPS": "5"})) == {
        "MODEL_DIM"
    }


def test_a_literal_is_a_size_where_no_setting_says_otherwise() -> None:
    text = "class H:\n    ITERATIONS = 20000\n    train_seq_len = 1024\n"
    found = toy_sizes({"TRAIN_SEQ_LEN": "32"}, text)
    assert (found["ITERATIONS"], found["TRAIN_SEQ_LEN"]) == (3, 32)


def test_literals_in_functions() -> None:
    text = "def f(num_buckets=1 << 22, seq_len=2048, rows=1 << 22):\n    BIGRAM_BUCKETS = 10240\n"
    assert toy_literals(text) == {"NUM_BUCKETS": 256, "SEQ_LEN": 64}


def test_chunks_of_a_sequence_stay_shorter_than_the_sequence() -> None:
    found = toy_sizes({"TTT_CHUNK_SIZE": "256", "TTT_EVAL_SEQ_LEN": "1024", "TTT_CHUNK_TOKENS": "32768"})
    assert (found["TTT_CHUNK_SIZE"], found["TTT_EVAL_SEQ_LEN"], found["TTT_CHUNK_TOKENS"]) == (32, 64, 256)


def test_what_divides_the_width_still_does() -> None:
    assert toy_sizes({"MODEL_DIM": "528", "NUM_HEADS": "4"})["MODEL_DIM"] % 12 == 0
    assert toy_sizes({"MODEL_DIM": "496", "NUM_HEADS": "8"})["MODEL_DIM"] == 128
