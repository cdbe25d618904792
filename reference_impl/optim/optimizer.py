"""One optimiser for the whole model, on any number of processes: Muon for matrices, AdamW for everything else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from reference_impl.config import OptimConfig
from reference_impl.model.gpt import GPT
from reference_impl.optim.muon import Muon, squared_norm
from reference_impl.optim.world import World


def assign(model: GPT, config: OptimConfig) -> dict[str, list[nn.Parameter]]:
    """Which parameters are `matrices` (Muon), `embeddings` and `scalars` (AdamW, each with its own rate and decay).

    Embeddings are all tables indexed by tokens. Matrices are those of attention and MLP; gates and the projections of
    embeddings go where the configuration says.
    """
    groups: dict[str, list[nn.Parameter]] = {"matrices": [], "embeddings": [], "scalars": []}
    for name, parameter in model.named_parameters():
        if name == "embedding" or name.endswith(".table"):
            groups["embeddings"].append(parameter)
            continue
        gate = ".gate." in name or name.startswith("masked_smear.")
        owner = config.gates if gate else "muon" if name.startswith("blocks.") else config.projections
        muon = name.endswith(".weight") and owner == "muon"
        groups["matrices" if muon else "scalars"].append(parameter)
    return groups


class Optimizer:
    """Steps a model whose gradients are still those of this process alone.

    Order of a step: scatter the matrices' gradients; meanwhile sum the others; clip by the norm of the *whole, reduced*
    gradient (the banked scripts clip before they reduce, so that every GPU clips differently); AdamW; Muon.
    """

    def __init__(self, model: GPT, config: OptimConfig, world: World, muon_dtype: torch.dtype) -> None:
        self.config, self.world = config, world
        groups = assign(model, config)
        self.replicated = groups["embeddings"] + groups["scalars"]
        self.rates = (config.embedding_lr, config.scalar_lr)
        self.adam = torch.optim.AdamW(
            [
                {"params": groups["embeddings"], "weight_decay": config.embedding_decay},
                {"params": groups["scalars"], "weight_decay": config.scalar_decay},
            ],
            betas=(config.beta1, config.beta2),
            eps=config.eps,
            fused=True,
        )
        self.muon = Muon(groups["matrices"], config, world, muon_dtype)

    def step(self, lr_scale: float, momentum: float) -> Tensor:
        """Update the model and drop its gradients; returns the norm of the gradient before clipping (a scalar)."""
        self.muon.start()
        self._sum_replicated()
        squared = self.world.sum(self.muon.squared_norm())
        squared = squared + sum(squared_norm(p.grad) for p in self.replicated if p.grad is not None)
        norm = squared.sqrt()
        limit = self.config.clip_norm
        clip = (limit / (norm + 1e-6)).clamp(max=1.0) if limit > 0 else torch.ones_like(norm)
        for parameter in self.replicated:
            if parameter.grad is not None:
                parameter.grad.mul_(clip)
        for group, rate in zip(self.adam.param_groups, self.rates, strict=True):
            group["lr"] = rate * lr_scale
        self.adam.step()
        self.muon.step(self.config.matrix_lr * lr_scale, momentum, clip)
        for parameter in self.replicated:
            parameter.grad = None
        return norm

    def _sum_replicated(self) -> None:
        """Add up the gradients that every process keeps whole, in one transfer."""
        grads = [parameter.grad for parameter in self.replicated if parameter.grad is not None]
        if self.world.size == 1 or not grads:
            return
        flat = self.world.sum(torch.cat([grad.flatten() for grad in grads]))
        for grad, part in zip(grads, torch.split(flat, [grad.numel() for grad in grads]), strict=True):
            grad.copy_(part.view_as(grad))

    def state_dict(self) -> dict[str, Any]:
        """Everything a later run needs, the same on any number of processes."""
        return {"adam": self.adam.state_dict(), "momenta": self.muon.momenta()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.adam.load_state_dict(state["adam"])
        self.muon.load_momenta(state["momenta"])
