"""Methods of tensors, arrays, texts and values that are not known.

A method is looked up in `registry` by its name. What is not listed is unknown: the result is made from the receiver and
everything that the call was given.
"""

from __future__ import annotations

import ast

from auditor.timeline import sequence
from auditor.timeline.axes import POSITIONS, Axes, index_of
from auditor.timeline.library import Library
from auditor.timeline.registry import METHODS, Args, Kwargs
from auditor.timeline.values import (
    DIFF,
    HASH,
    JUDGED_PART,
    LOOKED,
    NONE,
    PAIR,
    PLACES,
    TOTALS,
    UNKNOWN,
    Obj,
    Taint,
    Val,
    is_params,
    join_taint,
    of_taint,
    with_flags,
)

_METADATA_METHODS = frozenset(
    [
        "size",
        "numel",
        "dim",
        "ndimension",
        "element_size",
        "is_floating_point",
        "is_contiguous",
        "get_device",
        "nelement",
        "data_ptr",
        "stride",
        "type",
    ]
)

_SHAPE_METHODS = frozenset(
    [
        "to",
        "cuda",
        "cpu",
        "reshape",
        "view",
        "astype",
        "type_as",
        "flatten",
        "expand",
        "unsqueeze",
        "squeeze",
        "transpose",
        "permute",
        "contiguous",
        "pin_memory",
        "double",
        "int",
        "long",
        "float",
        "repeat",
        "repeat_interleave",
        "chunk",
        "split",
        "narrow",
        "mean",
        "sum",
        "item",
        "tolist",
        "copy",
        "clone",
        "detach",
        "numpy",
        "bfloat16",
        "half",
        "unbind",
        "round",
    ]
)

_SAME_MEMORY = frozenset(["to", "cuda", "cpu", "contiguous", "detach", "requires_grad_", "view_as", "numpy"])

_TEXT_METHODS = frozenset(
    [
        "lower",
        "upper",
        "strip",
        "split",
        "replace",
        "startswith",
        "endswith",
        "format",
        "join",
        "rstrip",
        "lstrip",
        "encode",
        "decode",
        "partition",
        "rpartition",
        "rsplit",
        "isdigit",
        "title",
        "count",
        "removeprefix",
        "removesuffix",
        "splitlines",
    ]
)

_FOLDING = frozenset({"bitwise_xor_", "mul_", "bitwise_left_shift_"})


def _receiver(call: ast.AST) -> ast.expr | None:
    """What an in-place method is called on; `x` for `x.mul_(a).add_(b)`."""
    view: ast.expr | None = None
    while isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr.endswith("_"):
        view = call = call.func.value
    return view


def _row_by_row(args: Args) -> bool:
    """Whether `scatter_(dim, index, value)` marks one place in the row of each position: such rows are no table."""
    axes, dim = args[1].axes if len(args) > 1 else None, args[0].const
    if axes is None or axes.kind != "tensor" or not isinstance(dim, int):
        return False
    at = index_of(axes, dim)
    return at is not None and axes.tags[at] == "1" and (len(axes.tags) > 2 or any(c in POSITIONS for c in axes.tags))


class Receivers(Library):
    """Methods of library types."""

    __slots__ = ()

    def value_method(self, base: Val, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """A method of a tensor, array, text, or a value that is not known."""
        value = self.method_value(base, name, args, kwargs, node)
        if base.axes is not None or sequence.laid_out(args):
            if name == "size" and base.axes is not None:
                return self.size_of(base.axes, args)
            value = self.laid(value, sequence.of_method(name, base, args, kwargs), node)
        return value

    def size_of(self, axes: Axes, args: Args) -> Val:
        """`t.size()`, `t.size(dim)`."""
        sizes = tuple(Val(axes=Axes(tag, "size")) for tag in axes.tags)
        at = args[0].const if args else None
        if not args:
            return Val(items=sizes)
        return sizes[at] if isinstance(at, int) and -len(sizes) <= at < len(sizes) else UNKNOWN

    def method_value(self, base: Val, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """What a method returns."""
        handler = METHODS.get(name)
        if handler is not None:
            result = handler(self, base, args, kwargs, node)
            if result is not None:
                return result
        if isinstance(base.const, (str, bytes)):
            return self.text_method(base, name, args)
        if name in _METADATA_METHODS:
            return UNKNOWN
        tensors = [o for o in base.objs if o.kind == "tensor"]
        if name.endswith("_") and not name.endswith("__"):
            return self.in_place(base, tensors, name, args, kwargs, node)
        receiver = base.taint if not base.objs else self.content(base)
        if name in TOTALS:
            receiver = with_flags(receiver, drop=PAIR)
        if not args and not kwargs:
            if tensors and name in _SAME_MEMORY:
                return base
            return (
                Val(lin=base.lin, loops=base.loops, old=base.old, taint=receiver)
                if base.lin is not None
                else of_taint(receiver, base.loops, base.old)
            )
        if name in _SHAPE_METHODS:
            if tensors and len(tensors) == len(base.objs) and name in ("to", "cuda", "cpu"):
                return base
            return Val(lin=base.lin, loops=base.loops, old=base.old, taint=receiver)
        result = self.apply_unknown([of_taint(receiver, base.loops, base.old), *args], kwargs, node)
        return result

    def in_place(self, base: Val, tensors: list[Obj], name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """`t.add_(x)` and its like."""
        if name == "requires_grad_":
            return base
        if is_params(base):
            if name not in ("zero_", "normal_", "uniform_", "fill_", "clamp_", "requires_grad_"):
                for arg in [*args, *kwargs.values()]:
                    self.write_parameters(base, arg, node)
            return base
        t = NONE
        for arg in [*args, *kwargs.values()]:
            t = join_taint(t, self.content(arg))
        if self.choosing and t.nll:
            t = self.choice(node, t, bool(self.choosing & JUDGED_PART))
        view = _receiver(node)
        containers: list[Obj] = []
        if not tensors and isinstance(view, ast.Subscript):  # a slice is a view of its tensor
            whole = self.ev(view.value).objs
            tensors = [o for o in whole if o.kind == "tensor"]
            containers = [o for o in whole if o.kind in ("dict", "list")]
        for obj in tensors:
            if name in ("zero_",):
                if not self.weak:
                    obj.content = NONE
                    self.touch(obj)
            elif t is not NONE:
                if name in ("scatter_add_", "index_add_", "index_put_", "scatter_", "scatter_reduce_") and args:
                    index = self.key_of(args[1] if len(args) > 1 and name not in ("index_put_",) else args[0])
                    counts = any(r.split == "val" for r in index.toks) and not index.flags & (DIFF | PLACES)
                    one_hot = name in ("scatter_", "scatter_add_") and _row_by_row(args)
                    one_hot |= name == "scatter_" and self.answers(obj, index)
                    self.write_tensor(obj, t, index, counts and not one_hot, node)
                else:
                    self.add_content(
                        obj, with_flags(t, HASH if name in _FOLDING and t.toks and not t.flags & DIFF else 0)
                    )
                    if t.upd:
                        self.add_state(obj, t.upd)
        if tensors:
            return base
        value = of_taint(join_taint(self.content(base), t), base.loops, base.old)
        if not base.objs and t is not NONE:
            if isinstance(view, ast.Name):
                self.assign_name(view.id, value)
            for obj in containers if t.upd else ():
                self.store_elem(obj, value)
        return value

    def answers(self, obj: Obj, index: Taint) -> bool:
        """Whether an array made in this iteration is marked where a look-up said: no table of tokens."""
        return bool(index.flags & LOOKED and self.loops and obj.born > self.loops[-1].births)

    def text_method(self, base: Val, name: str, args: Args) -> Val:
        """Methods of known text, folded when they are harmless."""
        if (
            name in _TEXT_METHODS
            and not (name == "replace" and len(args) > 1 and len(str(args[1].const)) > 100)
            and not (name == "format" and ":" in str(base.const))
            and all(isinstance(a.const, (str, int, bytes, type(None))) for a in args)
            and len(base.const) < 200_000
        ):
            try:
                result = getattr(base.const, name)(*(a.const for a in args))
            except Exception:
                return of_taint(base.taint)
            if isinstance(result, (list, tuple)):
                return Val(items=tuple(Val(const=r, taint=self.path_taint(r)) for r in result[:256]))
            return Val(const=result, taint=join_taint(base.taint, self.path_taint(result)))
        return self.unknown(base, *args)
