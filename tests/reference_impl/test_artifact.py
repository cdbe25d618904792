"""Rounding, packing, the limit, and what comes back."""

import dataclasses
import json
import struct

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[train]'")
pytest.importorskip("zstandard", reason="zstandard is not installed: pip install 'pgolf[train]'")

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_impl import checkpoint
from reference_impl.artifact import pack as packing
from reference_impl.artifact.calibrate import hessians, own_text
from reference_impl.artifact.compress import METHODS, compress, decompress, shuffle, unshuffle
from reference_impl.artifact.export import Trained, export, open_model
from reference_impl.artifact.pack import LIMIT, bits_of, code_bytes, make_compact, pack, unpack, write
from reference_impl.artifact.rounding import gptq, levels, low_rank, nearest, row_scales, weighted_error
from reference_impl.config import ArtifactConfig, as_dict, load_preset
from reference_impl.errors import InputError
from reference_impl.model import GPT
from reference_impl.optim.qat import round_rows

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained():
    """A toy model whose zeroed matrices are not zero."""
    torch.manual_seed(4)
    config = load_preset("toy", {"artifact.calibration_sequences": "8", "train.sequence": "64"})
    model = GPT(config.model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return Trained(config, model)


@pytest.fixture(scope="module")
def seen(trained):
    return hessians(trained.model, [own_text(trained.model, 8, 48, seed=0)])


def changed(trained, **changes):
    config = dataclasses.replace(trained.config, artifact=dataclasses.replace(trained.config.artifact, **changes))
    return Trained(config, trained.model)


@pytest.mark.parametrize("clip", ["max", "quantile", "search", "sigmas"])
@pytest.mark.parametrize("bits", [4, 5, 6, 8])
def test_nearest_is_off_by_at_most_half_a_step(clip, bits):
    weight = torch.randn(7, 300)
    scales = row_scales(weight, bits, ArtifactConfig(clip=clip, clip_sigmas=6.0))
    rounded = nearest(weight, scales, bits)
    top = levels(bits) * scales.float()[:, None]
    assert rounded.codes.abs().max() <= levels(bits)
    error = (weight.clamp(-top, top) - rounded.dense()).abs()
    assert (error <= 0.5001 * scales.float()[:, None]).all()


def test_the_largest_clip_rounds_as_training_did():
    weight = torch.randn(5, 64)
    exported = nearest(weight, row_scales(weight, 6, ArtifactConfig(clip="max")), 6).dense()
    difference = (exported - round_rows(weight, 6)).abs()  # the stored scale has 11 bits
    assert (difference < 2e-3 * weight.abs().max()).float().mean() > 0.98


def test_searching_the_clip_is_never_worse_than_the_largest_magnitude():
    weight = torch.randn(20, 4000)
    errors = {
        clip: (nearest(weight, row_scales(weight, 5, ArtifactConfig(clip=clip)), 5).dense() - weight).square().sum(1)
        for clip in ("max", "search")
    }
    assert (errors["search"] <= errors["max"]).all() and errors["search"].sum() < errors["max"].sum()


def test_rows_of_zeros_stay_zeros():
    weight = torch.zeros(3, 10)
    assert not nearest(weight, row_scales(weight, 6, ArtifactConfig()), 6).dense().any()


@pytest.mark.parametrize("bits", [4, 5, 6])
def test_gptq_beats_nearest_on_every_matrix(trained, seen, bits):
    names = [n for n, v in trained.model.named_parameters() if bits_of(n, v, ArtifactConfig()) and n in seen]
    assert len(names) == 4 * 6 + 1  # the blocks' matrices and the embedding; the projections are too small
    for name in names:
        weight = trained.model.state_dict()[name]
        scales = row_scales(weight, bits, ArtifactConfig(clip="max"))
        ours = weighted_error(weight, gptq(weight, seen[name], scales, bits).dense(), seen[name])
        plain = weighted_error(weight, nearest(weight, scales, bits).dense(), seen[name])
        assert ours < plain, name


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12))
def test_gptq_is_the_textbook_recursion(seed, columns):
    """Column by column with the inverse of what is left, as in optimal brain surgery: no factorisation at all."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(3, columns, generator=generator)
    x = torch.randn(40, columns, generator=generator) @ torch.randn(columns, columns, generator=generator)
    hessian = (x.T @ x).float()
    scales = row_scales(weight, 3, ArtifactConfig(clip="max"))
    damped = hessian.double() + 0.01 * hessian.double().diagonal().mean() * torch.eye(columns)
    order = damped.diagonal().argsort(descending=True, stable=True).tolist()
    left, codes = weight.double().clone(), torch.zeros(3, columns, dtype=torch.int8)
    for at, column in enumerate(order):
        rest = order[at:]
        inverse = torch.linalg.inv(damped[rest][:, rest])
        code = (left[:, column] / scales.double()).round().clamp(-3, 3)
        codes[:, column] = code.to(torch.int8)
        error = (left[:, column] - code * scales.double()) / inverse[0, 0]
        left[:, rest] -= error[:, None] * inverse[0]
    assert (gptq(weight, hessian, scales, 3).codes == codes).float().mean() > 0.99


def test_hessians_are_of_what_each_layer_reads(trained):
    tokens = torch.randint(1, 512, (2, 10))
    found = hessians(trained.model, [tokens, tokens])
    hidden = trained.model.hidden(tokens).detach().flatten(0, 1)
    torch.testing.assert_close(found["embedding"], 2 * hidden.T @ hidden, rtol=1e-4, atol=1e-3)
    assert found["blocks.0.mlp.down.weight"].shape == (192, 192)


def test_unused_inputs_are_dropped():
    weight, x = torch.randn(4, 6), torch.randn(30, 6)
    x[:, 2] = 0
    rounded = gptq(weight, x.T @ x, row_scales(weight, 6, ArtifactConfig()), 6)
    assert not rounded.codes[:, 2].any()


def test_low_rank_corrections_remove_what_they_can():
    exact = torch.randn(12, 2) @ torch.randn(2, 20)
    torch.testing.assert_close(low_rank(exact, 2).dense(), exact, rtol=0, atol=0.05 * float(exact.abs().max()))
    noise = torch.randn(12, 20)
    assert (noise - low_rank(noise, 3).dense()).norm() < noise.norm()


def test_the_model_makes_up_the_same_text_from_the_same_seed(trained):
    one, two, other = (own_text(trained.model, 2, 12, seed) for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other) and (one[:, 0] == 1).all()


@pytest.mark.parametrize("method", METHODS)
def test_compressors_give_back_what_they_got(method):
    content = np.random.default_rng(0).integers(0, 5, 5000).astype(np.uint8).tobytes()
    packed = compress(content, method)
    assert packed == compress(content, method) and len(packed) < len(content)
    assert decompress(packed, method) == content
    with pytest.raises(InputError, match="damaged"):
        decompress(b"\xff\x01" + packed[7:], method)


@given(st.lists(st.integers(0, 2**16 - 1), max_size=20), st.sampled_from(["<u2", "i1", "<u4"]))
def test_shuffling_is_undone(values, dtype):
    array = np.array(values, dtype=np.uint32).astype(dtype)
    assert np.array_equal(unshuffle(shuffle(array), np.dtype(dtype)), array)


@pytest.mark.parametrize(
    "changes",
    [
        {"rounding": "nearest", "clip": "max", "compressor": "zlib"},
        {"low_rank": 4, "clip": "sigmas", "compressor": "brotli"},
        {"bits": 4, "embedding_bits": 7, "compressor": "zstd"},
    ],
)
def test_the_loaded_model_is_the_packed_one_bit_for_bit(trained, tmp_path, changes):
    exported = export(changed(trained, **changes), None)
    assert exported.content == export(changed(trained, **changes), None).content
    write(tmp_path / "model.pgolf", exported.content)
    loaded = open_model(tmp_path / "model.pgolf", CPU)
    assert loaded.config == changed(trained, **changes).config
    for name, value in exported.compact.dense().items():
        assert torch.equal(loaded.model.state_dict()[name], value), name
    tokens = torch.randint(1, 512, (2, 24))
    difference = loaded.model(tokens) - trained.model(tokens)
    assert 0 < difference.abs().max() < 3
    assert pack(unpack(exported.content)[1], loaded.config) == exported.content


def test_fewer_bits_take_fewer_bytes_and_corrections_lower_the_error(trained):
    sizes = [len(export(changed(trained, bits=bits, rounding="nearest"), None).content) for bits in (4, 6, 8)]
    assert sizes == sorted(sizes) and sizes[0] < 0.75 * sizes[2]
    weights = trained.model.state_dict()
    settings = ArtifactConfig(bits=4, rounding="nearest")
    plain = make_compact(weights, {}, settings)
    mended = make_compact(weights, {}, dataclasses.replace(settings, low_rank=4, low_rank_matrices=2))
    assert len(mended.corrections) == 2
    for name in mended.corrections:
        assert (mended.dense()[name] - weights[name]).norm() < (plain.dense()[name] - weights[name]).norm()


def test_the_limit_counts_the_code_to_the_byte(tmp_path, monkeypatch):
    room = LIMIT - code_bytes()
    assert LIMIT == 16_000_000 and 50_000 < code_bytes() < 500_000
    write(tmp_path / "fits", bytes(room))
    assert (tmp_path / "fits").stat().st_size == room
    with pytest.raises(InputError, match=r": 1 over the limit of 16,000,000"):
        write(tmp_path / "over", bytes(room + 1))
    assert not (tmp_path / "over").exists()


def test_calibration_on_training_data_belongs_to_training(trained, toy_data):
    on_data = changed(trained, calibration="train")
    with pytest.raises(InputError, match="--data"):
        export(on_data, None)
    assert export(on_data, toy_data).content != export(trained, None).content
    timed = dataclasses.replace(on_data.config, train=dataclasses.replace(on_data.config.train, seconds=600.0))
    with pytest.raises(InputError, match=r"training reserved 0: .*reserve_seconds"):
        export(Trained(timed, trained.model), toy_data)


def test_models_of_both_kinds_are_opened_and_nothing_else(trained, tmp_path):
    checkpoint.save(tmp_path / "model.pt", {"config": as_dict(trained.config), "model": trained.model.state_dict()})
    opened = open_model(tmp_path / "model.pt", CPU, {"evaluate.stride": "32"})
    assert opened.config.evaluate.stride == 32
    assert torch.equal(opened.model.embedding, trained.model.embedding)
    (tmp_path / "other").write_bytes(b"something else")
    checkpoint.save(tmp_path / "half.pt", {"model": {}})
    for name, said in (("none", "there is no file"), ("other", "no checkpoint"), ("half.pt", "no model of a run")):
        with pytest.raises(InputError, match=said):
            open_model(tmp_path / name, CPU)


def test_damaged_artifacts_are_one_line(trained):
    content = export(changed(trained, rounding="nearest", compressor="zlib"), None).content
    header = json.dumps({"config": as_dict(trained.config), "arrays": [["codes", "embedding", "i1", [9, 9]]]}).encode()
    forged = packing.MAGIC + b"\0" + compress(struct.pack("<I", len(header)) + header, "zlib")
    for broken in (content[:5], content[:-9], content[:9] + b"zz" + content[11:], forged, packing.MAGIC + b"\x09"):
        with pytest.raises(InputError, match=r"damaged|no artifact"):
            unpack(broken)
