"""Optimisers, schedules, averages, and training through the quantiser."""

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[train]'")

from reference_impl.config import OptimConfig, TrainConfig, load_preset
from reference_impl.model import GPT, next_token_loss
from reference_impl.optim.average import Averages
from reference_impl.optim.muon import Muon
from reference_impl.optim.optimizer import Optimizer, assign
from reference_impl.optim.orthogonal import POLAR_EXPRESS, QUINTIC, orthogonalize
from reference_impl.optim.qat import fake_quantized, round_rows
from reference_impl.optim.schedule import Progress, lr_scale, momentum, quantizes, recurs
from reference_impl.optim.world import World

TOY = load_preset("toy")


@pytest.mark.parametrize(("steps", "low", "high"), [(QUINTIC, 0.65, 1.25), (POLAR_EXPRESS, 0.85, 1.15)])
@pytest.mark.parametrize("shape", [(2, 32, 32), (1, 16, 48), (3, 48, 16)])
def test_singular_values_come_near_one_and_vectors_stay(steps, low, high, shape):
    u, _, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    spectrum = torch.linspace(1.0, 0.05, u.size(-1))
    matrix = u * spectrum @ v
    found = u.mT @ orthogonalize(matrix, steps, torch.float32) @ v.mT
    assert low < found.diagonal(dim1=-2, dim2=-1).min() and found.diagonal(dim1=-2, dim2=-1).max() < high
    assert (found - torch.diag_embed(found.diagonal(dim1=-2, dim2=-1))).abs().max() < 1e-3


@pytest.mark.parametrize("shape", [(24, 48), (48, 16)])
def test_muon_is_that_of_torch_at_constant_momentum(shape):
    ours, theirs = (torch.nn.Parameter(torch.ones(shape)) for _ in range(2))
    config = OptimConfig(matrix_decay=0.1)
    muon = Muon([ours], config, World(), torch.bfloat16)
    oracle = torch.optim.Muon([theirs], lr=0.05, weight_decay=0.1, momentum=0.9, adjust_lr_fn="original")
    for _ in range(10):
        ours.grad = theirs.grad = torch.randn(shape)
        muon.start()
        muon.squared_norm()
        muon.step(0.05, 0.9, 1.0)
        oracle.step()
    assert (ours - theirs).norm() / (ours - 1).norm() < 0.02  # both round to bfloat16


def test_row_normalised_muon_gives_all_rows_the_same_say():
    matrix = torch.nn.Parameter(torch.zeros(4, 8))
    muon = Muon([matrix], OptimConfig(row_normalize=True), World(), torch.float32)
    gradient = torch.randn(4, 8)
    matrix.grad = gradient.clone()
    muon.start()
    muon.squared_norm()
    muon.step(1.0, 0.9, 1.0)
    once = matrix.detach().clone()
    again = torch.nn.Parameter(torch.zeros(4, 8))
    other = Muon([again], OptimConfig(row_normalize=True), World(), torch.float32)
    again.grad = gradient * torch.tensor([1.0, 10.0, 100.0, 0.1])[:, None]
    other.start()
    other.squared_norm()
    other.step(1.0, 0.9, 1.0)
    torch.testing.assert_close(again.detach(), once, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["baseline", "pr290", "pr490", "pr549", "pr1493"])
def test_every_parameter_has_one_optimizer(name):
    config = load_preset(name)
    with torch.device("meta"):
        model = GPT(config.model)
    groups = assign(model, config.optim)
    assigned = [id(parameter) for group in groups.values() for parameter in group]
    assert sorted(assigned) == sorted(id(parameter) for parameter in model.parameters())
    outside = [m for m in groups["matrices"] if id(m) not in {id(p) for p in model.blocks.parameters()}]
    assert len(outside) == (1 if name in ("pr290", "pr490") else 0)  # the projection of the hashed bigrams
    assert len(groups["matrices"]) >= 6 * config.model.layers


def test_clipping_bounds_the_step_and_reports_the_norm():
    model = GPT(TOY.model)
    optimizer = Optimizer(model, dataclasses.replace(TOY.optim, clip_norm=0.01), World(), torch.float32)
    rows = torch.randint(0, 512, (2, 17))
    (100 * next_token_loss(model(rows[:, :-1]), rows[:, 1:])).backward()
    whole = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm()
    torch.testing.assert_close(optimizer.step(1.0, 0.9), whole, rtol=1e-4, atol=0)
    clipped = torch.cat([stack.momentum.flatten() for stack in optimizer.muon.stacks]).norm()
    assert clipped <= 0.0101


def test_learning_rate_is_one_then_falls_to_zero():
    steps = TrainConfig(seconds=0.0, iterations=100, warmdown_steps=40)
    scales = [lr_scale(steps, Progress(step, 0.0)) for step in range(101)]
    assert scales[:61] == [1.0] * 61
    assert scales[80] == 0.5 and scales[100] == 0.0
    clock = TrainConfig(seconds=100.0, reserve_seconds=20.0, warmdown_steps=40)
    assert lr_scale(clock, Progress(0, 0.0)) == 1.0
    assert lr_scale(clock, Progress(40, 40.0)) == 1.0
    assert lr_scale(clock, Progress(60, 60.0)) == 0.5
    share = TrainConfig(seconds=100.0, warmdown_fraction=0.5, min_lr=0.1)
    assert [lr_scale(share, Progress(1, s)) for s in (50.0, 75.0, 99.0)] == [1.0, 0.5, 0.1]


@settings(max_examples=50)
@given(st.lists(st.floats(0.0, 700.0), min_size=2, max_size=30))
def test_learning_rate_never_rises_while_steps_take_equally_long(times):
    config = TrainConfig(seconds=600.0, warmdown_steps=1200)
    scales = [lr_scale(config, Progress(int(seconds * 10), seconds)) for seconds in sorted(times)]
    assert all(0.0 <= later <= earlier + 0.02 for earlier, later in pairwise(scales))


def test_momentum_warms_up():
    assert [momentum(OptimConfig(), step) for step in (0, 250, 500, 900)] == [0.85, pytest.approx(0.9), 0.95, 0.95]


def test_what_starts_late_starts_late():
    config = TrainConfig(seconds=0.0, iterations=100, warmdown_steps=100, recur_at=0.5, qat_below=0.15)
    assert [recurs(config, Progress(step, 0.0)) for step in (0, 49, 50)] == [False, False, True]
    assert [quantizes(config, Progress(step, 0.0)) for step in (0, 84, 86)] == [False, False, True]


def test_rounded_rows_have_few_values_and_keep_the_largest():
    rounded = round_rows(torch.randn(5, 4000), 4)
    assert all(10 <= len(row.unique()) <= 15 for row in rounded)
    row = torch.tensor([[1.0, -7.0, 0.4]])
    torch.testing.assert_close(round_rows(row, 4), torch.tensor([[1.0, -7.0, 0.0]]))


def test_training_through_the_quantiser_changes_loss_and_gradients_of_every_matrix():
    model = GPT(TOY.model)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    rows = torch.randint(0, 512, (2, 33))
    results = []
    for rounded in (dict(model.named_parameters()), fake_quantized(model, 3)):
        loss = next_token_loss(torch.func.functional_call(model, rounded, (rows[:, :-1],)), rows[:, 1:])
        model.zero_grad()
        loss.backward()
        results.append((loss.item(), {name: p.grad.clone() for name, p in model.named_parameters()}))
    (plain, gradients), (quantised, through) = results
    assert abs(plain - quantised) > 1e-3
    assert all(through[name].abs().max() > 0 and not torch.equal(through[name], gradients[name]) for name in gradients)
    matrices = [
        name for name, value in fake_quantized(model, 3).items() if value is not dict(model.named_parameters())[name]
    ]
    assert len(matrices) == 6 * TOY.model.layers


def averaged(kind, **changes):
    """Average of a single weight that takes the values 0, 1, 2, ... 10."""
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.zero_()
    averages = Averages(model, TrainConfig(average=kind, ema_decay=0.5, swa_every=2, swa_below=0.5, **changes))
    for step in range(1, 11):
        model.weight.data.fill_(step)
        averages.update(step, lr_scale=1.0 - step / 10)
    return averages.export(), model.weight.item()


def test_averages_are_applied():
    ema = sum(0.5 ** (11 - step) * step for step in range(1, 11))
    assert averaged("none") == ("average:none, keeping the last weights", 10.0)
    assert averaged("ema") == ("ema:applying EMA weights", pytest.approx(ema))
    assert averaged("swa") == ("swa:applying averaged 3 checkpoints", pytest.approx((6 + 8 + 10) / 3))
    said, value = averaged("swa-of-ema")
    assert said == "swa:applying averaged 3 checkpoints" and 6 < value < (6 + 8 + 10) / 3
