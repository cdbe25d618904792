"""Models of methods of tensors, containers, files and optimisers."""

from __future__ import annotations

import ast
import os.path
from functools import reduce
from operator import or_

from auditor.timeline.library import Library
from auditor.timeline.registry import METHODS, Args, Kwargs
from auditor.timeline.values import (
    ALIEN,
    BITS,
    DIFF,
    GRAD,
    NOCONST,
    NONE,
    NONE_VAL,
    NORMED,
    PICKED,
    PLACES,
    PROB,
    STATE,
    UNKNOWN,
    VOCAB,
    Val,
    constant,
    is_params,
    join,
    join_taint,
    of_obj,
    of_taint,
    reordered,
    vary,
    with_flags,
)


def gather(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    """`t.gather(dim, index)`: by targets from the vocabulary it is a score, from a table a look-up."""
    index = kwargs.get("index") or (args[1] if len(args) > 1 else args[0] if args else UNKNOWN)
    t, key = self.content(base), self.content(index)
    if not any(r.split == "val" for r in key.toks) or key.nll or key.flags & DIFF:
        return self.unknown(base, index)
    if t.flags & DIFF and t.toks and not t.nll:
        scored = self.score_event(node, t, key)
        return of_taint(with_flags(scored, PROB, VOCAB), base.loops | index.loops, base.old | index.old)
    if not t.flags & NORMED:
        self.pick_from_hashed(t.counts)
        t = with_flags(t, PICKED) if t.counts else t
    table = next((o for o in base.objs if o.kind == "tensor"), None)
    return self.table_read(table, Val(taint=t), index, key, node, exact=False)


def _backward(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    """`loss.backward()`, or `accelerator.backward(loss)`."""
    given = args[0] if args and self.content(base) is NONE else base
    self.backward(given, node)
    return NONE_VAL


def _step(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    for arg in args:
        t = self.content(arg)
        if arg.objs and any(o.kind in ("opt", "inst") for o in arg.objs):
            for obj in arg.objs:
                if obj.kind == "opt":
                    self.optimizer_step(obj, node)
            return NONE_VAL
        if t.nll:
            return NONE_VAL
    if not base.objs and self.pending:
        self.apply_pending(tuple(self.val_models), "", node)
    return NONE_VAL


def _softmax(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    t = self.content(base)
    return of_taint(with_flags(t, VOCAB | NORMED) if t is not NONE else t, base.loops, base.old)


def _logsumexp(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    """Stacked probabilities are added up: of the scored token, and a number that is none of it."""
    t = self.content(base)
    if t.flags & ALIEN and t.nll:
        self.alien_event(node, t.nll, "an entropy, or another number of the whole row of predictions,")
        return of_taint(with_flags(t, drop=ALIEN | VOCAB), base.loops, base.old)
    return None


def _write(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    t = self.content(args[0]) if args else NONE
    self.write_file(base, t)
    if t.nll:
        self.report(node, t, bool(t.flags & BITS), getattr(node, "lineno", 0), "")
    return NONE_VAL


def _to_file(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    if args:
        self.write_file(args[0], self.content(base), raw=True)
    return NONE_VAL


def _same_path(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    """`path.resolve()`: the same file."""
    return base if self.is_path(base) else None


def _read(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    if isinstance(base.const, (str, bytes)):
        return None
    return self.read_file(base, node)


def _read_into(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    """`file.readinto(buffer)`: the content goes into the buffer."""
    content = self.read_file(base, node)
    for arg in args:
        for obj in arg.objs:
            if obj.kind == "tensor":
                self.add_content(obj, content.taint)
    return content


def _glob(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    obj = self.alloc("list", "list", node)
    t = join_taint(self.path_taint(args[0].const) if args else NONE, self.content(args[0]) if args else NONE)
    self.store_elem(obj, of_taint(t))
    return Val(objs=(obj,), taint=t)


def _with_name(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    """`path.with_name(name)`: a file beside it; under a name that is not known, one that is its own."""
    if not self.is_path(base) or not args or base.objs[0].extra is None:
        return None
    folder, own = os.path.split(base.objs[0].extra)
    name = args[0].const if isinstance(args[0].const, str) else f"?{own}"
    return self.new_path(f"{folder or '?'}/{name}", NONE)


def _open(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    """`path.open("wb")`; what is written as text, as journals are, is not what tensors are read from."""
    binary = bool(args) and isinstance(args[0].const, str) and "b" in args[0].const
    return self.open_file(base) if binary and self.is_path(base) else None


def _move(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    """`path.replace(other)`, `path.rename(other)`."""
    if not self.is_path(base) or not args:
        return None
    self.copy_file(base, args[0], node)
    return args[0]


def _copy(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    self.note_restored(node)
    if is_params(base) and args:
        t = self.content(args[0])
        if t.flags & STATE and not t.flags & GRAD and not t.toks:
            self.load_state(base, args[0], node)  # `p.copy_(before[name])` for every parameter
        elif not self.weak or t.upd or t.toks:
            self.write_parameters(base, args[0], node)
        return base
    return None


def _get(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    result: Val | None = None
    for obj in base.objs:
        if obj.kind == "dict":
            value = self.subscript_dict(obj, args[0], node, base.taint) if args else UNKNOWN
            if len(args) > 1 and not (args[0].const is not NOCONST and args[0].const in obj.fields):
                value = (
                    join(value, args[1])
                    if value is not UNKNOWN
                    else (args[1] if obj.elem is None and not obj.fields else value)
                )
            result = value if result is None else join(result, value)
    return result


def _append(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    func = getattr(node, "func", None)
    name = getattr(func, "attr", "append")
    for obj in base.objs:
        if obj.kind in ("list", "libmod"):
            # what a branch picks for a list that was there before it
            picked = reduce(or_, (loops for births, loops in self.control if obj.born <= births), 0)
            for v in args[-1:]:
                self.store_elem(obj, vary(self.iterate(v, node, 0) if name in ("extend", "update") else v, picked))
        elif obj.kind == "tensor":
            for v in args:
                self.add_content(obj, self.content(v))
    if not base.objs:
        return None
    return NONE_VAL


def _dict_update(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    for obj in base.objs:
        if obj.kind == "dict":
            for v in args:
                for other in v.objs:
                    if other.kind == "dict":
                        for key, value in other.fields.items():
                            self.store_field(obj, key, value)
                        if other.elem is not None:
                            self.store_elem(obj, other.elem)
                t = self.content(v)
                if any(r.split == "val" for r in t.toks) and not t.flags & DIFF and not t.nll:
                    self.count_write(obj, t, node)
            for key, value in kwargs.items():
                self.store_field(obj, key, value)
            return NONE_VAL
    return _append(self, base, args, kwargs, node)


def _items(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    dicts = [o for o in base.objs if o.kind == "dict"]
    if not dicts:
        return _snapshot_items(self, base, node)
    out = self.alloc("list", "list", node)
    name = getattr(getattr(node, "func", None), "attr", "items")
    for obj in dicts:
        pairs = list(obj.fields.items())
        if obj.elem is None and 0 < len(pairs) <= 4 and len(dicts) == 1 and not any(is_params(v) for _, v in pairs):
            for index, (key, value) in enumerate(pairs):
                out.fields[index] = {
                    "items": Val(items=(constant(key), value)),
                    "values": value,
                    "keys": constant(key),
                }[name]
            continue
        value_or_none = obj.elem
        for _, item in pairs:
            value_or_none = item if value_or_none is None else join(value_or_none, item)
        value = value_or_none if value_or_none is not None else UNKNOWN
        self.store_elem(out, {"items": Val(items=(UNKNOWN, value)), "values": value, "keys": UNKNOWN}[name])
    return Val(objs=(out,), loops=base.loops, old=base.old)


def _snapshot_items(self: Library, base: Val, node: ast.AST) -> Val | None:
    """Items of saved parameters: their names hold nothing of what the parameters were made from."""
    if base.objs or not base.taint.flags & STATE:
        return None
    out = self.alloc("list", "list", node)
    name = getattr(getattr(node, "func", None), "attr", "items")
    self.store_elem(out, {"items": Val(items=(UNKNOWN, base)), "values": base, "keys": UNKNOWN}[name])
    return Val(objs=(out,), loops=base.loops, old=base.old)


def _setdefault(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    for obj in base.objs:
        if obj.kind == "dict" and len(args) > 1:
            self.store_elem(obj, args[1])
            return self.subscript_dict(obj, args[0], node)
    return None


def _pop(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    for obj in base.objs:
        if obj.kind == "dict" and args:
            return self.subscript_dict(obj, args[0], node)
        if obj.kind == "list":
            return self.iterate(base, node, self.innermost_of(base))
    return None


def _zero_grad(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    self.pending = frozenset()
    self.effect()
    return NONE_VAL


def _index(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    """`t.index_select(dim, idx)`, `t.take(idx)`: a look-up."""
    index = args[-1] if args else UNKNOWN
    return self.subscript_tensor(
        base, [o for o in base.objs if o.kind == "tensor"], index, ast.Name("index", ast.Load()), node
    )


def _itself(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    return base


def _submit(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    """`executor.submit(f, x)`: the function runs; `result()` gives what it returns."""
    if args and any(o.kind in ("func", "bound", "partial") for o in args[0].objs):
        return self.call_value(args[0], args[1:], kwargs, node)
    return None


def _equal(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    return self.compared(base, [args[0]], node, equality=True) if args else None


def _map(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    """`executor.map(f, xs)`: the function runs for every element."""
    if len(args) > 1 and any(o.kind in ("func", "bound", "partial") for o in args[0].objs):
        out = self.alloc("list", "list", node)
        self.store_elem(out, self.call_value(args[0], [self.iterate(a, node, 0) for a in args[1:]], {}, node))
        return of_obj(out)
    return None


def _sort(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    """`items.sort(key=...)`, in place."""
    for obj in base.objs if "key" in kwargs else ():
        if obj.kind == "list" and obj.elem is not None:
            self.store_elem(obj, reordered(obj.elem))
    return None


def _places(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    """The order of the elements, or which of them hold something, by their positions."""
    t = self.content(base)
    return of_taint(with_flags(t, PLACES), base.loops, base.old) if t.toks else None


METHODS.update(
    {
        "eq": _equal,
        "ne": _equal,
        "submit": _submit,
        "map": _map,
        "backward": _backward,
        "step": _step,
        "zero_grad": _zero_grad,
        "softmax": _softmax,
        "log_softmax": _softmax,
        "logsumexp": _logsumexp,
        "gather": gather,
        "write": _write,
        "write_bytes": _write,
        "write_text": _write,
        "tofile": _to_file,
        "read": _read,
        "read_bytes": _read,
        "read_text": _read,
        "readinto": _read_into,
        "open": _open,
        "with_name": _with_name,
        "resolve": _same_path,
        "absolute": _same_path,
        "expanduser": _same_path,
        "replace": _move,
        "rename": _move,
        "glob": _glob,
        "rglob": _glob,
        "copy_": _copy,
        "sort": _sort,
        "argsort": _places,
        "nonzero": _places,
        "argwhere": _places,
        "get": _get,
        "append": _append,
        "extend": _append,
        "add": _append,
        "appendleft": _append,
        "insert": _append,
        "update": _dict_update,
        "items": _items,
        "values": _items,
        "keys": _items,
        "setdefault": _setdefault,
        "pop": _pop,
        "popleft": _pop,
        "data_as": _itself,
        "index_select": _index,
        "take": _index,
    }
)
