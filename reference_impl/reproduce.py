"""A published run from data to a submission folder: seed after seed trained, packed and scored within the budgets.

Each stage of a seed leaves its file in `seed-N/` and is not done again: the checkpoints and `model.pt` of training, the
artifact `model.pgolf`, the scores in `result.json`. The folder `submission/` is made from them when all seeds are done.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from reference_impl import checkpoint
from reference_impl.artifact.export import export, open_model
from reference_impl.artifact.pack import code_bytes, write
from reference_impl.config import RunConfig, as_dict, from_table
from reference_impl.data.dataset import BINDING, Dataset, bind, open_dataset
from reference_impl.data.shards import sha256
from reference_impl.errors import InputError
from reference_impl.evaluate.lines import score_lines, size_lines
from reference_impl.evaluate.predictors import make_predictor
from reference_impl.evaluate.score import evaluate
from reference_impl.files import write_json
from reference_impl.log import Score, writer
from reference_impl.names import SETTINGS, settings_of
from reference_impl.optim.world import World, meeting
from reference_impl.progress import counting, training
from reference_impl.train import LOG, MODEL, TRAINED, Trained, train

BUDGET = 600.0
"""Seconds that the challenge gives training, and again evaluation, on eight H100."""
ARTIFACT, RESULT = "model.pgolf", "result.json"


@dataclass(frozen=True)
class Result:
    """One seed, done."""

    seed: int
    processes: int
    device: str
    steps: int
    train_seconds: float
    unrounded_bpb: float
    """Of the exported weights before rounding, in windows that do not overlap."""
    loss: float
    """The result: mean nats a token of the artifact, by the run's predictor."""
    bpb: float
    evaluate_seconds: float
    """From opening the artifact to the last token."""
    artifact_bytes: int
    code_bytes: int

    @property
    def total_bytes(self) -> int:
        """What the limit of 16,000,000 is about."""
        return self.artifact_bytes + self.code_bytes


def within_budget(config: RunConfig) -> RunConfig:
    """The run with training bounded by the challenge's clock, if it was not."""
    return replace(config, train=replace(config.train, seconds=min(config.train.seconds or BUDGET, BUDGET)))


def reproduce(config: RunConfig, data: Dataset, out: Path, world: World, device: torch.device) -> Result:
    """One seed into the folder `out`, from wherever an earlier call ended.

    Raises `InputError` when the folder holds another run, when the evaluation takes longer than its budget, and when
    the artifact is too large.
    """
    out.mkdir(parents=True, exist_ok=True)
    run = {"config": as_dict(config), "data": sha256(data.folder / BINDING)}
    if (out / RESULT).is_file():
        return earlier(out / RESULT, run)
    say = writer(out / LOG if world.rank == 0 else None)
    trained = trained_earlier(out, config)
    if trained is None:
        with training(f"seed {config.train.seed}", show=world.rank == 0) as watch:
            trained = train(config, data, out, world, device, watch)
    if world.rank == 0 and not (out / ARTIFACT).is_file():
        content = export(open_model(out / MODEL, device), data).content
        write(out / ARTIFACT, content)
        for line in size_lines(config, len(content), code_bytes()):
            say(line)
    world.wait()
    score = scored(out / ARTIFACT, data, world, device)
    for line in score_lines(config, score, packed=True):
        say(line)
    result = Result(
        seed=config.train.seed, processes=world.size, device=name_of(device), steps=trained.steps,
        train_seconds=trained.seconds, unrounded_bpb=trained.score.bpb, loss=score.loss, bpb=score.bpb,
        evaluate_seconds=score.seconds, artifact_bytes=(out / ARTIFACT).stat().st_size, code_bytes=code_bytes(),
    )  # fmt: skip
    if world.rank == 0:
        write_json(out / RESULT, {"run": run, "result": asdict(result)})
    return result


def earlier(path: Path, run: dict[str, Any]) -> Result:
    """The result of an earlier call; raises `InputError` when it is of another run or data."""
    kept = json.loads(path.read_text("utf-8"))
    if kept["run"] != json.loads(json.dumps(run)):
        raise InputError(f"{path.parent} holds a run with other settings or data; name another folder with --out")
    return Result(**kept["result"])


def trained_earlier(out: Path, config: RunConfig) -> Trained | None:
    """How training ended, if it did; raises `InputError` when it was of another run."""
    if not (out / TRAINED).is_file():
        return None
    if checkpoint.load(out / MODEL, torch.device("cpu"))["config"] != as_dict(config):
        raise InputError(f"{out / MODEL} is of a run with other settings; name another folder with --out")
    kept = json.loads((out / TRAINED).read_text("utf-8"))
    return Trained(kept["steps"], kept["seconds"], Score(**kept["score"]))


def scored(path: Path, data: Dataset, world: World, device: torch.device) -> Score:
    """The artifact's score, and how long it took in all; raises `InputError` as soon as it takes too long."""
    started = time.perf_counter()
    opened = open_model(path, device)
    predictor = make_predictor(opened.model, opened.config.evaluate, world)
    with in_time(len(data.validation) - 1, started, world) as watch:
        score = evaluate(predictor, data, watch, world=world)
    return replace(score, seconds=time.perf_counter() - started)


@contextmanager
def in_time(total: int, started: float, world: World) -> Iterator[Callable[[int], None]]:
    """Something to be told how many tokens of `total` are scored; stops all processes once the budget is spent."""
    with counting(total, "scoring", show=world.rank == 0) as watch:

        def look(done: int) -> None:
            watch(done)
            spent = world.latest(torch.tensor(time.perf_counter() - started, dtype=torch.float64))
            if spent > BUDGET:
                raise InputError(
                    f"evaluation took {spent:.0f} s for {done:,} of {total:,} tokens; {BUDGET:.0f} allowed"
                )

        yield look


def name_of(device: torch.device) -> str:
    """The hardware, as the submission names it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def from_environment(settings: Path) -> None:
    """What the script of a submission does: one seed, by the settings beside it and upstream's environment names.

    Data is read from `DATA_PATH`, and bound to `TOKENIZER_PATH` first where it is not. Raises `InputError` where one
    of them is missing, or an environment value fits no setting.
    """
    named = {name: value for name, value in os.environ.items() if name in SETTINGS}
    config = within_budget(from_table(json.loads(settings.read_text("utf-8")), settings_of(named), settings.name))
    missing = [name for name in ("DATA_PATH", "TOKENIZER_PATH") if name not in os.environ]
    if missing:
        raise InputError(f"{' and '.join(missing)} missing: the folder of token files, and the file of the tokenizer")
    with meeting() as (world, device):
        folder = Path(os.environ["DATA_PATH"])
        if world.rank == 0 and not (folder / BINDING).is_file():
            bind(folder, Path(os.environ["TOKENIZER_PATH"]))
        world.wait()
        data = open_dataset(folder, config.model.vocab)
        out = Path(os.environ.get("OUT_DIR", "."), f"seed-{config.train.seed}")
        result = reproduce(config, data, out, world, device)
        if world.rank == 0:
            print(f"val_loss:{result.loss:.8f} val_bpb:{result.bpb:.8f} bytes_total:{result.total_bytes}")
