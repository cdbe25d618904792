"""From a trained model to its artifact, and from either kind of file to a model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from reference_impl import checkpoint
from reference_impl.artifact.calibrate import hessians, own_text
from reference_impl.artifact.pack import MAGIC, Compact, make_compact, model_of, pack, unpack
from reference_impl.config import RunConfig, as_dict, from_table
from reference_impl.data.dataset import Dataset
from reference_impl.data.loaders import make_loader
from reference_impl.errors import InputError
from reference_impl.model import GPT

BATCH = 16
"""Sequences that are calibrated with at a time."""


@dataclass(frozen=True)
class Trained:
    """A model with the run it comes from."""

    config: RunConfig
    model: GPT
    packed: bool = False
    """Whether it was read from an artifact."""


def open_model(path: Path, device: torch.device, settings: Mapping[str, str] | None = None) -> Trained:
    """A `model.pt` or `checkpoint.pt` of a run, or an artifact, with overrides of the run's settings.

    Raises `InputError` for any other file.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}; to train a model type: pgolf train PRESET --data DIR")
    with path.open("rb") as file:
        packed = file.read(len(MAGIC)) == MAGIC
    if packed:
        config, compact = unpack(path.read_bytes(), str(path))
        table, weights = as_dict(config), compact.dense()
    else:
        state = checkpoint.load(path, torch.device("cpu"))
        if not isinstance(state, dict) or not {"config", "model"} <= state.keys():
            raise InputError(f"{path} holds no model of a run")
        table, weights = state["config"], state["model"]
    config = from_table(table, settings)
    return Trained(config, model_of(config, weights, device), packed)


@dataclass(frozen=True)
class Exported:
    """An artifact, and what it cost."""

    content: bytes
    compact: Compact
    seconds: float
    """Of calibration."""


def export(trained: Trained, data: Dataset | None) -> Exported:
    """Round and pack a model.

    `data` is needed to calibrate on training data, whose time counts as training: raises `InputError` without it, and
    when it took longer than the run reserved.
    """
    settings = trained.config.artifact
    started = time.perf_counter()
    found = hessians(trained.model, calibration(trained, data)) if settings.rounding == "gptq" else {}
    seconds = time.perf_counter() - started
    reserved = trained.config.train.reserve_seconds
    if found and settings.calibration == "train" and trained.config.train.seconds and seconds > reserved:
        raise InputError(
            f"calibration on training data took {seconds:.1f} s, and training reserved {reserved:g}: train with a "
            "larger train.reserve_seconds, or set artifact.calibration=self"
        )
    compact = make_compact(trained.model.state_dict(), found, settings)
    return Exported(pack(compact, trained.config), compact, seconds)


def calibration(trained: Trained, data: Dataset | None) -> list[Tensor]:
    """What GPTQ looks at, as batches (b, t)."""
    settings, train = trained.config.artifact, trained.config.train
    if settings.calibration == "self":
        text = own_text(trained.model, settings.calibration_sequences, train.sequence, train.seed)
        return list(torch.split(text, BATCH))
    if data is None:
        raise InputError("artifact.calibration=train needs the training data: name it with --data")
    loader = make_loader(train, data.train)
    batches: list[Tensor] = []
    have = 0
    while have < settings.calibration_sequences:
        batches.append(loader(len(batches))[0][: settings.calibration_sequences - have])
        have += len(batches[-1])
    return batches
