"""The training loop.

A step is the mean gradient over `micro_batches` micro-batches, which are numbered along the run. Process r of P takes
numbers r, r + P, ... of each step; the optimiser adds up what they found. So 1, 2, 4 or 8 GPUs make the same step, and
the published settings, made for eight, hold on any of them.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.func import functional_call

from reference_impl import checkpoint
from reference_impl.config import RunConfig, as_dict
from reference_impl.data.dataset import Dataset
from reference_impl.data.loaders import Loader, document_ids, make_loader
from reference_impl.errors import InputError
from reference_impl.files import write_json
from reference_impl.log import Dialect, Score, writer
from reference_impl.model import GPT, next_token_loss
from reference_impl.model.gpt import BOS, count_parameters
from reference_impl.model.kernel import kernel_name
from reference_impl.optim.average import Averages
from reference_impl.optim.optimizer import Optimizer
from reference_impl.optim.qat import fake_quantized
from reference_impl.optim.schedule import Progress, fraction, limit, lr_scale, momentum, quantizes, recurs
from reference_impl.optim.world import World
from reference_impl.validation import validate

CHECKPOINT, MODEL, TRAINED, LOG = "checkpoint.pt", "model.pt", "trained.json", "train.log"
Watch = Callable[[float, str], None]
"""Is told the share of the run that is over, and a line on how it goes."""


def loss_of(model: GPT, x_bt: Tensor, y_bt: Tensor, *, recur: bool, bits: int, documents: bool) -> Tensor:
    """The loss of one micro-batch (a scalar); `bits` > 0 rounds the matrices on the way forward."""
    options = {"recur": recur, "document_bt": document_ids(x_bt, BOS) if documents else None}
    if bits:
        return next_token_loss(functional_call(model, fake_quantized(model, bits), (x_bt,), options), y_bt)
    return next_token_loss(model(x_bt, **options), y_bt)


@dataclass(frozen=True)
class Trained:
    """How a run ended."""

    steps: int
    seconds: float
    """Of training, validation not counted."""
    score: Score
    """Of the exported weights, before rounding."""


@dataclass
class Run:
    """Everything that changes while a model is trained."""

    config: RunConfig
    world: World
    device: torch.device
    loader: Loader
    model: GPT = field(init=False)
    optimizer: Optimizer = field(init=False)
    averages: Averages = field(init=False)
    loss_of: Callable[..., Tensor] = field(init=False)
    step: int = 0
    seconds: float = 0.0
    recur: bool = False
    quantize: bool = False

    def __post_init__(self) -> None:
        """Build the model from the seed; on a GPU in bfloat16, and compiled."""
        fast = self.device.type == "cuda"
        dtype = torch.bfloat16 if fast else torch.float32
        torch.manual_seed(self.config.train.seed)
        self.model = GPT(self.config.model, dtype).to(self.device)
        self.optimizer = Optimizer(self.model, self.config.optim, self.world, dtype)
        self.averages = Averages(self.model, self.config.train)
        self.loss_of = torch.compile(loss_of, dynamic=False, fullgraph=True) if fast else loss_of

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        return Progress(self.step, self.seconds)

    def gradients(self, step: int) -> Tensor:
        """Leave the mean gradient of this process's micro-batches in the parameters; returns the mean loss of all."""
        count = self.config.train.micro_batches
        total = torch.zeros((), device=self.device)
        bits = self.config.train.qat_bits if self.quantize else 0
        for number in range(step * count + self.world.rank, (step + 1) * count, self.world.size):
            x, y = (part.to(self.device, non_blocking=True) for part in self.loader(number))
            documents = self.config.train.documents
            loss = self.loss_of(self.model, x, y, recur=self.recur, bits=bits, documents=documents) / count
            torch.autograd.backward(loss)
            total += loss.detach()
        return self.world.sum(total)

    def advance(self) -> Tensor:
        """One step; returns its mean loss (a scalar)."""
        scale = lr_scale(self.config.train, self.progress)
        loss = self.gradients(self.step)
        self.optimizer.step(scale, momentum(self.config.optim, self.step))
        self.step += 1
        self.averages.update(self.step, scale)
        return loss

    def state(self) -> dict[str, object]:
        """What a checkpoint holds; to be called by all processes together."""
        return {
            "config": as_dict(self.config),
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "averages": self.averages.state_dict(),
            "random": checkpoint.random_state(),
        }

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; raises `InputError` when it is of another configuration."""
        state = checkpoint.load(path, self.device)
        mine, theirs = flat(as_dict(self.config)), flat(state["config"])
        other = sorted(key for key in mine if mine[key] != theirs.get(key))
        if other:
            raise InputError(f"{path} is of a run with another {', '.join(other)}; name another folder with --out")
        self.step, self.seconds = state["step"], state["seconds"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.averages.load_state_dict(state["averages"])
        checkpoint.restore_random_state(state["random"])
        self.recur = bool(self.config.model.recur_times) and recurs(self.config.train, self.progress)
        self.quantize = quantizes(self.config.train, self.progress)


def flat(table: dict[str, object]) -> dict[str, object]:
    """Nested dictionaries as one, keys joined by dots."""
    joined: dict[str, object] = {}
    for key, value in table.items():
        inner = flat(value) if isinstance(value, dict) else {"": value}
        joined |= {f"{key}.{name}".rstrip("."): one for name, one in inner.items()}
    return joined


def train(config: RunConfig, data: Dataset, out: Path, world: World, device: torch.device, watch: Watch) -> Trained:
    """Train, from the checkpoint in `out` where there is one; leaves `model.pt`, `trained.json` and
    `train.log` there.

    Raises `InputError` when the data does not fit, when the number of
    processes does not divide the micro-batches, or when `out` holds another run.
    """
    if config.train.micro_batches % world.size:
        raise InputError(f"{world.size} processes cannot share {config.train.micro_batches} micro-batches evenly")
    settings = config.train
    run = Run(config, world, device, make_loader(settings, data.train))
    dialect = Dialect(config, writer(out / LOG if world.rank == 0 else None))
    if (out / CHECKPOINT).is_file():
        run.resume(out / CHECKPOINT)
        dialect.say(f"resumed from step:{run.step}")
    else:
        if world.rank == 0:
            (out / LOG).unlink(missing_ok=True)
        dialect.header(data, count_parameters(run.model), world.size, kernel_name(device, run.model.dtype))
    warm_up(run)
    while True:
        last = run.step >= settings.iterations or bool(limit(settings) and run.seconds >= limit(settings))
        if last or (settings.validate_every and run.step % settings.validate_every == 0):
            score = validate(run.model, data, config, world, recur=run.recur)
            dialect.validated(run.progress, score)
        if last:
            break
        announce(run, dialect)
        with timed(run):
            loss = run.advance()
        if run.step <= 10 or (settings.log_every and run.step % settings.log_every == 0):
            dialect.trained(run.progress, loss.item())
        watch(fraction(settings, run.progress), f"step {run.step} loss {loss.item():.4f}")
        if settings.checkpoint_every and run.step % settings.checkpoint_every == 0:
            keep(run, out)
    if run.step < settings.iterations:
        dialect.stopped(run.progress)
    if device.type == "cuda":
        allocated, reserved = torch.cuda.max_memory_allocated() >> 20, torch.cuda.max_memory_reserved() >> 20
        dialect.say(f"peak memory allocated: {allocated} MiB reserved: {reserved} MiB")
    dialect.say(run.averages.export())
    score = validate(run.model, data, config, world, recur=True)
    dialect.exported(score)
    trained = Trained(run.step, run.seconds, score)
    if world.rank == 0:
        checkpoint.save(out / MODEL, {"config": as_dict(config), "model": run.model.state_dict()})
        write_json(out / TRAINED, asdict(trained))
    return trained


def announce(run: Run, dialect: Dialect) -> None:
    """Switch on what starts late, and say so once."""
    settings, at = run.config.train, run.progress
    if run.config.model.recur_times and not run.recur and recurs(settings, at):
        run.recur = True
        dialect.say(f"layer_loop:enabled step:{run.step} frac:{fraction(settings, at):.3f}")
    if not run.quantize and quantizes(settings, at):
        run.quantize = True
        dialect.say(f"late_qat:enabled step:{run.step} scale:{lr_scale(settings, at):.4f}")


def warm_up(run: Run) -> None:
    """Steps that compile every kernel the run will need, in front of the clock; then all is as it was."""
    if run.config.train.warmup_steps == 0:
        return
    saved = copy.deepcopy((run.model.state_dict(), run.optimizer.state_dict()))
    switches = run.recur, run.quantize
    recurrences = (False, True) if run.config.model.recur_times else (False,)
    roundings = (False, True) if run.config.train.qat_below else (False,)
    for run.recur, run.quantize in [(recur, rounding) for recur in recurrences for rounding in roundings]:
        for step in range(run.config.train.warmup_steps):
            run.gradients(step)
            run.optimizer.step(1.0, run.config.optim.momentum)
    run.recur, run.quantize = switches
    run.model.load_state_dict(saved[0])
    run.optimizer.load_state_dict(saved[1])


@contextmanager
def timed(run: Run) -> Iterator[None]:
    """Count a step's time, the slowest process's, so that all stop at the same step."""
    started = time.perf_counter()
    yield
    if run.device.type == "cuda":
        torch.cuda.synchronize()
    spent = torch.tensor(run.seconds + time.perf_counter() - started, dtype=torch.float64, device=run.device)
    run.seconds = run.world.latest(spent)


def keep(run: Run, out: Path) -> None:
    """Write a checkpoint; its time is not counted."""
    state = run.state()
    if run.world.rank == 0:
        checkpoint.save(out / CHECKPOINT, state)
