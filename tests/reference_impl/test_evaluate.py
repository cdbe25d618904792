"""Every predictor obeys the rules, by construction and by experiment; what does not is caught."""

import copy
import math
import multiprocessing

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[train]'")
np = pytest.importorskip("numpy", reason="numpy is not installed: pip install 'pgolf[train]'")

from hypothesis import given, settings
from hypothesis import strategies as st

from reference_impl.config import EvaluateConfig, ModelConfig
from reference_impl.errors import InputError
from reference_impl.evaluate.checks import check_causal, check_null, check_replay, replayed_rows, rows_of
from reference_impl.evaluate.neural import AdaptingPredictor, SlidingPredictor, at_temperature
from reference_impl.evaluate.ngram import Counts, NgramPredictor, witten_bell
from reference_impl.evaluate.predictors import make_predictor
from reference_impl.evaluate.score import evaluate, score
from reference_impl.evaluate.stream import ChangedRows, IllegalError, Known, Live
from reference_impl.evaluate.windows import windows
from reference_impl.model import GPT, next_token_loss
from reference_impl.optim.world import World

VOCAB, LENGTH = 48, 16
SMALL = ModelConfig(
    vocab=VOCAB, layers=3, dim=16, heads=2, kv_heads=1, mlp_ratio=2.0, leaky_slope=0.5, orthogonal_init=True,
    xsa_last=3, smear="v1", bigram_buckets=32, bigram_dim=8, attention_gate="sparse", value_residual=True,
    value_embedding_layers=(2,), value_embedding_dim=8, recur_times=1, recur_first=1, recur_last=1,
)  # fmt: skip
SETTINGS = {
    "flat": {},
    "sliding": {"stride": 6},
    "temperature": {"stride": 6, "temperature": 0.9},
    "sgd": {"stride": 6, "adapt": "sgd", "adapt_lr": 0.05},
    "adamw": {"stride": 4, "adapt": "adamw", "adapt_lr": 0.01, "adapt_last_blocks": 1},
    "lora": {"stride": 4, "adapt": "lora", "adapt_lr": 0.01, "lora_rank": 2},
    "ngram": {"stride": 6, "ngram_weight": 0.3},
    "tilt": {"stride": 6, "tilt_boost": 2.625, "tilt_order": 1, "tilt_threshold": 0.3},
    "all": {"stride": 4, "adapt": "sgd", "adapt_lr": 0.05, "ngram_weight": 0.2, "tilt_boost": 1.0, "tilt_order": 2},
}  # fmt: skip


def config(**settings):
    return EvaluateConfig(sequence=LENGTH, adapt_chunk=24, adapt_epochs=2, **settings)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    model = GPT(SMALL)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def tokens():
    """A text of sorts: repetitive, with documents that start at token 1."""
    rng = np.random.default_rng(3)
    phrases = [rng.integers(4, VOCAB, size) for size in (3, 5, 7)]
    picked = [phrases[i] if i < 3 else np.array([1]) for i in rng.integers(0, 4, 24)]
    return np.concatenate(picked).astype(np.uint16)[:60]


def nats_of(predictor, tokens):
    """What the definition says: ask, then reveal."""
    return [-row[tokens[at]] for at, row in enumerate(rows_of(predictor, tokens), 1)]


sizes = st.tuples(st.integers(0, 90), st.integers(1, 20)).flatmap(
    lambda nt: st.tuples(st.just(nt[0]), st.just(nt[1]), st.integers(0, nt[1]))
)


@given(sizes)
def test_windows_predict_each_target_once_with_the_most_context(size):
    tokens, length, stride = size
    found = list(windows(tokens, length, stride))
    assert [t for w in found for t in range(w.first, w.end + 1)] == list(range(1, tokens))
    for window in found:
        assert window.end - window.start == min(length, tokens - 1)
        for target in range(window.first, window.end + 1):
            assert target - window.start >= min(target, length - (stride or length) + 1)


@given(sizes, st.randoms(use_true_random=False))
def test_windows_go_on_where_one_began(size, random):
    tokens, length, stride = size
    found = list(windows(tokens, length, stride))
    if found:
        at = random.randrange(len(found))
        assert list(windows(tokens, length, stride, found[at].first)) == found[at:]


@pytest.mark.parametrize(("length", "stride"), [(4, 5), (4, -1), (0, 0)])
def test_windows_that_would_skip_targets_are_refused(length, stride):
    with pytest.raises(ValueError, match="no windows"):
        list(windows(10, length, stride))


@pytest.mark.parametrize("name", SETTINGS)
class TestEveryPredictor:
    def make(self, model, name):
        return lambda tokens: make_predictor(model, config(**SETTINGS[name]))

    def test_gives_one_distribution_for_each_target(self, model, tokens, name):
        rows = list(rows_of(make_predictor(model, config(**SETTINGS[name])), tokens))
        assert len(rows) == len(tokens) - 1
        assert np.abs(np.exp(rows).sum(axis=1) - 1).max() < 1e-12

    @pytest.mark.parametrize("cut", [17, 41])
    def test_sees_nothing_of_what_follows(self, model, tokens, name, cut):
        other = np.random.default_rng(cut).integers(0, VOCAB, len(tokens) - cut).astype(np.uint16)
        check_causal(self.make(model, name), tokens, cut, other)

    def test_is_replayed_bit_for_bit_by_a_decoder(self, model, tokens, name):
        check_replay(self.make(model, name), tokens)

    def test_cannot_beat_chance_on_random_tokens(self, model, name):
        check_null(self.make(model, name), VOCAB, 250, seed=5)

    def test_scores_in_batches_as_one_by_one(self, model, tokens, name):
        made = self.make(model, name)
        nats = score(made(tokens), tokens, batch=64)
        assert not nats.isnan().any() and len(nats) == len(tokens) - 1
        np.testing.assert_allclose(nats, nats_of(made(tokens), tokens), rtol=2e-5)

    def test_leaves_the_model_as_it_was(self, model, tokens, name):
        before = copy.deepcopy(model.state_dict())
        score(make_predictor(model, config(**SETTINGS[name])), tokens)
        assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())

    @pytest.mark.parametrize("length", [2, 17, 18])
    def test_scores_short_streams(self, model, tokens, name, length):
        nats = score(make_predictor(model, config(**SETTINGS[name])), tokens[:length])
        assert len(nats) == length - 1 and bool(nats.isfinite().all())


def test_a_single_window_scores_as_training_does(model, tokens):
    x = torch.from_numpy(tokens[: LENGTH + 1].astype(np.int64))[None]
    expected = next_token_loss(model(x[:, :-1]), x[:, 1:])
    nats = score(make_predictor(model, config()), tokens[: LENGTH + 1])
    torch.testing.assert_close(nats.mean(), expected.double().detach(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", ["sgd", "adamw", "lora"])
def test_adapting_at_rate_zero_changes_no_bit(model, tokens, kind):
    still = config(stride=6)
    adapting = config(stride=6, adapt=kind, adapt_lr=0.0)
    one, two = (list(rows_of(make_predictor(model, each), tokens)) for each in (still, adapting))
    assert np.array_equal(one, two)


@pytest.mark.parametrize("kind", ["sgd", "adamw", "lora"])
def test_adapting_helps_on_what_repeats(model, kind):
    tokens = np.tile(np.arange(8, 29, dtype=np.uint16), 12)
    still = score(make_predictor(model, config(stride=8)), tokens).mean()
    settings = config(stride=8, adapt=kind, adapt_lr=0.02)
    assert score(make_predictor(model, settings), tokens).mean() < still - 0.05


@pytest.mark.parametrize("mixture", [0.0, 0.3])
def test_adapting_that_diverges_is_an_error_not_a_score(model, tokens, mixture):
    settings = config(stride=6, adapt="sgd", adapt_lr=1e38, ngram_weight=mixture)
    with pytest.raises(IllegalError, match=r"no numbers any more|sum to nan"):
        score(make_predictor(model, settings), tokens)


def test_the_last_chunk_is_not_learnt_from_and_frozen_parts_stay(model, tokens):
    settings = config(stride=4, adapt="sgd", adapt_lr=0.1, adapt_last_blocks=1)
    predictor = AdaptingPredictor(model, settings)
    seen = []
    learn = predictor.learn

    def watched(stream):
        before = copy.deepcopy(predictor.model.state_dict())
        learn(stream)
        after = predictor.model.state_dict()
        seen.append({name for name in before if not torch.equal(before[name], after[name])})

    predictor.learn = watched
    score(predictor, tokens)
    assert len(seen) == math.ceil((len(tokens) - 1) / 24)
    assert all(seen[:-1]) and not seen[-1]
    changed = set().union(*seen)
    assert "blocks.2.mlp.up.weight" in changed and "blocks.0.attention_scale" in changed
    assert not changed & {"blocks.0.mlp.up.weight", "blocks.1.attention.q.weight", "bigram.table"}


def test_low_rank_corrections_are_dropped_at_a_document(model):
    """After a document's start has been seen, the past before it is forgotten: two pasts give the same rows."""
    rng = np.random.default_rng(0)
    settings = EvaluateConfig(sequence=8, stride=8, adapt="lora", adapt_lr=0.05, adapt_chunk=8)
    tail = np.concatenate([[1], rng.integers(4, VOCAB, 23)])
    first, second = (np.concatenate([rng.integers(4, VOCAB, 24), tail]).astype(np.uint16) for _ in range(2))
    one, two = (list(rows_of(make_predictor(model, settings), each)) for each in (first, second))
    assert not np.array_equal(one[23], two[23])  # predicts the document's start itself
    assert np.array_equal(one[32:], two[32:])


def test_a_chunk_shorter_than_a_sequence_is_refused(model):
    with pytest.raises(InputError, match="adapt_chunk"):
        make_predictor(model, EvaluateConfig(sequence=16, adapt="sgd", adapt_chunk=8))


def test_witten_bell_by_hand():
    counts = Counts(range(2))
    past = np.array([0, 1, 0, 1, 0, 2, 0], dtype=np.uint16)
    counts.extend(past)
    # Without context: 0 x4, 1 x2, 2 x1, three different ones. After 0: 1 twice, 2 once, two different ones.
    low = [(4 + 3 / 4) / 10, (2 + 3 / 4) / 10, (1 + 3 / 4) / 10, (3 / 4) / 10]
    high = [2 * low[0] / 5, (2 + 2 * low[1]) / 5, (1 + 2 * low[2]) / 5, 2 * low[3] / 5]
    np.testing.assert_allclose(witten_bell(counts, past, 4), high, rtol=1e-12)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(1, 5))
def test_witten_bell_is_a_distribution_after_anything(past, order):
    counts = Counts(range(order))
    counts.extend(np.array(past, dtype=np.uint16))
    row = witten_bell(counts, np.array(past, dtype=np.uint16), 6)
    assert row.min() > 0 and abs(row.sum() - 1) < 1e-12


def test_a_hint_takes_the_same_share_from_all_others(model, tokens):
    plain, tilted = (
        list(rows_of(make_predictor(model, config(**each)), tokens)) for each in (SETTINGS["sliding"], SETTINGS["tilt"])
    )
    moved = [(p, t) for p, t in zip(plain, tilted, strict=True) if not np.array_equal(p, t)]
    assert len(moved) > 20
    for p, t in moved:
        hint = int(np.argmax(t - p))
        assert (t - p)[hint] - np.delete(t - p, hint) == pytest.approx(np.full(VOCAB - 1, 2.625))


def test_bits_per_byte_are_nats_over_the_bytes_of_all_targets(toy_data):
    class Uniform:
        def ahead(self, stream):
            network = lambda x: torch.zeros(*x.shape, toy_data.vocab)  # noqa: E731
            return stream.through(network, list(windows(stream.length, 128)))

        def learn(self, stream):
            pass

    found = evaluate(Uniform(), toy_data)
    targets = len(toy_data.validation) - 1
    assert found.loss == pytest.approx(math.log(toy_data.vocab))
    assert found.bpb == pytest.approx(math.log2(toy_data.vocab) * targets / toy_data.validation_bytes)
    assert toy_data.validation_bytes == int(toy_data.target_bytes(0, targets).sum())


# What the rules forbid, and what catches it.


class Plain:
    """A legal predictor to spoil."""

    def __init__(self, model):
        self.inner = SlidingPredictor(at_temperature(model, 1.0), LENGTH, 8)

    def ahead(self, stream):
        return self.inner.ahead(stream)

    def learn(self, stream):
        pass


class TrainsBeforeScoring(Plain):
    """PR #290: epochs over the whole validation set, then a score."""

    def __init__(self, model, tokens):
        model = copy.deepcopy(model)
        adapting = AdaptingPredictor(model, config(adapt="sgd", adapt_lr=0.05))
        score(adapting, tokens)
        super().__init__(adapting.model)


class TargetInKey(Plain):
    """PR #715: the count of (context, target) over that of the context, in one table too small for both."""

    def __init__(self, model, buckets=8):
        super().__init__(model)
        self.pairs, self.contexts, self.counted = np.zeros(buckets), np.zeros(buckets), 1

    def ahead(self, stream):
        return ChangedRows(self.inner.ahead(stream), self.mix)

    def mix(self, row, past):
        size = len(self.pairs)
        for at in range(self.counted, len(past)):
            before, token = int(past[at - 1]), int(past[at])
            self.pairs[(31 * before + token) % size] += 1
            self.contexts[before % size] += 1
        self.counted = len(past)
        before = int(past[-1])
        keys = (31 * before + np.arange(VOCAB)) % size
        cached = self.pairs[keys] / max(self.contexts[before % size], 1)
        return np.log(0.6 * np.exp(row) + 0.4 * np.minimum(cached, 1.0))


class LooksAhead(Plain):
    """A network whose position i depends on the token after it."""

    def __init__(self, model):
        def network(x):
            return model(x) + 9 * torch.nn.functional.one_hot(x.roll(-1, dims=1), VOCAB)

        self.inner = SlidingPredictor(network, LENGTH, 8)


def test_training_before_scoring_is_caught(model, tokens):
    def make(given):
        return TrainsBeforeScoring(model, given)

    with pytest.raises(IllegalError, match="changed with tokens from 40 on"):
        check_causal(make, tokens, 40, np.flip(tokens[:40]))
    with pytest.raises(IllegalError, match="a decoder finds another"):
        check_replay(make, tokens)


def test_a_target_in_the_key_is_caught(model, tokens):
    with pytest.raises(IllegalError, match="sum to"):
        score(TargetInKey(model), tokens)


def test_a_network_that_looks_ahead_is_caught(model, tokens):
    def make(given):
        return LooksAhead(model)

    with pytest.raises(IllegalError, match="changed with tokens from 12 on"):
        check_causal(make, tokens, 12, np.flip(tokens))
    with pytest.raises(IllegalError, match="a decoder finds another"):
        check_replay(make, tokens)
    with pytest.raises(IllegalError, match="random tokens cost"):
        check_null(make, VOCAB, 250, seed=5)


def test_tokens_cannot_be_had_early(model, tokens):
    stream = Known(tokens)
    rows = Plain(model).ahead(stream)
    rows.row(1)
    with pytest.raises(IllegalError, match="target 2 was asked for when 1 tokens"):
        rows.row(2)
    assert len(stream.past) == 1
    whole = stream.past if stream.past.base is None else stream.past.base
    assert not whole[1:].any()
    with pytest.raises(ValueError, match="read-only"):
        stream.past[0] = 7


class Twice(Plain):
    """Answers for the first block again, to be scored after having learnt from it."""

    def ahead(self, stream):
        self.first = getattr(self, "first", None) or stream.through(
            self.inner.network, [next(windows(stream.length, LENGTH))]
        )
        return self.first


def test_scoring_twice_is_refused(model, tokens):
    with pytest.raises(IllegalError, match="rows from target 1 were given, but 17 of"):
        score(Twice(model), tokens)


def test_a_decoder_needs_no_tokens(model, tokens):
    """What a decoder holds is what it decoded: the rows come out of an empty stream."""
    stream = Live(len(tokens), int(tokens[0]))
    row = NgramPredictor(Plain(model), VOCAB, 0.3, 4).ahead(stream).row(1)
    assert np.array_equal(row, next(replayed_rows(NgramPredictor(Plain(model), VOCAB, 0.3, 4), tokens)))


def one_of_two(rank, folder, model, settings, tokens):
    """One of two processes; each writes what it found."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    world = World(rank, 2)
    nats = score(make_predictor(model, settings, world), tokens, batch=2 * LENGTH, world=world)
    np.save(folder / f"{rank}.npy", nats.numpy())
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("name", ["sliding", "sgd", "adamw"])
def test_two_processes_find_what_one_finds(model, tokens, tmp_path, monkeypatch, name):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    settings = config(**SETTINGS[name])
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=one_of_two, args=(rank, tmp_path, model, settings, tokens)) for rank in (0, 1)]
    for process in both:
        process.start()
    for process in both:
        process.join(timeout=60)
    assert [process.exitcode for process in both] == [0, 0]
    one, two = (np.load(tmp_path / f"{rank}.npy") for rank in (0, 1))
    alone = score(make_predictor(model, settings), tokens, batch=2 * LENGTH).numpy()
    assert np.array_equal(one, two)
    # Without training the batches are the same; with it, gradients are added up in another order.
    np.testing.assert_allclose(one, alone, rtol=0 if name == "sliding" else 1e-4)
