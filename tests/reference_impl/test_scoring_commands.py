"""`pgolf export`, `evaluate` and `codec`, as they are typed."""

import re

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[train]'")
for module in ("sentencepiece", "constriction", "zstandard"):
    pytest.importorskip(module, reason=f"{module} is not installed: pip install 'pgolf[train]'")

import numpy as np
from typer.testing import CliRunner

from auditor.cli import app
from auditor.records.parse import numbered, parse_log
from reference_impl import checkpoint
from reference_impl.config import as_dict, load_preset
from reference_impl.data.dataset import bind
from reference_impl.data.shards import open_shard, write_shard
from reference_impl.evaluate.lines import label
from reference_impl.model import GPT

SMALL = {"model.layers": "2", "model.dim": "32", "model.value_embedding_layers": "1", "model.xsa_last": "2",
         "artifact.calibration_sequences": "2", "train.sequence": "32", "evaluate.sequence": "32",
         "evaluate.stride": "16", "evaluate.adapt_chunk": "64"}  # fmt: skip


@pytest.fixture(scope="module")
def data(toy_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_shard(folder / "fineweb_train_000000.bin", toy_data.train.read(0, 2000))
    write_shard(folder / "fineweb_val_000000.bin", toy_data.validation[:300])
    return bind(folder, toy_data.tokenizer)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    config = load_preset("toy", SMALL)
    path = tmp_path_factory.mktemp("run") / "model.pt"
    checkpoint.save(path, {"config": as_dict(config), "model": GPT(config.model).state_dict()})
    return path


@pytest.fixture(scope="module")
def artifact(model):
    path = model.with_name("toy.pgolf")
    assert pgolf("export", model, "--out", path).exit_code == 0
    return path


def pgolf(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_export_prints_the_sizes_that_the_limit_is_about(model, tmp_path):
    found = pgolf("export", model, "--out", tmp_path / "a", "--log", tmp_path / "log", "--set", "artifact.bits=5")
    assert found.exit_code == 0, found.output
    sizes = re.findall(
        r"^(Serialized model|Code size|Total submission size)(?: int5\+lzma)?: (\d+) bytes$", found.stdout, re.M
    )
    assert [int(size) for _, size in sizes][:2] == [
        (tmp_path / "a").stat().st_size,
        int(sizes[2][1]) - int(sizes[0][1]),
    ]
    assert (tmp_path / "log").read_text() == found.stdout


@pytest.mark.parametrize(
    ("predictor", "name"),
    [
        ("flat", "final_int6_roundtrip"), ("preset", "final_int6_sliding_window"), ("ttt", "legal_ttt"),
        ("lora", "final_int6_ttt_lora"), ("ngram", "final_int6_sliding_window_ngram"),
        ("tilt", "final_int6_sliding_window_tilt"),
    ],
)  # fmt: skip
def test_evaluate_prints_a_line_that_records_reads(artifact, data, tmp_path, predictor, name):
    log = tmp_path / "eval.log"
    found = pgolf("evaluate", artifact, "--data", data.folder, "--predictor", predictor, "--log", log)
    assert found.exit_code == 0, found.output
    short, exact = found.stdout.splitlines()
    assert short.startswith(f"{name} val_loss:") and exact.startswith(f"{name}_exact val_loss:")
    scores = parse_log("eval.log", numbered(log.read_text())).runs[-1].scores
    assert [one.val_bpb for one in scores] == [
        pytest.approx(float(short.split("val_bpb:")[1].split()[0]), abs=1e-4)
    ] * len(scores)
    assert scores


def test_weights_before_rounding_are_called_so(model, data):
    found = pgolf("evaluate", model, "--data", data.folder, "--predictor", "flat")
    assert found.stdout.startswith("DIAGNOSTIC post_ema val_loss:")
    rates = load_preset("toy", {"train.dialect": "rates"})
    assert label(rates, packed=True) == "quantized_sliding_window"


def test_codec_gives_back_the_tokens(artifact, data, tmp_path):
    common = ("--model", artifact, "--data", data.folder, "--predictor", "ngram")
    found = pgolf("codec", "encode", *common, "--tokens", 120, "--out", tmp_path / "c")
    assert found.exit_code == 0 and "120 tokens" in found.stdout, found.output
    assert pgolf("codec", "decode", tmp_path / "c", *common, "--out", tmp_path / "back.bin").exit_code == 0
    assert np.array_equal(open_shard(tmp_path / "back.bin"), data.validation[:120])


def test_codec_gives_back_the_text(artifact, data, tmp_path):
    (tmp_path / "in.txt").write_text("the value of the attribute is a list of names", "utf-8")
    common = ("--model", artifact, "--data", data.folder)
    assert pgolf("codec", "encode", tmp_path / "in.txt", *common, "--out", tmp_path / "c").exit_code == 0
    assert pgolf("codec", "decode", tmp_path / "c", *common, "--out", tmp_path / "out.txt").exit_code == 0
    assert (tmp_path / "out.txt").read_bytes() == (tmp_path / "in.txt").read_bytes()


def test_bad_input_is_one_line_and_exit_code_2(model, artifact, data, tmp_path):
    (tmp_path / "two.txt").write_text("two  spaces", "utf-8")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    where = ("--model", artifact, "--data", data.folder, "--out", tmp_path / "x")
    for words, said in (
        (("evaluate", tmp_path / "none.pt", "--data", data.folder), "there is no file"),
        (("evaluate", data.tokenizer, "--data", data.folder), "is no checkpoint"),
        (("evaluate", model, "--data", tmp_path / "none"), "pgolf data toy"),
        (("evaluate", model, "--data", data.folder, "--predictor", "slidng"), "did you mean 'sliding'?"),
        (("evaluate", model, "--data", data.folder, "--set", "evaluate.strid=1"), "did you mean 'evaluate.stride'?"),
        (("evaluate", model, "--data", data.folder, "--set", "evaluate.stride=64"), "longer than evaluate.sequence"),
        (
            ("evaluate", model, "--data", data.folder, "--predictor", "ttt", "--set", "evaluate.adapt_lr=0"),
            "--set evaluate.adapt_lr=0.002",
        ),
        (
            ("evaluate", model, "--data", data.folder, "--predictor", "sliding", "--set", "evaluate.stride=0"),
            "--set evaluate.stride=64",
        ),
        (("codec", "encode", tmp_path / "two.txt", *where), "joins white space"),
        (("codec", "encode", tmp_path / "bytes.txt", *where), "no UTF-8 text"),
        (("codec", "decode", tmp_path / "two.txt", *where), "no file of pgolf codec"),
    ):
        found = pgolf(*words)
        assert found.exit_code == 2, (words, found.output)
        assert found.stderr.count("\n") == 1 and said in found.stderr, (words, found.stderr)
