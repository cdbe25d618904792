"""What the techniques of the model promise."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[train]'")

from reference_impl.config import ModelConfig, load_preset
from reference_impl.model import GPT, next_token_loss
from reference_impl.model.gates import HeadGate, MaskedSmearGate, SmearGate
from reference_impl.model.gpt import BOS
from reference_impl.model.hashing import ngram_buckets
from reference_impl.model.kernel import attend, flash_kernel
from reference_impl.model.recurrence import layer_order
from reference_impl.model.rotary import rotary_tables, rotate
from reference_impl.model.xsa import exclude_self

TOY = load_preset("toy").model
VARIANTS = {
    "toy": {},
    "baseline": {"smear": "none", "xsa_last": 0, "bigram_buckets": 0, "value_embedding_layers": (), "rope_dims": 0},
    "smear v2, trigrams": {"smear": "v2", "trigram_buckets": 64, "trigram_dim": 8},
    "gated, value residual": {"attention_gate": "gated", "value_residual": True},
    "dead mixing pair": {"value_residual": True, "value_residual_from": 0},
    "output gate": {"attention_gate": "output"},
    "sparse gate, skip gates": {"attention_gate": "sparse", "skip_gates": True},
    "recurrent, parallel": {"recur_times": 2, "recur_first": 1, "recur_last": 2, "parallel_from": 2},
}


def toy(**changes):
    """A small network with random weights everywhere, so that no technique is silent."""
    model = GPT(dataclasses.replace(TOY, **changes))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def tokens(*shape):
    return torch.randint(4, TOY.vocab, shape)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_no_logit_depends_on_a_later_token(changes):
    model = toy(**changes)
    before = tokens(1, 24)
    after = torch.cat((before[:, :15], tokens(1, 9)), dim=1)
    torch.testing.assert_close(model(before)[:, :15], model(after)[:, :15])
    assert not torch.equal(model(before)[:, 15:], model(after)[:, 15:])


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_every_parameter_is_trained(changes):
    model = toy(**changes)
    next_token_loss(model(tokens(2, 24)), tokens(2, 24)).backward()
    silent = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    dead = ["blocks.0.attention.value_residual.mix"] if changes.get("value_residual_from") == 0 else []
    assert silent == dead


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_half_precision_computes_the_same_more_coarsely(changes):
    exact = GPT(dataclasses.replace(TOY, **changes))
    coarse = GPT(dataclasses.replace(TOY, **changes), torch.bfloat16)
    coarse.load_state_dict(exact.state_dict())
    row = tokens(2, 24)
    logits = coarse(row)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, exact(row), atol=0.02, rtol=0.05)
    next_token_loss(logits, row).backward()
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in coarse.parameters())


def test_first_loss_is_that_of_a_uniform_guess():
    loss = next_token_loss(GPT(TOY)(tokens(4, 64)), tokens(4, 64))
    assert loss.item() == pytest.approx(torch.tensor(TOY.vocab).log().item(), abs=0.05)


def test_documents_are_read_as_if_alone():
    model = toy(smear="v2")
    first, second = tokens(1, 10), tokens(1, 14)
    first[:, 0] = second[:, 0] = BOS
    row = torch.cat((first, second), dim=1)
    model.bigram = None  # at its first position a document's bigram has the token before it
    together = model(row, document_bt=(row == BOS).cumsum(1))
    torch.testing.assert_close(together[:, 10:], model(second), atol=2e-5, rtol=1e-4)


@settings(deadline=None, max_examples=25)
@given(first=st.integers(0, 4), length=st.integers(1, 4), times=st.integers(0, 3), layers=st.integers(8, 12))
def test_layer_order_is_in_order_with_the_segment_repeated(first, length, times, layers):
    config = ModelConfig(layers=layers, recur_first=first, recur_last=first + length - 1, recur_times=times)
    encoder, decoder = layer_order(config, recur=True)
    order = encoder + decoder
    segment = set(range(first, first + length))
    assert [order.count(i) for i in range(layers)] == [1 + times * (i in segment) for i in range(layers)]
    assert len(decoder) - len(encoder) in (0, 1)
    encoder, decoder = layer_order(config, recur=False)
    assert encoder + decoder == list(range(layers))


def test_layer_order_of_pr1394():
    assert layer_order(load_preset("pr1394").model, recur=True) == (
        [0, 1, 2, 3, 4, 5, 4],
        [5, 4, 5, 6, 7, 8, 9, 10],
    )


def test_rotation_keeps_norms_and_depends_on_distance_alone():
    config = ModelConfig(rope_dims=16)
    cos, sin = rotary_tables(config, 32, torch.device("cpu"))
    q, k = torch.randn(2, 1, 1, 1, 64).expand(-1, -1, 32, -1, -1)
    turned_q, turned_k = rotate(q, cos, sin), rotate(k, cos, sin)
    torch.testing.assert_close(turned_q.norm(dim=-1), q.norm(dim=-1))
    torch.testing.assert_close(turned_q[..., 16:], q[..., 16:])
    scores = torch.einsum("bthe,bshe->ts", turned_q, turned_k)
    torch.testing.assert_close(scores.diagonal(-3), scores[3, 0].expand(29), atol=1e-4, rtol=1e-4)


def test_longer_context_slows_all_waves_but_the_first():
    config = ModelConfig(rope_train_length=16)
    short, _ = rotary_tables(config, 16, torch.device("cpu"))
    long, _ = rotary_tables(config, 32, torch.device("cpu"))
    torch.testing.assert_close(short[:, 0], long[:16, 0])
    assert (long[15, 1:] >= short[15, 1:])[-20:].all()
    assert not torch.allclose(short, long[:16])


def test_exclusive_attention_is_orthogonal_to_the_own_value():
    y, v = torch.randn(2, 5, 4, 8), torch.randn(2, 5, 2, 8)
    left = exclude_self(y, v)
    own = v.repeat_interleave(2, dim=2)
    assert (left * own).sum(-1).abs().max() < 1e-5
    torch.testing.assert_close(exclude_self(left, v), left, atol=1e-5, rtol=1e-5)


def test_buckets_are_those_of_the_formula():
    row = torch.tensor([[5, 9, 7, 7]])
    assert ngram_buckets(row, 2, 100).tolist() == [
        [99, *((36313 * b ^ 27191 * a) % 99 for a, b in ((5, 9), (9, 7), (7, 7)))]
    ]
    assert ngram_buckets(row, 3, 100).tolist()[0][2:] == [
        (36313 * c ^ 27191 * b ^ 51497 * a) % 99 for a, b, c in ((5, 9, 7), (9, 7, 7))
    ]


def test_gates_start_where_they_should():
    x = torch.randn(2, 6, 64)
    opening = {"gated": torch.sigmoid(torch.tensor(4.0)).item(), "output": 1.0, "sparse": 0.5}
    for kind, value in opening.items():
        gate = HeadGate(dataclasses.replace(TOY, attention_gate=kind))
        torch.testing.assert_close(gate(x), torch.full((2, 6, 4, 1), value))


def test_smear_looks_one_position_back_and_the_masked_one_not_over_document_starts():
    x = torch.randn(1, 4, 64)
    torch.testing.assert_close(SmearGate(64)(x)[:, 2], (x[:, 2] + x[:, 1]) / 2)
    masked = MaskedSmearGate(BOS)
    masked.scale.data.fill_(1.0)
    smeared = masked(x, torch.tensor([[BOS, 5, BOS, 6]]))
    torch.testing.assert_close(smeared[:, 2], x[:, 2])
    torch.testing.assert_close(smeared[:, 3], x[:, 3] + x[:, 2] / 2)


def test_attention_equals_its_definition():
    q, k, v = torch.randn(2, 7, 4, 8), torch.randn(2, 7, 2, 8), torch.randn(2, 7, 2, 8)
    scores = torch.einsum("bthe,bshe->bhts", q, k.repeat_interleave(2, dim=2)) / 8**0.5
    scores = scores.masked_fill(torch.ones(7, 7).triu(1).bool(), -torch.inf)
    y = torch.einsum("bhts,bshe->bthe", scores.softmax(-1), v.repeat_interleave(2, dim=2))
    torch.testing.assert_close(attend(q, k, v), y, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(attend(q, k, v, torch.zeros(2, 7)), y, atol=1e-5, rtol=1e-4)


@pytest.mark.skipif(
    flash_kernel() is None or not torch.cuda.is_available(), reason="no FlashAttention or no GPU: nothing to compare"
)
def test_flash_attention_equals_sdpa():
    shapes = ((2, 256, 8, 64), (2, 256, 4, 64), (2, 256, 4, 64))
    q, k, v = (torch.randn(shape, device="cuda", dtype=torch.bfloat16) for shape in shapes)
    one_document = torch.zeros(2, 256, dtype=torch.long, device="cuda")
    torch.testing.assert_close(attend(q, k, v), attend(q, k, v, one_document), atol=2e-2, rtol=2e-2)
