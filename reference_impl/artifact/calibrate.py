"""What each matrix is multiplied with, as GPTQ needs it: H = X^T X over the inputs X of its layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from reference_impl.model import GPT
from reference_impl.model.gpt import BOS
from reference_impl.model.layers import Linear

TEMPERATURE = 0.8


@torch.no_grad()
def hessians(model: GPT, batches: Iterable[Tensor]) -> dict[str, Tensor]:
    """The Hessian (c, c), float32, of every matrix by parameter name, summed over batches of tokens (b, t).

    The embedding's is that of its use as output matrix.
    """
    found: dict[str, Tensor] = {}

    def add(name: str, x: Tensor) -> None:
        flat = x.detach().flatten(0, -2).float()
        found[name] = found.get(name, 0) + flat.T @ flat

    with watching(model, add):
        for tokens_bt in batches:
            add("embedding", model.hidden(tokens_bt.to(model.embedding.device)))
    return found


@contextmanager
def watching(model: nn.Module, add: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Tells `add` every input of every linear layer, by the name of its matrix."""

    def hook_of(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda module, inputs: add(name, inputs[0])

    hooks = [
        module.register_forward_pre_hook(hook_of(f"{name}.weight"))
        for name, module in model.named_modules()
        if isinstance(module, Linear)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def own_text(model: GPT, count: int, length: int, seed: int) -> Tensor:
    """Documents that the model makes up, (count, length), at temperature 0.8 (PR #1019): no data is read at all."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.full((count, length), BOS)
    for at in range(1, length):
        logits = model(tokens[:, :at].to(model.embedding.device))[:, -1].cpu()
        tokens[:, at] = torch.multinomial(torch.softmax(logits / TEMPERATURE, -1), 1, generator=generator)[:, 0]
    return tokens
