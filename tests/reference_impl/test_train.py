"""A run from start to end: stopped and resumed, on several processes, compiled, and read by those who read logs."""

import dataclasses
import multiprocessing

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[train]'")
pytest.importorskip("sentencepiece", reason="sentencepiece is not installed: pip install 'pgolf[train]'")

from typer.testing import CliRunner

import reference_impl.train as training
from auditor.cli import app
from auditor.records.parse import numbered, parse_log
from reference_impl import checkpoint
from reference_impl.config import load_preset
from reference_impl.data.dataset import bind
from reference_impl.data.loaders import make_loader
from reference_impl.data.shards import write_shard
from reference_impl.errors import InputError
from reference_impl.optim.world import World
from reference_impl.train import CHECKPOINT, LOG, MODEL, Run, loss_of, train

CPU = torch.device("cpu")
SMALL = {
    "model.layers": "3", "model.dim": "32", "model.value_embedding_layers": "1,2", "model.recur_times": "1",
    "model.recur_first": "1", "model.recur_last": "1", "train.sequence": "32", "train.micro_batches": "4",
    "train.batch_tokens": "256", "train.iterations": "8", "train.recur_at": "0.4", "train.qat_below": "0.4",
    "train.average": "swa-of-ema", "train.swa_every": "2", "train.swa_below": "0.9", "train.log_every": "2",
    "train.validate_every": "4", "train.checkpoint_every": "1", "train.warmup_steps": "1",
    "train.validate_batch_tokens": "8192",
}  # fmt: skip


def small(**changes):
    config = load_preset("toy", SMALL)
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **changes))


@pytest.fixture(scope="module")
def data(toy_data, tmp_path_factory):
    """The beginning of the toy dataset."""
    folder = tmp_path_factory.mktemp("data")
    write_shard(folder / "fineweb_train_000000.bin", toy_data.train.read(0, 20_000))
    write_shard(folder / "fineweb_val_000000.bin", toy_data.validation[:1000])
    return bind(folder, toy_data.tokenizer)


def go(config, data, out, watch=lambda share, line: None, world=None):
    out.mkdir(exist_ok=True)
    score = train(config, data, out, world or World(), CPU, watch).score
    return score, checkpoint.load(out / MODEL, CPU)["model"]


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("whole")
    return out, *go(small(), data, out)


def test_a_run_learns_and_says_so(whole):
    out, score, _ = whole
    log = (out / LOG).read_text()
    losses = [float(line.split("train_loss:")[1].split()[0]) for line in log.splitlines() if "train_loss" in line]
    assert losses[-1] < losses[0] - 0.3
    assert "layer_loop:enabled step:4" in log and "late_qat:enabled" in log and "swa:applying averaged" in log
    assert 0 < score.bpb < 5


@pytest.mark.parametrize("at", [1, 4, 7])
def test_killed_and_resumed_gives_the_same_weights(data, tmp_path, whole, at):
    class Killed(BaseException):
        pass

    def kill(share, line):
        if line.startswith(f"step {at} "):
            raise Killed

    with pytest.raises(Killed):
        go(small(), data, tmp_path, kill)
    assert checkpoint.load(tmp_path / CHECKPOINT, CPU)["step"] == at - 1 if at > 1 else True
    score, weights = go(small(), data, tmp_path)
    assert all(torch.equal(weights[name], whole[2][name]) for name in weights)
    assert score.loss == whole[1].loss


def test_a_kill_while_writing_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "a.pt", {"step": 1})

    def broken(state, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path / "a.pt", {"step": 2})
    assert checkpoint.load(tmp_path / "a.pt", CPU) == {"step": 1}


def test_another_run_in_the_folder_is_refused(data, whole):
    with pytest.raises(InputError, match=r"another train\.seed; name another folder"):
        train(small(seed=2), data, whole[0], World(), CPU, lambda share, line: None)


def test_a_broken_checkpoint_is_one_line(data, tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="is no checkpoint"):
        train(small(), data, tmp_path, World(), CPU, lambda share, line: None)


def alone(rank, size, config, data, out):
    """One of several processes."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{out}/meet", rank=rank, world_size=size)
    train(config, data, out, World(rank, size), CPU, lambda share, line: None)
    torch.distributed.destroy_process_group()


def test_two_processes_make_the_steps_of_one(data, tmp_path, whole, monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=alone, args=(rank, 2, small(), data, tmp_path)) for rank in (0, 1)]
    for process in both:
        process.start()
    for process in both:
        process.join(timeout=60)
    assert [process.exitcode for process in both] == [0, 0]
    weights = checkpoint.load(tmp_path / MODEL, CPU)["model"]
    for name, value in whole[2].items():
        torch.testing.assert_close(weights[name], value, rtol=2e-3, atol=2e-4)
    # What two processes saved, one goes on from.
    (tmp_path / MODEL).unlink()
    torch.testing.assert_close(go(small(), data, tmp_path)[1], weights, rtol=2e-3, atol=2e-4)


class Silent(World):
    """A process whose others are run one after another."""

    def sum(self, tensor):
        return tensor


@pytest.mark.parametrize("size", [1, 2, 4])
def test_processes_share_the_gradient_evenly(data, size):
    config = small()
    total, loss = None, 0.0
    for rank in range(size):
        run = Run(config, Silent(rank, size), CPU, make_loader(config.train, data.train))
        loss += run.gradients(3)
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in run.model.parameters()]
        total = own if total is None else [one + other for one, other in zip(total, own, strict=True)]
    whole = Run(config, World(), CPU, make_loader(config.train, data.train))
    torch.testing.assert_close(loss, whole.gradients(3))
    for ours, parameter in zip(total, whole.model.parameters(), strict=True):
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6)


def test_processes_that_cannot_share_are_refused(data, tmp_path):
    with pytest.raises(InputError, match="3 processes cannot share 4 micro-batches"):
        train(small(), data, tmp_path, World(0, 3), CPU, lambda share, line: None)


def test_the_clock_ends_training(data, tmp_path, monkeypatch):
    ticks = iter(range(10**6))
    monkeypatch.setattr(training.time, "perf_counter", lambda: float(next(ticks)))
    go(small(seconds=5.0, iterations=1000, warmdown_steps=2), data, tmp_path)
    assert "stopping_early: wallclock_cap train_time:5000ms step:5/1000" in (tmp_path / LOG).read_text()


def test_the_loss_is_one_graph_for_the_compiler():
    model = training.GPT(load_preset("toy", SMALL).model)
    x, y = torch.randint(1, 512, (2, 2, 16))
    options = {"recur": True, "bits": 4, "documents": True}
    compiled = torch.compile(loss_of, fullgraph=True, dynamic=False, backend="eager")
    torch.testing.assert_close(compiled(model, x, y, **options), loss_of(model, x, y, **options))


@pytest.mark.parametrize("dialect", ["steps", "rates"])
def test_the_log_is_read_by_the_parser_of_published_logs(data, tmp_path, dialect):
    score, _ = go(small(dialect=dialect, iterations=4, qat_below=0.0), data, tmp_path)
    log = (tmp_path / LOG).read_text()
    record = parse_log("train.log", numbered(log))
    run = record.runs[-1]
    final = run.scores[-1]
    assert (run.seed.value, run.steps.value, run.planned_steps) == (1337, 4, 4)
    assert run.val_tokens.value == 992
    assert final.val_bpb == pytest.approx(score.bpb, abs=1e-4)
    assert final.val_loss == pytest.approx(score.loss, abs=1e-4)
    assert not run.errors


def test_dry_run_needs_neither_data_nor_processes(monkeypatch):
    monkeypatch.setattr(torch.distributed, "init_process_group", None)
    result = CliRunner().invoke(app, ["train", "pr549", "--dry-run"])
    assert result.exit_code == 0
    assert "26,928,220" in result.output and "786,432 = 8 micro-batches of 98,304" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pr1902", "--dry-run"], "did you mean 'pr1092'?"),
        (["toy", "--env", "WARMDRON_ITERS=3500"], "did you mean 'WARMDOWN_ITERS'?"),
        (["toy", "--set", "train.sed=1"], "did you mean 'train.seed'?"),
        (["toy", "--set", "train.seed"], "--set wants NAME=VALUE"),
        (["toy"], "pgolf data toy --out toy"),
        (["toy", "--data", "nowhere"], "pgolf data toy --out nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, said):
    result = CliRunner().invoke(app, ["train", *arguments])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1 and said in result.stderr


def test_train_command_from_data_to_model(data, tmp_path):
    changed = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    result = CliRunner().invoke(
        app,
        ["train", "toy", "--data", str(data.folder), "--out", str(tmp_path / "run"), *changed, "--env", "ITERATIONS=2"],
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("val_loss ") and (tmp_path / "run" / MODEL).is_file()
