"""Stream positions that follow per-token values through the script's tensor operations.

A tensor's *shadow* is an integer tensor of the same shape: the stream position that each element is about, or -1.
Losses get one where the script compares predictions with targets; from there it is carried along: operations that
move elements about move the shadow's the same way, and elementwise operations keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from .stream import UNKNOWN

_ATTRIBUTE = "_positions"

_MOVING = frozenset(
    name
    for line in (
        "__getitem__ index_select masked_select take_along_dim narrow select split chunk unbind",
        "view view_as reshape reshape_as flatten unflatten squeeze unsqueeze contiguous clone detach",
        "transpose permute t swapaxes movedim flip roll",
        "expand expand_as repeat repeat_interleave tile",
        "cat concat concatenate stack hstack vstack",
    )
    for name in line.split()
)
"""Functions that only move elements: applied to the shadows, they give the result's shadow."""


_REDUCING = frozenset(("sum", "mean", "logsumexp"))
"""Functions that mix elements along a dimension: a mixture of predictions for one token is about that token."""


def positions_of(value: object) -> Tensor | None:
    """The shadow of a tensor."""
    found = getattr(value, _ATTRIBUTE, None) if isinstance(value, Tensor) else None
    return found if isinstance(found, Tensor) and isinstance(value, Tensor) and found.shape == value.shape else None


def attach(value: Tensor, positions: Tensor) -> None:
    """Give a tensor its shadow."""
    setattr(value, _ATTRIBUTE, positions)


def carry(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
    """Let the shadows of the arguments follow into the result of `func`."""
    shadows = _shadows(args)
    if kwargs:
        shadows += _shadows(kwargs.values())
    if not shadows:
        return
    name = getattr(func, "__name__", "")
    if name == "__setitem__":
        _assign(args)
    elif name in ("copy_", "set_") and len(args) > 1 and (source := positions_of(args[1])) is not None:
        attach(args[0], source.expand(args[0].shape).clone())
    elif name in _MOVING:
        _attach_all(result, func(*_swapped(args), **_swapped(kwargs)))
    elif name in _REDUCING and isinstance(result, Tensor):
        _reduce(args, kwargs, result)
    elif isinstance(result, Tensor):
        same = [shadow for shadow in shadows if shadow.shape == result.shape]
        if same:
            attach(result, _merged(same))


def _assign(args: tuple[Any, ...]) -> None:
    """`target[index] = value`: the shadow of the target takes that of the value at the same places."""
    target, index, value = args
    shadow = positions_of(target)
    if shadow is None:
        shadow = torch.full(target.shape, UNKNOWN, dtype=torch.int64)
    placed = positions_of(value)
    shadow = shadow.clone()
    shadow[index] = placed if placed is not None else UNKNOWN
    attach(target, shadow)


def _reduce(args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> None:
    """A reduction over one dimension along which all known positions are the same keeps them."""
    shadow = positions_of(args[0])
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if isinstance(dim, (tuple, list)) and len(dim) == 1:
        dim = dim[0]
    if shadow is None or not isinstance(dim, int) or not shadow.numel():
        return
    place = shadow.amax(dim, keepdim=True)
    if bool(((shadow == place) | (shadow == UNKNOWN)).all()):
        attach(result, place.reshape(result.shape))


def _merged(shadows: list[Tensor]) -> Tensor:
    merged = shadows[0]
    for shadow in shadows[1:]:
        merged = torch.where(merged != UNKNOWN, merged, shadow)
    return merged


def _swapped(value: Any) -> Any:
    """The arguments with each tensor of numbers replaced by its shadow; indices and masks stay what they are."""
    if isinstance(value, Tensor):
        shadow = positions_of(value)
        if shadow is not None:
            return shadow
        if value.is_floating_point():
            return torch.full(value.shape, UNKNOWN, dtype=torch.int64)
        return value
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        return type(value)(_swapped(item) for item in value)
    if isinstance(value, dict):
        return {key: _swapped(item) for key, item in value.items()}
    return value


def _attach_all(result: object, shadows: object) -> None:
    if isinstance(result, Tensor) and isinstance(shadows, Tensor):
        attach(result, shadows)
    elif isinstance(result, (tuple, list)) and isinstance(shadows, (tuple, list)):
        for part, shadow in zip(result, shadows, strict=True):
            _attach_all(part, shadow)


def _shadows(values: Iterable[Any]) -> list[Tensor]:
    """The shadows of the tensors among arguments, and in lists and tuples among them."""
    found = []
    for value in values:
        if isinstance(value, Tensor):
            if _ATTRIBUTE in value.__dict__ and (shadow := positions_of(value)) is not None:
                found.append(shadow)
        elif isinstance(value, (tuple, list)):
            found += _shadows(value)
    return found
