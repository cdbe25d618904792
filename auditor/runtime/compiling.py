"""`torch.compile` as identity, autocast and inference mode as what a CPU has.

Inference mode is `no_grad`: tables that are cached under it, such as rotary angles, are used in training again by
test-time training, and torch refuses that of inference tensors, though not under `torch.compile`.
"""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType
from typing import Any

import torch
import torch.amp
import torch.cuda.amp
import torch.utils.flop_counter

from .device import ignored, nothing

Autocast = torch.autocast

DECORATORS = ("disable", "optimize", "allow_in_graph", "disallow_in_graph", "assume_constant_result", "run")
CALLS = ("reset", "graph_break", "mark_dynamic", "maybe_mark_dynamic", "mark_static", "mark_static_address")
PLAIN = "|".join(("config", *DECORATORS, *CALLS))
NEEDED = re.compile(rf"_dynamo(?!\.({PLAIN})\b)|flex_attention|functorch|torch\.func\b|_inductor")
"""What a script mentions that needs the compiler's own modules."""


def compiled(model: Any = None, *args: Any, **options: Any) -> Any:
    """`torch.compile`, `torch.compiler.disable` and their like, called or as decorators: what they are given."""
    if model is None:
        return lambda decorated: decorated
    return model


class CpuAutocast(Autocast):
    """`torch.autocast` whose device is the CPU, whatever it is told."""

    def __init__(self, device_type: str = "cuda", dtype: Any = None, enabled: bool = True, **options: Any) -> None:
        super().__init__("cpu", dtype=dtype or torch.bfloat16, enabled=enabled)


class CudaAutocast(CpuAutocast):
    """`torch.cuda.amp.autocast`, whose first argument is not the device."""

    def __init__(self, enabled: bool = True, dtype: Any = None, **options: Any) -> None:
        super().__init__("cpu", dtype=dtype, enabled=enabled)


class InferenceMode(torch.no_grad):
    """`torch.inference_mode` as `no_grad`; `inference_mode(False)` leaves gradients as they are."""

    def __new__(cls, mode: Any = True) -> Any:
        """A context, or the function under it when used as a bare decorator."""
        if callable(mode):
            return cls()(mode)
        return super().__new__(cls)

    def __init__(self, mode: Any = True) -> None:
        super().__init__()
        self.mode = mode

    def __enter__(self) -> None:
        self.prev = torch.is_grad_enabled()
        torch.set_grad_enabled(self.prev and not self.mode)

    def clone(self) -> Any:
        """Another of the same mode: decorators ask for one a call."""
        return type(self)(self.mode)


class GradScaler:
    """A gradient scaler of factor one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.unscale_ = self.update = ignored

    def scale(self, loss: Any) -> Any:
        """The loss itself."""
        return loss

    def step(self, optimizer: Any, *args: Any) -> Any:
        """A step of the optimiser."""
        return optimizer.step(*args)


class Settings(ModuleType):
    """The compiler's configuration, with any setting."""

    patch = staticmethod(nothing)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def without_compiler() -> Any:
    """A stand-in for `torch._dynamo`, which takes as long to import as torch itself and would compile nothing here."""
    dynamo: Any = ModuleType("torch._dynamo")
    for name in DECORATORS:
        setattr(dynamo, name, compiled)
    for name in CALLS:
        setattr(dynamo, name, ignored)
    dynamo.config = Settings("torch._dynamo.config")
    dynamo.is_compiling = lambda: False
    sys.modules["torch._dynamo"], sys.modules["torch._dynamo.config"] = dynamo, dynamo.config
    return dynamo


def install(source: str) -> None:
    """Replace compilation, autocast and inference mode in torch; `source` tells whether the compiler is asked for."""
    if NEEDED.search(source):
        importlib.import_module("torch._dynamo")
    else:
        torch._dynamo = without_compiler()
    library: Any = torch
    library.compile = compiled
    library.autocast = library.amp.autocast = CpuAutocast
    library.cuda.amp.autocast = CudaAutocast
    library.cuda.amp.GradScaler = library.amp.GradScaler = GradScaler
    library.inference_mode = InferenceMode
    library.compiler.disable = library._dynamo.disable = compiled
    library.compiler.cudagraph_mark_step_begin = ignored
    library._dynamo.optimize = lambda *args, **kwargs: compiled
    library.jit.script = compiled
