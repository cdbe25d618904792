"""The run's log, in the spelling of the published ones, so that whatever reads those reads this.

Two dialects: `steps` as in the baseline (`step:1/20000 train_loss:6.9408 train_time:50ms step_avg:49.97ms`) and `rates`
as from PR #1042 on (`1/20000 train_loss: 6.9279 train_time: 0.0m tok/s: 8656612`).
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from reference_impl.config import RunConfig
from reference_impl.data.dataset import TRAIN, VALIDATION, Dataset, files_of
from reference_impl.names import environment_of
from reference_impl.optim.schedule import Progress, limit

Say = Callable[[str], None]
"""Writes one line."""


def writer(path: Path | None) -> Say:
    """Appends lines to a file, each at once; writes nothing without one (all processes but the first)."""

    def say(line: str) -> None:
        if path is not None:
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    return say


@dataclass(frozen=True)
class Score:
    """What validation found."""

    loss: float
    """Mean over targets, nats."""
    bpb: float
    """Bits per byte."""
    seconds: float
    """How long it took."""


@dataclass(frozen=True)
class Dialect:
    """The lines of a run, as its configuration wants them spelled."""

    config: RunConfig
    say: Say

    @property
    def rates(self) -> bool:
        """Whether the later dialect is wanted."""
        return self.config.train.dialect == "rates"

    def header(self, data: Dataset, parameters: int, world_size: int, kernel: str) -> None:
        """What is run, before its first step."""
        run, train = self.config, self.config.train
        targets = (len(data.validation) - 1) // train.sequence * train.sequence
        shards = len(files_of(data.folder, TRAIN))
        self.say("=" * 100)
        self.say(f"Running Python {platform.python_version()}")
        self.say(f"Running PyTorch {torch.__version__}")
        self.say("=" * 100)
        if self.rates:
            self.say("Hyperparameters:")
            for name, value in sorted(environment_of(run).items()):
                self.say(f"  {name.lower()}: {value}")
            self.say(f"train_shards: {shards}")
            self.say(f"val_tokens: {targets}")
            self.say(f"model_params:{parameters}")
            if limit(train):
                self.say(f"gptq:reserving {train.reserve_seconds:.0f}s, effective={1000 * limit(train):.0f}ms")
            return
        self.say(f"val_bpb:enabled tokenizer_kind=sentencepiece tokenizer_path={data.tokenizer.name}")
        self.say(f"train_loader:dataset:{data.folder.name} train_shards:{shards}")
        self.say(f"val_loader:shards pattern={VALIDATION} tokens:{targets}")
        self.say(f"model_params:{parameters}")
        self.say(f"world_size:{world_size} grad_accum_steps:{train.micro_batches // world_size}")
        self.say(f"attention_mode:gqa num_heads:{run.model.heads} num_kv_heads:{run.model.kv_heads} kernel:{kernel}")
        rates = f"matrix_lr:{run.optim.matrix_lr} scalar_lr:{run.optim.scalar_lr}"
        self.say(f"tie_embeddings:True embed_lr:{run.optim.embedding_lr} head_lr:0.0 {rates}")
        self.say(
            f"train_batch_tokens:{train.batch_tokens} train_seq_len:{train.sequence} iterations:{train.iterations} "
            f"warmup_steps:{train.warmup_steps} max_wallclock_seconds:{train.seconds:.3f}"
        )
        self.say(f"seed:{train.seed}")

    def trained(self, at: Progress, loss: float) -> None:
        """One step."""
        step = f"{at.step}/{self.config.train.iterations}"
        if self.rates:
            speed = at.step * self.config.train.batch_tokens / max(at.seconds, 1e-9)
            self.say(f"{step} train_loss: {loss:.4f} train_time: {at.seconds / 60:.1f}m tok/s: {speed:.0f}")
        else:
            self.say(f"step:{step} train_loss:{loss:.4f} {clock(at)}")

    def validated(self, at: Progress, score: Score) -> None:
        """One validation in the course of training."""
        step = f"{at.step}/{self.config.train.iterations}"
        if self.rates:
            self.say(f"{step} val_loss: {score.loss:.4f} val_bpb: {score.bpb:.4f}")
        else:
            self.say(f"step:{step} val_loss:{score.loss:.4f} val_bpb:{score.bpb:.4f} {clock(at)}")

    def stopped(self, at: Progress) -> None:
        """The clock ended training."""
        space = " " if self.rates else ""
        step = f"{at.step}/{self.config.train.iterations}"
        self.say(f"stopping_early: wallclock_cap train_time:{space}{1000 * at.seconds:.0f}ms step:{space}{step}")

    def exported(self, score: Score) -> None:
        """The averaged weights, scored."""
        if self.rates:
            label, digits = "pre-quantization post-ema", 8
        else:
            label, digits = "DIAGNOSTIC post_ema", 4
        numbers = f"val_loss:{score.loss:.{digits}f} val_bpb:{score.bpb:.{digits}f}"
        self.say(f"{label} {numbers} eval_time:{1000 * score.seconds:.0f}ms")


def clock(at: Progress) -> str:
    """Time so far, and for each step."""
    return f"train_time:{1000 * at.seconds:.0f}ms step_avg:{1000 * at.seconds / max(at.step, 1):.2f}ms"
