"""Reading what a sandboxed program wrote, as data: bounded JSON into a dataclass, or a refusal.

The shape that is asked for is a dataclass whose fields are bool, int, float, str, None, unions of those, `Literal`,
`list[...]`, `tuple[..., ...]`, `dict[str, ...]` and other such dataclasses. Whatever is not exactly of that shape is
refused, and so is JSON that Python takes but the standard does not (NaN, Infinity) or leaves open (duplicate names).
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import stat
import types
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

LARGEST = 2**63
"""Integers beyond 64 bits are refused."""


class BadResult(ValueError):
    """What the program left is not what was asked for; one line says where and why."""


def collect(folder: int, name: str, *, limit: int, owner: int) -> bytes:
    """A file that the program left in its workspace, given as a descriptor of that folder.

    Call it when no process of the run is left. Raises `BadResult` unless it is a regular file of `owner` and of at most
    `limit` bytes; links are not followed, for which the name must have no folders (`ValueError`).
    """
    if name in ("", ".", "..") or "/" in name:
        raise ValueError(f"{name!r} is not the name of a file in the workspace")
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        raise BadResult(f"cannot be opened: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise BadResult("not a regular file")
        if found.st_uid != owner:
            raise BadResult("not written by the program")
        if found.st_size > limit:
            raise BadResult(f"{found.st_size:,} bytes, {limit:,} allowed")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    finally:
        os.close(descriptor)


def sizes(folder: int) -> dict[str, int]:
    """Bytes of every plain file below a folder, given as a descriptor; links are neither followed nor counted.

    Call it when no process of the run is left.
    """
    found = {}
    for parent, _, names, descriptor in os.fwalk(".", dir_fd=folder, follow_symlinks=False):
        for name in names:
            entry = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISREG(entry.st_mode):
                path = os.path.normpath(os.path.join(parent, name))
                found[path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")] = entry.st_size
    return found


def decode(data: bytes, shape: type[T]) -> T:
    """JSON text as an instance of the dataclass `shape`; raises `BadResult`.

    Nesting is bounded by the shape, size by what was collected.
    """
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=unique,
            parse_constant=no_constant,
            parse_int=bounded_int,
            parse_float=finite_float,
        )
    except RecursionError:
        raise BadResult("nested too deeply") from None
    except BadResult:
        raise
    except ValueError as error:
        raise BadResult(f"not JSON: {error}") from None
    decoded: T = fit(value, shape, "result")
    return decoded


def fit(value: Any, shape: Any, place: str) -> Any:
    """The JSON value as an instance of `shape`; `place` names it in the refusal."""
    origin, arguments = get_origin(shape), get_args(shape)
    if origin in (Union, types.UnionType):
        return fit_union(value, arguments, place)
    if origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in arguments):
            refuse(place, " or ".join(map(repr, arguments)))
        return value
    if origin in (list, tuple):
        if not isinstance(value, list):
            refuse(place, "a list")
        if origin is tuple and arguments[1:] != (...,) and len(arguments) != len(value):
            refuse(place, f"a list of {len(arguments)}")
        shapes = arguments if origin is tuple and arguments[1:] != (...,) else arguments[:1] * len(value)
        return origin(fit(item, shapes[at], f"{place}[{at}]") for at, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            refuse(place, "an object")
        return {fit(name, str, place): fit(item, arguments[1], f"{place}.{name:.40}") for name, item in value.items()}
    if dataclasses.is_dataclass(shape) and isinstance(shape, type):
        return fit_dataclass(value, shape, place)
    if shape is float and type(value) is int:
        return float(value)
    if shape not in (bool, int, float, str, types.NoneType):
        raise TypeError(f"{shape} is not a shape")
    if type(value) is not shape:
        refuse(place, "null" if shape is types.NoneType else shape.__name__)
    if shape is str and any("\ud800" <= letter <= "\udfff" for letter in value):
        refuse(place, "text: half of a surrogate pair")
    return value


def fit_union(value: Any, shapes: tuple[Any, ...], place: str) -> Any:
    """The value as the first of the shapes that it fits."""
    complaint = BadResult(f"{place}: of none of the shapes asked for")
    for shape in shapes:
        try:
            return fit(value, shape, place)
        except BadResult as error:
            if shape is not types.NoneType:
                complaint = error
    raise complaint


def fit_dataclass(value: Any, shape: Any, place: str) -> Any:
    """An object with exactly the fields of the dataclass; those with a default may be absent."""
    if not isinstance(value, dict):
        refuse(place, "an object")
    hints = get_type_hints(shape)
    fields = {field.name: field for field in dataclasses.fields(shape)}
    for name in value:
        if name not in fields:
            raise BadResult(f"{place}: no field {name[:40]!r} was asked for")
    for name, field in fields.items():
        if name not in value and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise BadResult(f"{place}: field {name!r} is missing")
    return shape(**{name: fit(item, hints[name], f"{place}.{name}") for name, item in value.items()})


def refuse(place: str, wanted: str) -> NoReturn:
    """Say what was asked for."""
    raise BadResult(f"{place}: not {wanted}")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names differ."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadResult("a name occurs twice in an object")
    return found


def no_constant(name: str) -> NoReturn:
    """NaN and Infinity are no JSON."""
    raise BadResult(f"{name} is not a number")


def bounded_int(digits: str) -> int:
    """An integer of 64 bits."""
    number = int(digits) if len(digits) <= 20 else LARGEST
    if not -LARGEST <= number < LARGEST:
        raise BadResult("a number has more than 64 bits")
    return number


def finite_float(digits: str) -> float:
    """A float that is not infinite."""
    number = float(digits)
    if not math.isfinite(number):
        raise BadResult("a number is too large")
    return number
