"""A run on disk: written whole or not at all, and enough to go on exactly where it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from reference_impl.errors import InputError


def save(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and texts; a kill at any moment leaves the earlier file or the new one."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Read what `save` wrote, running no code from it; raises `InputError` when it is something else."""
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # whatever the bytes make of the reader
        raise InputError(f"{path} is no checkpoint of a run: {str(error).splitlines()[0]}") from None
    return state


def random_state() -> dict[str, torch.Tensor]:
    """The state of PyTorch's generators."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict[str, torch.Tensor]) -> None:
    """Go on with the numbers that would have come next."""
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
