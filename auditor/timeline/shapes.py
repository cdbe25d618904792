"""Library operations that change the shape of a tensor: where the positions of the sequence are afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from auditor.timeline import axes as ax
from auditor.timeline.axes import LOST, Axes, Effect
from auditor.timeline.registry import Args, Kwargs
from auditor.timeline.values import Val


def integers(values: Sequence[Val]) -> list[int] | None:
    """Constant integers, given one by one or as one tuple."""
    if len(values) == 1 and values[0].items is not None:
        values = values[0].items
    out = [v.const for v in values if isinstance(v.const, int) and not isinstance(v.const, bool)]
    return out if len(out) == len(values) else None


def _view(a: Axes, args: Args, kwargs: Kwargs) -> Effect:
    if len(args) == 1 and args[0].items is not None:
        args = list(args[0].items)
    return ax.reshaped(a, [size_letter(v) for v in args]) if args else LOST


def size_letter(v: Val) -> str:
    """The letter of the axis whose length a number is; `*` for -1."""
    if v.axes is not None and v.axes.kind == "size":
        return v.axes.tags
    return "*" if v.const == -1 else "-"


def _transpose(a: Axes, args: Args, kwargs: Kwargs) -> Effect:
    dims = integers(args[:2])
    return ax.transposed(a, dims[0], dims[1]) if dims and len(dims) == 2 else LOST


def _permute(a: Axes, args: Args, kwargs: Kwargs) -> Effect:
    dims = integers(args)
    return ax.permuted(a, dims) if dims else LOST


def _one_dim(act: Callable[[Axes, int], Effect]) -> Callable[[Axes, Args, Kwargs], Effect]:
    def shape(a: Axes, args: Args, kwargs: Kwargs) -> Effect:
        given = args[0] if args else kwargs.get("dim")
        dims = integers([given]) if given is not None else None
        return act(a, dims[0]) if dims else LOST

    return shape


def _pieces(a: Axes, args: Args, kwargs: Kwargs) -> Effect:
    """`chunk`, `split`: pieces of the same axes, unless the positions are split."""
    given = kwargs.get("dim", args[1] if len(args) > 1 else None)
    dims = integers([given]) if given is not None else [0]
    at = ax.index_of(a, dims[0]) if dims else None
    return LOST if at is None or a.tags[at] in ax.POSITIONS else Effect(a._replace(kind="each"))


def _unbind(a: Axes, args: Args, kwargs: Kwargs) -> Effect:
    effect = _one_dim(ax.removed)(a, args or [Val(const=0)], kwargs)
    return effect if effect.axes is None else Effect(effect.axes._replace(kind="each"))


def _flatten(a: Axes, args: Args, kwargs: Kwargs) -> Effect:
    dims = integers(args) if args else [0]
    if dims is None or kwargs:
        return LOST
    return ax.flattened(a, dims[0] if dims else 0, dims[1] if len(dims) > 1 else -1)


def _expand(a: Axes, args: Args, kwargs: Kwargs) -> Effect:
    """`expand`: axes of size one may become anything."""
    if len(args) == 1 and args[0].items is not None:
        args = list(args[0].items)
    sizes = [size_letter(v) for v in args]
    tags = a.tags.rjust(len(sizes), "1")
    if len(tags) != len(sizes):
        return LOST
    out = "".join(
        new if old == "1" and new in "BT" else "-" if old == "1" else old for old, new in zip(tags, sizes, strict=False)
    )
    return Effect(a._replace(tags=out))


def _roll(a: Axes, args: Args, kwargs: Kwargs) -> Effect:
    shift = integers([kwargs.get("shifts", args[0])]) if args or "shifts" in kwargs else None
    given = kwargs.get("dims", args[1] if len(args) > 1 else None)
    dims = integers([given]) if given is not None else None
    at = ax.index_of(a, dims[0]) if dims and shift else None
    if at is None or not shift or a.tags[at] != "T":
        return Effect(a) if at is not None and a.tags[at] not in ax.POSITIONS else LOST
    if shift[0] < 0:
        return Effect(a, "every position is given what a later one holds")
    return Effect(a._replace(tags=a.tags[:at] + ("P" if shift[0] == 1 else "-") + a.tags[at + 1 :]))


def _pad(a: Axes, args: Args, kwargs: Kwargs) -> Effect:
    """`F.pad`: pairs from the last axis backwards; positions may be padded in front."""
    given = kwargs.get("pad", args[0] if args else None)
    widths = list(given.items) if given is not None and given.items is not None else []
    tags = list(a.tags)
    for i in range(len(widths) // 2):
        if i >= len(tags):
            return LOST
        before, after = widths[2 * i], widths[2 * i + 1]
        tag = tags[-1 - i]
        if (before.const == 0 and after.const == 0) or tag not in ax.POSITIONS:
            continue
        if (tag, before.const, after.const) == ("I", 1, 0) or (tag == "T" and before.const == 1 and after.const == -1):
            tags[-1 - i] = "P"
        elif tag == "T" and after.const == 0:
            tags[-1 - i] = "L"
        elif tag == "T" and before.const == -1 and after.const == 1:
            return Effect(a, "every position is given what the next one holds")
        else:
            return LOST
    return Effect(a._replace(tags="".join(tags)))


def _mt(a: Axes, args: Args, kwargs: Kwargs) -> Effect:
    return ax.transposed(a, -1, -2)


SHAPES: dict[str, Callable[[Axes, Args, Kwargs], Effect]] = {
    "view": _view,
    "reshape": _view,
    "transpose": _transpose,
    "swapaxes": _transpose,
    "permute": _permute,
    "unsqueeze": _one_dim(ax.inserted),
    "squeeze": _one_dim(ax.removed),
    "chunk": _pieces,
    "split": _pieces,
    "tensor_split": _pieces,
    "unbind": _unbind,
    "flatten": _flatten,
    "expand": _expand,
    "roll": _roll,
    "pad": _pad,
    "mT": _mt,
}
