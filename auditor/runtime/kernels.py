"""Triton kernels, interpreted: each program of a launch runs as Python, its blocks being torch tensors.

What a kernel computes is kept, not how: loads and stores take masks, dot products accumulate in float32, descriptors
read zeros beyond the edges and do not write there. Tuning picks the first configuration. A scalar that was loaded takes
the type of the block that it meets, where Triton would promote the block.
Interface: triton-lang/triton, `python/triton/language` (3.3 to 3.6). A name that is not here raises `RuntimeLimit`.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from .job import RuntimeLimit

LAUNCH = ("num_warps", "num_stages", "num_ctas", "maxnreg", "waves_per_eu", "matrix_instr_nonkdim", "warp_specialize",
          "enable_fp_fusion", "launch_cooperative_grid", "launch_pdl")  # fmt: skip
"""Keyword arguments of a launch that tell how to compile."""

DTYPES = {
    "float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16,
    "int64": torch.int64, "int32": torch.int32, "int16": torch.int16, "int8": torch.int8, "uint8": torch.uint8,
    "uint32": torch.uint32, "uint64": torch.uint64, "int1": torch.bool, "float8e4nv": torch.float8_e4m3fn,
    "float8e5": torch.float8_e5m2,
}  # fmt: skip

_program: tuple[int, ...] = (0, 0, 0)
_grid: tuple[int, ...] = (1, 1, 1)


class Pointer:
    """Addresses in the memory of a tensor: an element offset, or a block of them."""

    def __init__(self, memory: Tensor, offset: Any = 0) -> None:
        self.memory = memory
        self.offset = offset
        self.dtype = self
        self.element_ty = memory.dtype

    @classmethod
    def to_tensor(cls, tensor: Tensor) -> Pointer:
        """The address of a tensor's first element."""
        start = tensor.storage_offset()
        size = tensor.untyped_storage().nbytes() // tensor.element_size() - start
        return cls(tensor.detach().as_strided((size,), (1,), start))

    def __add__(self, offset: Any) -> Pointer:
        return Pointer(self.memory, self.offset + offset)

    __radd__ = __add__

    def __sub__(self, offset: Any) -> Pointer:
        return Pointer(self.memory, self.offset - offset)

    def __getitem__(self, key: Any) -> Pointer:
        return Pointer(self.memory, self.offset[key])


def block(value: Any) -> Tensor:
    """A value as a tensor; a Python float as float32, as a kernel has it."""
    if isinstance(value, Tensor):
        return value
    return torch.tensor(value, dtype=torch.float32 if isinstance(value, float) else None)


def together(*values: Tensor) -> tuple[Tensor, ...]:
    """Blocks in their common shape."""
    return torch.broadcast_tensors(*values)  # type: ignore[no-untyped-call, no-any-return]


def load(pointer: Any, mask: Any = None, other: Any = None, **options: Any) -> Tensor:
    """Values at the addresses; `other`, else zero, where the mask is off."""
    if not isinstance(pointer, Pointer):
        raise RuntimeLimit("block pointers are not interpreted here")
    at = block(pointer.offset).long()
    if mask is None:
        return pointer.memory[at]
    at, seen = together(at, block(mask))
    values = pointer.memory[torch.where(seen, at, 0)]
    rest = block(0 if other is None else other).to(values.dtype)
    return torch.where(seen, values, rest)


def store(pointer: Any, value: Any, mask: Any = None, **options: Any) -> None:
    """Write values to the addresses where the mask is on."""
    if not isinstance(pointer, Pointer):
        raise RuntimeLimit("block pointers are not interpreted here")
    scatter(pointer, value, mask, lambda at, values: pointer.memory.__setitem__(at, values))


def atomic_add(pointer: Pointer, value: Any, mask: Any = None, **options: Any) -> None:
    """Add values at the addresses; addresses that occur more than once take every value."""
    scatter(pointer, value, mask, lambda at, values: pointer.memory.index_put_((at,), values, accumulate=True))


def scatter(pointer: Pointer, value: Any, mask: Any, write: Callable[[Tensor, Tensor], Any]) -> None:
    """Write a block, flattened, where the mask is on."""
    at, values = block(pointer.offset).long(), block(value).to(pointer.memory.dtype)
    seen = block(True if mask is None else mask)
    at, values, seen = together(at, values, seen)
    write(at[seen], values[seen])


class Descriptor:
    """A tensor that is read and written by tiles of one shape (`TensorDescriptor`)."""

    def __init__(self, base: Tensor, shape: Sequence[int], strides: Sequence[int], block_shape: Sequence[int],
                 padding: Any = None) -> None:  # fmt: skip
        self.base = base.detach()
        self.shape, self.strides, self.block_shape = list(shape), list(strides), list(block_shape)
        self.dtype = base.dtype
        self.view = self.base.as_strided(self.shape, self.strides, self.base.storage_offset())

    @classmethod
    def from_tensor(cls, tensor: Tensor, block_shape: Sequence[int], padding: Any = None) -> Descriptor:
        """A descriptor of a whole tensor."""
        return cls(tensor, tensor.shape, tensor.stride(), block_shape)

    def tile(self, offsets: Sequence[Any]) -> tuple[slice, ...]:
        """The part of a tile that lies within the tensor."""
        starts = [int(offset) for offset in offsets]
        return tuple(
            slice(min(start, size), min(start + length, size))
            for start, length, size in zip(starts, self.block_shape, self.shape, strict=True)
        )

    def load(self, offsets: Sequence[Any]) -> Tensor:
        """A tile; zeros beyond the edges."""
        part = self.view[self.tile(offsets)]
        whole = part.new_zeros(self.block_shape)
        whole[tuple(slice(size) for size in part.shape)] = part
        return whole

    def store(self, offsets: Sequence[Any], value: Tensor) -> None:
        """Write a tile, as far as it lies within the tensor."""
        place = self.tile(offsets)
        self.view[place] = value[tuple(slice(at.stop - at.start) for at in place)].to(self.dtype)


class Kernel:
    """A function under `@triton.jit`: launched over a grid from outside, called as a function from another kernel."""

    def __init__(self, function: Callable[..., Any], fixed: dict[str, Any] | None = None) -> None:
        self.fn = function
        self.fixed = fixed or {}
        self.__name__ = function.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """A call from another kernel."""
        return self.fn(*args, **kwargs)

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        return lambda *args, **kwargs: self.launch(grid, args, kwargs)

    def run(self, *args: Any, grid: Any, **kwargs: Any) -> None:
        """A launch in the other spelling."""
        self.launch(grid, args, kwargs)

    def launch(self, grid: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run every program of the grid, one after the other."""
        global _program, _grid
        meta = {name: value for name, value in {**self.fixed, **kwargs}.items() if name not in LAUNCH}
        sizes = grid(meta) if callable(grid) else grid
        _grid = tuple(int(size) for size in (sizes if isinstance(sizes, Sequence) else (sizes,)))
        held = [argument(value) for value in args]
        named = {name: argument(value) for name, value in meta.items() if name not in ("warmup",)}
        with torch.no_grad(), torch._C.DisableTorchFunction():
            for index in itertools.product(*(range(size) for size in reversed(_grid))):
                _program = tuple(reversed(index))
                self.fn(*held, **named)


def argument(value: Any) -> Any:
    """What a kernel sees of an argument of its launch."""
    return Pointer.to_tensor(value) if isinstance(value, Tensor) else value


def jit(function: Any = None, **options: Any) -> Any:
    """`triton.jit`, plain or with options."""
    return Kernel(function) if function is not None else Kernel


class Config:
    """A configuration to tune over."""

    def __init__(self, kwargs: dict[str, Any], *args: Any, **options: Any) -> None:
        self.kwargs = kwargs


def autotune(configs: Sequence[Config], *args: Any, **options: Any) -> Callable[[Any], Any]:
    """`triton.autotune`: the first configuration."""
    return lambda kernel: Kernel(kernel.fn, {**kernel.fixed, **configs[0].kwargs})


def heuristics(values: Any) -> Callable[[Any], Any]:
    """`triton.heuristics` depends on arguments by name, which are not followed here."""
    raise RuntimeLimit("triton.heuristics is not interpreted here")


def cdiv(a: Any, b: Any) -> Any:
    """The quotient, rounded up."""
    return (a + b - 1) // b


def next_power_of_2(n: int) -> int:
    """The smallest power of two that is not below `n`."""
    return 1 << (n - 1).bit_length()


def reduced(operation: Callable[..., Any]) -> Callable[..., Tensor]:
    """A reduction over one axis, or over all."""

    def reduce(values: Any, axis: int | None = None, keep_dims: bool = False, **options: Any) -> Tensor:
        tensor = block(values)
        if axis is None:
            return operation(tensor.reshape(-1), 0, keepdim=False)  # type: ignore[no-any-return]
        return operation(tensor, axis, keepdim=keep_dims)  # type: ignore[no-any-return]

    return reduce


def total(tensor: Tensor, axis: int, keepdim: bool) -> Tensor:
    """A sum in the type of its terms, as Triton has it."""
    return tensor.sum(axis, keepdim=keepdim, dtype=tensor.dtype if tensor.is_floating_point() else None)


def dot(a: Tensor, b: Tensor, acc: Tensor | None = None, **options: Any) -> Tensor:
    """A matrix product of two blocks, in float32, added to `acc`."""
    product = a.float() @ b.float()
    return product if acc is None else acc + product


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """One value or the other."""
    return torch.where(block(condition), a, b)


def ranged(*bounds: Any, **options: Any) -> Iterator[int]:
    """`tl.range`."""
    return iter(range(*(int(bound) for bound in bounds)))


def pointwise(operation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """An operation on each element, of blocks or numbers."""
    return lambda *values, **options: operation(*map(block, values))


LANGUAGE: dict[str, Any] = {
    **DTYPES,
    "constexpr": lambda value: value,
    "dtype": torch.dtype,
    "tensor": Tensor,
    "program_id": lambda axis=0: torch.tensor(_program[axis], dtype=torch.int32),
    "num_programs": lambda axis=0: _grid[axis],
    "arange": lambda start, end: torch.arange(int(start), int(end), dtype=torch.int32),
    "zeros": lambda shape, dtype: torch.zeros([int(size) for size in shape], dtype=dtype),
    "full": lambda shape, value, dtype: torch.full([int(size) for size in shape], value, dtype=dtype),
    "zeros_like": torch.zeros_like,
    "load": load,
    "store": store,
    "atomic_add": atomic_add,
    "make_tensor_descriptor": lambda base, shape, strides, block_shape: Descriptor(
        base.memory, shape, strides, block_shape
    ),
    "dot": dot,
    "where": where,
    "range": ranged,
    "static_range": ranged,
    "cdiv": cdiv,
    "sum": reduced(total),
    "max": reduced(lambda tensor, axis, keepdim: tensor.amax(axis, keepdim=keepdim)),
    "min": reduced(lambda tensor, axis, keepdim: tensor.amin(axis, keepdim=keepdim)),
    "argmax": reduced(lambda tensor, axis, keepdim: tensor.argmax(axis, keepdim=keepdim)),
    "argmin": reduced(lambda tensor, axis, keepdim: tensor.argmin(axis, keepdim=keepdim)),
    "cumsum": lambda values, axis=0, **options: values.cumsum(axis),
    "softmax": lambda values, **options: values.float().softmax(0),
    "maximum": pointwise(torch.maximum),
    "minimum": pointwise(torch.minimum),
    "fma": pointwise(lambda a, b, c: a * b + c),
    "clamp": lambda values, low, high: values.clamp(low, high),
    "reshape": lambda values, *shape: values.reshape(*shape),
    "view": lambda values, *shape: values.reshape(*shape),
    "ravel": lambda values: values.reshape(-1),
    "permute": lambda values, *axes: values.permute(*axes),
    "trans": lambda values, *axes: values.permute(*axes) if axes else values.transpose(-1, -2),
    "split": lambda values: values.unbind(-1),
    "join": lambda a, b: torch.stack([a, b], -1),
    "cat": lambda a, b, **options: torch.cat([a, b]),
    "broadcast_to": lambda values, *shape: block(values).broadcast_to(*shape),
    "expand_dims": lambda values, axis: values.unsqueeze(axis),
    "cast": lambda values, dtype, **options: block(values).to(dtype),
    "multiple_of": lambda values, *hints: values,
    "max_contiguous": lambda values, *hints: values,
    "assume": lambda fact: None,
    "debug_barrier": lambda: None,
    "static_assert": lambda *args: None,
    "device_print": lambda *args: None,
}
for _name in ("exp", "exp2", "log", "log2", "sqrt", "rsqrt", "sin", "cos", "sigmoid", "abs", "floor", "ceil", "erf"):
    LANGUAGE[_name] = pointwise(getattr(torch, _name))
LIBDEVICE = {name: pointwise(getattr(torch, name)) for name in ("tanh", "exp", "log", "sqrt", "rsqrt", "round", "pow")}
LIBDEVICE["rint"] = LIBDEVICE["round"]
LANGUAGE["sqrt_rn"] = LANGUAGE["sqrt"]
LANGUAGE["math"] = None  # set to the module in `install`


class KernelModule(ModuleType):
    """A module of Triton that says what it lacks."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeLimit(f"{self.__name__}.{name} is not interpreted here")


MODULES: dict[str, dict[str, Any]] = {
    "triton": {
        "jit": jit, "autotune": autotune, "heuristics": heuristics, "Config": Config, "cdiv": cdiv,
        "next_power_of_2": next_power_of_2, "__version__": "3.6.0", "set_allocator": lambda allocator: None,
    },
    "triton.language": LANGUAGE,
    "triton.language.extra": {},
    "triton.language.extra.libdevice": LIBDEVICE,
    "triton.language.extra.cuda": {},
    "triton.language.extra.cuda.libdevice": LIBDEVICE,
    "triton.language.math": {**LANGUAGE, **LIBDEVICE, "log1p": pointwise(torch.log1p), "pi": math.pi},
    "triton.tools": {},
    "triton.tools.tensor_descriptor": {"TensorDescriptor": Descriptor},
}  # fmt: skip


def install() -> None:
    """Provide the package."""
    for name, names in MODULES.items():
        module = KernelModule(name)
        module.__dict__.update(names, __path__=[])
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
