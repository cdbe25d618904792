"""CUDA devices, streams, events and memory figures, all of them the CPU.

A mode on torch functions sends every `device=` to the CPU; `torch.device` and `torch.Generator` are replaced by
factories that do the same; what `torch.cuda` is asked is answered as by one H100. A copy from the device to the host
stays a copy, because scripts keep such copies as snapshots.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import torch
import torch._library.custom_ops
import torch.backends.cuda
import torch.nn.attention
from torch.overrides import TorchFunctionMode

from .clock import now

Device = torch.device
"""The real class; `torch.device` is a factory once `install` has run."""
Generator = torch.Generator
CPU = Device("cpu")
IS_CUDA: Any = torch.Tensor.is_cuda.__get__  # type: ignore[attr-defined]
MEMORY = 80 << 30


def on_cpu(device: Any) -> Any:
    """The CPU for anything that names a CUDA device; other devices, such as `meta`, as they are."""
    if isinstance(device, str):
        return CPU if device.partition(":")[0] in ("cuda", "gpu") else device
    if isinstance(device, Device):
        return CPU if device.type == "cuda" else device
    if isinstance(device, int) and not isinstance(device, bool):
        return CPU
    return device


def names_cuda(value: Any) -> bool:
    """Whether an argument can only be a CUDA device: a string or a real device, not a number."""
    return (isinstance(value, str) and value.partition(":")[0] == "cuda") or (
        isinstance(value, Device) and value.type == "cuda"
    )


class OnCpu(TorchFunctionMode):
    """Sends device arguments of every torch function to the CPU. It acts in the thread that entered it."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.Tensor.cuda, torch.Tensor.pin_memory):
            return args[0]
        if func is Device:
            return device(*args, **kwargs)
        if func is torch.Tensor.record_stream:
            return None
        if func == IS_CUDA:
            return True
        if func is torch.Tensor.cpu or (func is torch.Tensor.to and len(args) > 1 and args[1] == "cpu"):
            moved = func(*args, **kwargs)
            return moved.clone() if moved is args[0] else moved
        if "device" in kwargs:
            kwargs["device"] = on_cpu(kwargs["device"])
        kwargs.pop("pin_memory", None)
        if any(map(names_cuda, args)):
            args = tuple(CPU if names_cuda(value) else value for value in args)
        if func is torch.load and not isinstance(kwargs.get("map_location"), dict):
            kwargs["map_location"] = CPU
        return func(*args, **kwargs)


class _Factory(type):
    """Class of a stand-in: calls build the real thing, `isinstance` recognises it."""

    real: type
    build: Callable[..., Any]

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, cls.real)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.build(*args, **kwargs)


def device(type: Any = "cuda", index: int | None = None) -> Any:
    """What `torch.device(...)` gives here."""
    found = on_cpu(type)
    return found if isinstance(found, Device) else Device(found) if index is None else Device(found, index)


def generator(device: Any = "cpu") -> Any:
    """What `torch.Generator(...)` gives here."""
    return Generator(device=on_cpu(device))


class Event:
    """A CUDA event: remembers the clock when it is recorded."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.at = 0.0

    def record(self, *args: Any) -> None:
        """Remember the time."""
        self.at = now()

    def elapsed_time(self, end: Event) -> float:
        """Milliseconds until `end`."""
        return (end.at - self.at) * 1e3

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def wait(self, *args: Any) -> None:
        """Nothing to wait for."""

    def query(self) -> bool:
        """Whether it has happened."""
        return True


class Stream:
    """A CUDA stream: work on it is done when it is asked for."""

    cuda_stream = 0
    device = CPU

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *args: Any) -> None:
        pass

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def wait_stream(self, other: Any) -> None:
        """Nothing to wait for."""

    def wait_event(self, event: Any) -> None:
        """Nothing to wait for."""

    def record_event(self, event: Event | None = None) -> Event:
        """An event of this moment."""
        event = event or Event()
        event.record()
        return event

    def query(self) -> bool:
        """Whether all work is done."""
        return True


@contextlib.contextmanager
def nothing(*args: Any, **kwargs: Any) -> Iterator[None]:
    """A context without effect."""
    yield


def ignored(*args: Any, **kwargs: Any) -> None:
    """A call without effect."""


def properties(*args: Any) -> SimpleNamespace:
    """What `torch.cuda.get_device_properties` says of an H100."""
    return SimpleNamespace(
        name="NVIDIA H100 80GB HBM3", total_memory=MEMORY, multi_processor_count=132, major=9, minor=0, warp_size=32,
        shared_memory_per_block_optin=232_448, L2_cache_size=50 << 20, gcnArchName="", uuid="",
    )  # fmt: skip


ANSWERS: dict[str, Any] = {
    "is_available": lambda: True,
    "is_initialized": lambda: True,
    "is_bf16_supported": lambda *args, **kwargs: True,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "get_device_name": lambda *args: properties().name,
    "get_device_capability": lambda *args: (9, 0),
    "get_device_properties": properties,
    "mem_get_info": lambda *args: (MEMORY, MEMORY),
    "memory_stats": lambda *args: {},
    "memory_summary": lambda *args, **kwargs: "",
    "current_stream": lambda *args: Stream(),
    "default_stream": lambda *args: Stream(),
    "get_rng_state": lambda *args: torch.get_rng_state(),
    "set_rng_state": lambda state, *args: torch.set_rng_state(state),
    "get_rng_state_all": lambda: [torch.get_rng_state()],
    "set_rng_state_all": lambda states: torch.set_rng_state(states[0]),
    "manual_seed": lambda seed: None,
    "manual_seed_all": lambda seed: None,
    "Event": Event,
    "Stream": Stream,
    "ExternalStream": Stream,
    "stream": lambda stream: stream or nothing(),
    "device": nothing,
    "utilization": lambda *args: 0,
}
SILENT = (
    "init", "set_device", "synchronize", "empty_cache", "ipc_collect", "reset_peak_memory_stats", "set_stream",
    "reset_max_memory_allocated", "reset_accumulated_memory_stats", "set_per_process_memory_fraction",
)  # fmt: skip
ZERO = (
    "memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved", "memory_cached",
    "max_memory_cached",
)  # fmt: skip
SWITCHES = ("enable_flash_sdp", "enable_mem_efficient_sdp", "enable_math_sdp", "enable_cudnn_sdp")


def on_cpu_within(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with the mode on while it runs."""

    @functools.wraps(function)
    def within(*args: Any, **kwargs: Any) -> Any:
        with OnCpu():
            return function(*args, **kwargs)

    return within


def install() -> None:
    """Make torch answer as on one H100; enter `OnCpu` besides, in each thread."""
    # A mode is off while it handles a call, and both a backward and an operator of the script's own run its code.
    autograd: Any = torch.autograd
    autograd._engine_run_backward = on_cpu_within(autograd._engine_run_backward)
    definition: Any = torch._library.custom_ops.CustomOpDef
    register = definition.register_kernel

    def register_kernel(self: Any, device_types: Any, function: Any = None, /) -> Any:
        kinds = "cpu" if device_types == "cuda" else device_types
        if function is None:
            return lambda later: register_kernel(self, kinds, later)
        register(self, kinds, on_cpu_within(function))
        return function

    definition.register_kernel = register_kernel
    made: list[tuple[str, type, Any]] = [("device", Device, device), ("Generator", Generator, generator)]
    for name, real, build in made:
        setattr(torch, name, _Factory(name, (), {"real": real, "build": staticmethod(build)}))
    cuda: Any = torch.cuda
    for name, answer in ANSWERS.items():
        setattr(cuda, name, answer)
    for name in SILENT:
        setattr(cuda, name, ignored)
    for name in ZERO:
        setattr(cuda, name, lambda *args: 0)
    cuda.nvtx.range_push = cuda.nvtx.range_pop = cuda.nvtx.mark = ignored
    cuda.nvtx.range = nothing
    backends: Any = torch.backends
    for name in SWITCHES:
        setattr(backends.cuda, name, ignored)
    attention: Any = torch.nn.attention
    attention.sdpa_kernel = nothing
    backends.cuda.sdp_kernel = nothing
