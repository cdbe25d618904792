"""From data to a submission folder, stopped and gone on with, within the budgets."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[train]'")
for needed in ("sentencepiece", "matplotlib", "zstandard"):
    pytest.importorskip(needed, reason=f"{needed} is not installed: pip install 'pgolf[train]'")

from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import reference_impl.reproduce as reproducing
from auditor.cli import app
from auditor.records.parse import numbered, parse_log
from reference_impl.config import as_dict, load_preset
from reference_impl.curves import chart, curves
from reference_impl.data.dataset import bind
from reference_impl.data.shards import write_shard
from reference_impl.errors import InputError
from reference_impl.optim.world import World
from reference_impl.reproduce import ARTIFACT, RESULT, reproduce, within_budget
from reference_impl.train import LOG, MODEL, TRAINED

CPU = torch.device("cpu")
SMALL = {
    "model.layers": "2", "model.dim": "32", "model.value_embedding_layers": "", "train.sequence": "32",
    "train.batch_tokens": "128", "train.iterations": "6", "train.validate_every": "3", "train.log_every": "1",
    "evaluate.sequence": "32", "evaluate.stride": "16", "evaluate.adapt": "sgd", "evaluate.adapt_chunk": "256",
    "artifact.calibration_sequences": "2", "artifact.compressor": "zlib",
}  # fmt: skip
CONFIG = within_budget(load_preset("toy", SMALL))


@pytest.fixture(scope="module")
def data(toy_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_shard(folder / "fineweb_train_000000.bin", toy_data.train.read(0, 5_000))
    write_shard(folder / "fineweb_val_000000.bin", toy_data.validation[:700])
    return bind(folder, toy_data.tokenizer)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("whole")
    return out, reproduce(CONFIG, data, out, World(), CPU)


def seeds(data, out, *more):
    options = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    return CliRunner().invoke(app, ["reproduce", "toy", "--data", str(data.folder), "--out", str(out), *options, *more])


def test_the_log_holds_the_run_the_sizes_and_the_score(whole):
    out, result = whole
    read = parse_log(LOG, numbered((out / LOG).read_text())).run
    assert read.score is not None
    assert read.score.val_bpb == pytest.approx(result.bpb, abs=1e-8)
    assert result.artifact_bytes == (out / ARTIFACT).stat().st_size
    assert f"Total submission size int6+zlib: {result.total_bytes} bytes" in (out / LOG).read_text()


@pytest.mark.parametrize("lost", [(RESULT,), (RESULT, ARTIFACT)])
def test_a_stage_that_is_done_is_not_done_again(data, whole, tmp_path, monkeypatch, lost):
    out, result = whole
    for name in {MODEL, TRAINED, ARTIFACT, RESULT, LOG} - set(lost):
        (tmp_path / name).write_bytes((out / name).read_bytes())
    monkeypatch.setattr(reproducing, "train", lambda *_: pytest.fail("trained again"))
    again = reproduce(CONFIG, data, tmp_path, World(), CPU)
    assert replace(again, evaluate_seconds=result.evaluate_seconds) == result


def test_a_finished_seed_is_read_and_another_run_refused(data, whole, monkeypatch):
    out, result = whole
    monkeypatch.setattr(reproducing, "scored", lambda *_: pytest.fail("scored again"))
    assert reproduce(CONFIG, data, out, World(), CPU) == result
    with pytest.raises(InputError, match="other settings"):
        reproduce(replace(CONFIG, about="another"), data, out, World(), CPU)


def test_an_evaluation_over_its_budget_is_stopped(data, whole, tmp_path, monkeypatch):
    for name in (MODEL, TRAINED, ARTIFACT):
        (tmp_path / name).write_bytes((whole[0] / name).read_bytes())
    monkeypatch.setattr(reproducing, "BUDGET", 0.0)
    with pytest.raises(InputError, match="evaluation took"):
        reproduce(CONFIG, data, tmp_path, World(), CPU)
    assert not (tmp_path / RESULT).exists()


def test_training_is_bounded_by_the_budget():
    assert within_budget(load_preset("toy")).train.seconds == 600
    assert within_budget(load_preset("pr1092")).train.seconds == 580


def test_the_command_writes_a_submission_whose_script_runs(data, tmp_path):
    done = seeds(data, tmp_path / "out", "--seeds", "1,2")
    assert done.exit_code == 0, done.output
    assert "training loss, seed 1" in done.output
    folder = tmp_path / "out" / "submission"
    claims = json.loads((folder / "submission.json").read_text())
    found = [json.loads((tmp_path / "out" / f"seed-{seed}" / RESULT).read_text())["result"] for seed in (1, 2)]
    assert claims["val_bpb"] == sum(each["bpb"] for each in found) / 2
    assert claims["bytes_total"] == max(each["artifact_bytes"] + each["code_bytes"] for each in found)
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert {"README.md", "settings.json", "train_seed1.log", "train_seed2.log"} <= {
        each.name for each in folder.iterdir()
    }
    assert json.loads((folder / "settings.json").read_text())["evaluate"] == as_dict(CONFIG)["evaluate"]

    names = {"DATA_PATH": data.folder, "TOKENIZER_PATH": data.tokenizer, "OUT_DIR": tmp_path / "own", "SEED": "1"}
    environment = {**os.environ, **{name: str(value) for name, value in names.items()}, "PYTHONPATH": ""}
    ran = subprocess.run(
        [sys.executable, "train_gpt.py"], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith(f"val_loss:{found[0]['loss']:.8f} val_bpb:{found[0]['bpb']:.8f} ")


@pytest.mark.parametrize(
    ("given", "said"), [("1,x", "--seeds wants whole numbers"), ("3,3", "names a seed twice"), ("", "--seeds wants")]
)
def test_bad_seeds_are_one_line(data, tmp_path, given, said):
    done = seeds(data, tmp_path, "--seeds", given)
    assert done.exit_code == 2
    assert said in done.stderr


def test_curves_are_read_from_both_dialects():
    steps = "step:0/9 val_loss:6.2 val_bpb:3.5 train_time:0ms\nstep:1/9 train_loss:6.1 train_time:5ms step_avg:5ms\n"
    rates = "0/9 val_loss: 6.2 val_bpb: 3.5\n1/9 train_loss: 6.1 train_time: 0.0m tok/s: 86\n"
    assert curves(steps) == curves(rates)
    assert (curves(steps).loss, curves(steps).bpb) == ([(1, 6.1)], [(0, 3.5)])


@given(st.lists(st.floats(0, 20), min_size=2, max_size=200))
def test_a_chart_fits_its_frame(values):
    lines = chart(list(enumerate(values)), "loss")
    assert len(lines) == 12
    assert max(map(len, lines)) <= 79
