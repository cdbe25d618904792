"""Averages of the weights along the run: what is exported in place of the last ones.

Both are PyTorch's `AveragedModel`. EMA (PR #287) starts from the initial weights; SWA (arXiv 1803.05407; PR #198) is
the plain mean of snapshots taken while the learning rate is low, of the weights or of their EMA (PR #715).
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from reference_impl.config import TrainConfig


class Averages:
    """The averages that a run keeps; `export` puts the chosen one into the model."""

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.config, self.model = config, model
        kinds = {"none": (), "ema": ("ema",), "swa": ("swa",), "swa-of-ema": ("ema", "swa")}[config.average]
        decay = get_ema_multi_avg_fn(config.ema_decay)  # type: ignore[no-untyped-call]
        self.ema = AveragedModel(model, multi_avg_fn=decay) if "ema" in kinds else None
        self.swa = AveragedModel(model) if "swa" in kinds else None
        if self.ema is not None:
            self.ema.update_parameters(model)

    def update(self, step: int, lr_scale: float) -> bool:
        """After each step (the first is 1); tells whether SWA took a snapshot."""
        if self.ema is not None:
            self.ema.update_parameters(self.model)
        due = self.swa is not None and lr_scale < self.config.swa_below and step % self.config.swa_every == 0
        if self.swa is not None and due:
            self.swa.update_parameters(self.model if self.ema is None else self.ema.module)
        return due

    def snapshots(self) -> int:
        """How many snapshots SWA holds."""
        return 0 if self.swa is None else int(self.swa.n_averaged)

    def export(self) -> str:
        """Load the chosen average into the model; says which, as upstream logs do. SWA needs a snapshot to count."""
        if self.swa is not None and self.snapshots():
            self.model.load_state_dict(self.swa.module.state_dict())
            return f"swa:applying averaged {self.snapshots()} checkpoints"
        if self.ema is not None:
            self.model.load_state_dict(self.ema.module.state_dict())
            return "ema:applying EMA weights"
        return "average:none, keeping the last weights"

    def state_dict(self) -> dict[str, Any]:
        """Everything a later run needs."""
        return {
            "ema": None if self.ema is None else self.ema.state_dict(),
            "swa": None if self.swa is None else self.swa.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        for kept, name in ((self.ema, "ema"), (self.swa, "swa")):
            if kept is not None:
                kept.load_state_dict(state[name])
