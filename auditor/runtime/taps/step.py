"""The first training step: forward, backward, and the model that they went through; then the run stops.

The model is found, not named: the module with the most parameters that have a gradient.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

if TYPE_CHECKING:
    from ..__main__ import Run


class Tap:
    """Watches module calls and the loss; stops after the first backward."""

    def __init__(self, run: Run, options: Mapping[str, Any]) -> None:
        self.run = run
        self.widths: dict[int, int] = {}
        """Last axis of what each module (by identity) was called with."""
        self.classes: int | None = None
        self.seen: dict[str, Any] = {"forward": False, "backward": False}

    def install(self) -> None:
        """Hook module calls, cross-entropy and backward."""
        register_module_forward_pre_hook(self.called)
        cross_entropy, backward, grad = F.cross_entropy, torch.autograd.backward, torch.autograd.grad

        def watched(input: Any, *args: Any, **kwargs: Any) -> Any:
            self.classes = int(input.shape[1] if input.ndim > 1 else input.shape[0])
            return cross_entropy(input, *args, **kwargs)

        def after(original: Any) -> Any:
            def call(tensors: Any, *args: Any, **kwargs: Any) -> Any:
                result = original(tensors, *args, **kwargs)
                self.stepped(tensors)
                return result

            return call

        F.cross_entropy = watched
        torch.autograd.backward = after(backward)
        torch.autograd.grad = after(grad)

    def called(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Remember the width of the first floating-point argument."""
        self.seen["forward"] = True
        for value in args[:2]:
            if isinstance(value, torch.Tensor) and value.is_floating_point() and value.ndim >= 2:
                self.widths[id(module)] = int(value.shape[-1])
                return

    def stepped(self, loss: Any) -> None:
        """Measure the model, and stop, once a backward went through one."""
        model = trained()
        if model is None:
            return
        self.seen["backward"] = True
        if isinstance(loss, torch.Tensor) and loss.numel() == 1:
            self.seen["loss"] = float(loss.detach())
        self.seen.update(self.shape(model))
        self.run.stop()

    def shape(self, model: nn.Module) -> dict[str, Any]:
        """Parameters, layers, width and vocabulary of a model."""
        layers = stack(model)
        widths = Counter(self.widths[id(layer)] for layer in layers if id(layer) in self.widths)
        tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
        width = widths.most_common(1)[0][0] if widths else tables[0].embedding_dim if tables else None
        return {
            "params": sum(parameter.numel() for parameter in model.parameters()),
            "layers": len(layers) or None,
            "dim": width,
            "vocab": self.classes or (tables[0].num_embeddings if tables else None),
        }

    def result(self) -> dict[str, Any]:
        """What was seen."""
        return self.seen


def trained() -> nn.Module | None:
    """The smallest of the modules that hold the most parameters with a gradient; None when no parameter has one."""
    best, most = None, (0, 0)
    for module in gc.get_objects():
        if not issubclass(type(module), nn.Module):
            continue
        parameters = list(module.parameters())
        size = sum(parameter.numel() for parameter in parameters if parameter.grad is not None)
        if size and (size, -sum(parameter.numel() for parameter in parameters)) > most:
            best, most = module, (size, -sum(parameter.numel() for parameter in parameters))
    return best


def stack(model: nn.Module) -> list[nn.Module]:
    """The layers: the elements of the module lists whose kind of element holds the most modules."""
    lists = [list(module) for module in model.modules() if isinstance(module, nn.ModuleList | nn.Sequential)]
    weight: Counter[type] = Counter()
    for elements in lists:
        for element in elements:
            weight[type(element)] += sum(1 for _ in element.modules())
    if not weight:
        return []
    kind = weight.most_common(1)[0][0]
    found = {id(element): element for elements in lists if kind in map(type, elements) for element in elements}
    return list(found.values())
