"""torchrun in the sandbox, Slurm through submitit's local executor, and a machine without what is needed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from auditor.cli import app, validating
from auditor.experiment.data import write_shard
from auditor.records import read_records
from auditor.sandbox import Unavailable, availability
from auditor.submission import open_target
from auditor.validate import machine
from auditor.validate.guard import check, find
from auditor.validate.jobs import run_here, run_slurm
from auditor.validate.model import SeedRun
from auditor.validate.plan import Plan, make_plan
from auditor.validate.session import Session
from auditor.validate.sky import task
from tests.validate.submissions import SCRIPT, submission


@pytest.fixture
def runnable() -> None:
    found = availability()
    if isinstance(found, Unavailable):
        pytest.skip(f"no sandbox: {found.reason}; {found.remedy}")
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")


def planned(folder: Path, **options: object) -> Plan:
    submission_ = open_target(str(folder), mirror=None, repo="x/y")
    return make_plan(submission_, str(folder), (7,), overrides={}, **{"toy": False, **options})  # type: ignore[arg-type]


def session(folder: Path, out: Path, plan: Plan) -> Session:
    out.mkdir()
    submission_ = open_target(str(folder), mirror=None, repo="x/y")
    return Session(plan, submission_, read_records(submission_), out)


def pgolf(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["validate", *map(str, arguments)])


def complaint(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_torchrun_runs_two_processes_on_data_that_is_mounted(tmp_path: Path, runnable: None) -> None:
    """As on GPUs, but that the miniature needs none: two ranks meet, read the data, write and are weighed."""
    data = tmp_path / "data" / "datasets" / "fineweb10B_sp256"
    data.mkdir(parents=True)
    write_shard(data / "fineweb_val_000000.bin", [1, *range(2, 250)] * 9)
    write_shard(data / "fineweb_train_000000.bin", [1, *range(250, 2, -1)] * 9)
    folder = submission(tmp_path / "mini")
    made = session(folder, tmp_path / "out", planned(folder, processes=2))
    made.layout = find(tmp_path / "data", made.plan.vocab)
    made.data = check(made.layout, None, other=True, watched=iter)
    runs: list[SeedRun] = []
    run_here(made.jobs(), lambda *said: None, lambda run, kept: runs.append(run))
    [run] = runs
    assert (run.ended, run.steps, run.val_tokens) == ("finished", 3, 2240), run.reason
    assert run.artifact_bytes == run.said_bytes
    assert "world_size:2 seed:7" in (tmp_path / "out" / "seed-7.log").read_text()
    made.take(run)
    result = json.loads((tmp_path / "out" / "validation.json").read_text())
    assert result["verdict"] == "undecided"
    assert result["not_comparable"][0].startswith("2 x unknown GPU, not 8 x H100: times and budgets are not")


def test_slurm_jobs_leave_their_results_and_are_not_run_twice(tmp_path: Path, runnable: None) -> None:
    pytest.importorskip("submitit")
    folder = submission(tmp_path / "mini")
    made = session(folder, tmp_path / "out", planned(folder, toy=True))
    told: list[tuple[SeedRun, bool]] = []
    for _ in range(2):
        run_slurm(
            made.jobs(), lambda *said: None, lambda run, kept: told.append((run, kept)),
            partition=None, cluster="local", poll_s=0.2,
        )  # fmt: skip
    (first, fresh), (second, kept) = told
    assert (first.ended, fresh, kept) == ("finished", False, True), first.reason
    assert first == second


def test_a_slurm_job_that_vanishes_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setattr("auditor.validate.jobs.on_node", dies)
    folder = submission(tmp_path / "mini")
    made = session(folder, tmp_path / "out", planned(folder, toy=True))
    run_slurm(
        made.jobs(), lambda *said: None, lambda run, kept: made.take(run), partition=None, cluster="local", poll_s=0.2
    )
    [run] = made.runs
    assert run.ended == "sandbox"
    assert run.reason is not None and "the job left no result" in run.reason
    assert made.result()["verdict"] == "undecided"


def dies(job: object) -> None:
    raise RuntimeError("the node went away")


def test_without_a_gpu_it_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "gpus", lambda: ())
    said = complaint(pgolf(submission(tmp_path / "mini"), "--data", tmp_path))
    assert "no GPU here; type --device cpu --toy" in said


def test_without_a_sandbox_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.sandbox.availability", lambda: Unavailable("it needs Linux", "use a Linux machine"))
    monkeypatch.chdir(tmp_path)
    said = complaint(pgolf(submission(tmp_path / "mini"), "--device", "cpu", "--toy"))
    assert "no sandbox: it needs Linux; remedy: use a Linux machine" in said
    assert [path.name for path in tmp_path.iterdir()] == ["mini"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--toy",), "--toy and --device cpu go together"),
        (("--seeds", "one"), "--seeds wants whole numbers"),
        (("--gpus", "3"), "--gpus wants one of 1, 2, 4, 8, not 3"),
        (("--gpus", "4"), "--gpus 4: there are 2 here"),
        ((), "--data is missing"),
        (("--data", "absent"), "there is no such folder; type: pgolf data fetch --out"),
        (("--steps", "5", "--env", "NO_VALUE"), "--env wants KEY=VALUE"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runnable: None, options: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr(machine, "gpus", lambda: ("NVIDIA H200", "NVIDIA H200"))
    assert said in complaint(pgolf(submission(tmp_path / "mini"), "--out", tmp_path / "out", *options))


def test_an_interrupt_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runnable: None) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("auditor.validate.jobs.run_here", interrupted)
    result = pgolf(submission(tmp_path / "mini"), "--device", "cpu", "--toy", "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert "the same command goes on" in result.stderr


def test_a_dry_run_gives_plan_and_cost_and_needs_nothing(tmp_path: Path) -> None:
    folder = submission(tmp_path / "mini")
    result = pgolf(folder, "--dry-run", "--price", 2, "--seeds", "1,2,3")
    assert result.exit_code == 0
    assert "seeds 1, 2, 3, one after the other" in result.stdout
    # 3 seeds, 8 GPUs, 2 * 1800 s around 2 * 660 s.
    assert "at most 32.8 GPU hours, 66 USD at 2 USD each" in result.stdout
    one = pgolf(folder, "--dry-run", "--gpus", 1, "--steps", 100).stdout
    assert "Exactly 100 steps without a wall-clock limit" in " ".join(one.split())
    assert "changed   ITERATIONS=100 MAX_WALLCLOCK_SECONDS=0" in one


def test_the_sky_task_is_yaml_that_repeats_the_command(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    folder = submission(tmp_path / 'a "folder": with # odd name')
    result = pgolf(folder, "--emit", "sky", "--seeds", "1,2", "--env", "X=it's $HOME", "--steps", "9")
    assert result.exit_code == 0
    told = yaml.safe_load(result.stdout)
    assert told["resources"]["accelerators"] == "H100:8"
    assert told["file_mounts"] == {"./submission": str(folder.resolve())}
    assert told["run"].strip().endswith("""--seeds 1,2 --env 'X=it'"'"'s $HOME' --steps 9""")
    assert task(planned(folder), ()).count("--repository") == 0
    large = submission(tmp_path / "large", SCRIPT.replace('"VOCAB_SIZE", 256', '"VOCAB_SIZE", 8192'))
    assert "--variant sp8192 --out data --shards 80 --repository" in task(planned(large), ())


@pytest.mark.parametrize(
    ("typed", "found"), [("1337,42", (1337, 42)), (" 7 ", (7,)), ("5,5,05", (5,)), ("0,1,", (0, 1))]
)
def test_seeds_are_read_as_typed(typed: str, found: tuple[int, ...]) -> None:
    assert validating.seeds_from(typed) == found
