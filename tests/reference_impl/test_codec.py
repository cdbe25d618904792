"""The evaluator compresses, to the length that its score says, and its files come back bit for bit."""

import math

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[train]'")
pytest.importorskip("constriction", reason="constriction is not installed: pip install 'pgolf[train]'")

import numpy as np

from reference_impl.config import EvaluateConfig, ModelConfig
from reference_impl.errors import InputError
from reference_impl.evaluate.codec import HEADER, decode, encode
from reference_impl.evaluate.predictors import make_predictor
from reference_impl.evaluate.score import score
from reference_impl.model import GPT

SETTINGS = EvaluateConfig(
    sequence=16, stride=8, adapt="sgd", adapt_lr=0.05, adapt_chunk=32, adapt_epochs=2, ngram_weight=0.3, tilt_boost=1.0,
    tilt_order=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(2)
    return GPT(ModelConfig(vocab=64, layers=2, dim=16, heads=2, kv_heads=1, embedding_std=0.5))


@pytest.fixture(scope="module")
def tokens():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.integers(0, 64, 5)[rng.integers(0, 5, 40)] for _ in range(10)]).astype(np.uint16)


@pytest.fixture(scope="module")
def encoded(model, tokens):
    return encode(model, SETTINGS, tokens)


def test_training_and_counting_are_replayed_bit_for_bit(model, tokens, encoded):
    assert np.array_equal(decode(model, SETTINGS, encoded.content), tokens)
    assert encode(model, SETTINGS, tokens).content == encoded.content


def test_the_file_is_as_long_as_the_score(model):
    tokens = np.random.default_rng(1).integers(0, 64, 6001).astype(np.uint16)
    settings = EvaluateConfig(sequence=16, ngram_weight=0.2, ngram_order=2)
    encoded = encode(model, settings, tokens)
    foretold = float(score(make_predictor(model, settings), tokens).sum()) / math.log(2) / 8
    assert encoded.coded_bytes == pytest.approx(foretold, rel=1e-3)
    assert encoded.nats / math.log(2) / 8 == pytest.approx(foretold, rel=1e-6)


@pytest.mark.parametrize("length", [1, 2, 16, 17, 18])
def test_short_streams(model, tokens, length):
    content = encode(model, SETTINGS, tokens[:length]).content
    assert np.array_equal(decode(model, SETTINGS, content), tokens[:length])


def test_another_model_or_predictor_is_refused(model, encoded):
    other = GPT(model.config)
    for given in ((other, SETTINGS), (model, EvaluateConfig(sequence=16))):
        with pytest.raises(InputError, match="another model, predictor or PyTorch"):
            decode(*given, encoded.content)


def test_damage_never_gives_another_text(model, encoded):
    body, length, first = HEADER.size, HEADER.size - 6, HEADER.size - 2
    for at, value in ((body + 9, b"\x5a"), (body, b"\xff" * 40), (length, bytes(4)), (first, b"\xff\xff")):
        changed = encoded.content[:at] + value + encoded.content[at + len(value) :]
        with pytest.raises(InputError, match="damaged"):
            decode(model, SETTINGS, changed)
    for content in (b"", encoded.content[:20], encoded.content[:-1], b"x" * 200):
        with pytest.raises(InputError, match="no file of pgolf codec"):
            decode(model, SETTINGS, content)
