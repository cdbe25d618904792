"""Models of numerical libraries: losses, softmax, gathers, counting, collectives."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable

from auditor.program.linear import ZERO
from auditor.timeline.library import Library
from auditor.timeline.methods import gather
from auditor.timeline.models import smaller
from auditor.timeline.registry import FUNCTIONS, METHODS, PATHS, Args, Kwargs
from auditor.timeline.values import (
    ALIEN,
    COPY,
    DIFF,
    GRAD,
    JUDGED_PART,
    JUDGED_WHOLE,
    NOCONST,
    NONE,
    NONE_VAL,
    NORMED,
    PACKED,
    UNKNOWN,
    VOCAB,
    Val,
    constant,
    join,
    join_taint,
    of_obj,
    of_taint,
    retaint,
    taint,
    with_flags,
)

UNIFORM = -math.log(256)
"""The logarithm of what a uniform distribution gives a symbol, where they are few: no constant above it is a share."""


def _cross_entropy(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    logits = args[0] if args else kwargs.get("input", UNKNOWN)
    target = args[1] if len(args) > 1 else kwargs.get("target", kwargs.get("labels", UNKNOWN))
    for v in args[2:]:
        if self.content(v).toks and not self.content(target).toks:
            target = v
    p = self.content(logits)
    out = self.score_event(node, p, self.content(target))
    return of_taint(with_flags(out, drop=VOCAB), logits.loops | target.loops, logits.old | target.old)


def _softmax(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    v = self.unknown(*args)
    return retaint(v, with_flags(v.taint, VOCAB | NORMED)) if v.taint is not NONE else v


def _gather(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if not args:
        return None
    return gather(self, args[0], args[1:], kwargs, node)


def _grad(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if not args:
        return None
    loss = self.content(args[0])
    event = self.update_event("gradient", node, self.loss_regions(loss), loss.nll)
    pending = frozenset((event.number,)) if event is not None else frozenset()
    return self.gradient(pending, GRAD)


def _bincount(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    obj = self.alloc("tensor", "bincount", node)
    key = self.content(args[0]) if args else NONE
    if any(r.split == "val" for r in key.toks) and not key.flags & DIFF:
        self.count_write(obj, key, node)
    return of_obj(obj)


def _add_at(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if path.endswith((".add.at", ".maximum.at", ".subtract.at")) and len(args) > 1:
        key = self.key_of(args[1])
        is_val = any(r.split == "val" for r in key.toks) and not key.flags & DIFF
        for obj in args[0].objs:
            if obj.kind in ("tensor", "dict"):
                self.write_tensor(obj, self.content(args[2]) if len(args) > 2 else NONE, key, is_val, node)
        return NONE_VAL
    return None


def _where(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) == 3:
        if isinstance(args[0].const, bool):
            return args[1] if args[0].const else args[2]
        a, b, test = self.content(args[1]), self.content(args[2]), self.content(args[0])
        self.note_mix(a, b, node)
        gate = self.gated(test)
        if gate is not NONE:
            self.note_gate(gate, join_taint(a, b), self.counted(a) ^ self.counted(b), node)
        picked = join(
            of_taint(self.content(args[1]), args[1].loops, args[1].old),
            of_taint(self.content(args[2]), args[2].loops, args[2].old),
        )
        if picked.taint.nll and test.flags & (JUDGED_PART | JUDGED_WHOLE):
            picked = retaint(picked, self.choice(node, picked.taint, True))
        hints = frozenset(n for n in test.counts if self.read_list[n].picks)
        chosen = taint(deps=test.deps, upd=test.upd, counts=hints, flags=test.flags & COPY)
        return retaint(picked, join_taint(picked.taint, chosen))
    return self.method_value(args[0], "nonzero", [], {}, node) if len(args) == 1 else None


def _minimum(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """Element by element the smaller one."""
    return smaller(self, args, self.unknown(*args), node, parts=True) if len(args) == 2 else None


def _logaddexp(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """A sum of probabilities, of which the logarithms are given."""
    if len(args) < 2:
        return None
    contents = [self.content(a) for a in args[:2]]
    for t, other in zip(contents, reversed(args[:2]), strict=True):
        if t.nll and not t.flags & VOCAB and isinstance(other.const, int | float) and other.const > UNIFORM:
            self.alien_event(node, t.nll, "a constant")
    return self.binary(ast.Add, args[0], args[1], node) if any(t.nll for t in contents) else None


def _compressed(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """`lzma.compress(tokens)`: what comes out of it again is a stored copy of the text."""
    t = self.content(args[0]) if args else NONE
    return of_taint(with_flags(t, PACKED)) if any(r.split == "val" for r in t.toks) else None


def _logsumexp(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """Probabilities that were stacked are added up."""
    return METHODS["logsumexp"](self, args[0], args[1:], kwargs, node) if args else None


def _scalar(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """`np.float32(x)`: a known number stays known."""
    return args[0] if args and isinstance(args[0].const, int | float) else None


def _binary_fn(op: type) -> Callable[[Library, Args, Kwargs, ast.AST, str], Val | None]:
    def model(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
        return self.binary(op, args[0], args[1], node) if len(args) == 2 else None

    return model


def _equal(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return self.compared(args[0], [args[1]], node, equality=True) if len(args) == 2 else None


def _arange(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    v = self.unknown(*args)
    start = args[0].lin if len(args) > 1 else ZERO
    return Val(lin=start, loops=v.loops, old=v.old, taint=v.taint)


def _layers(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """`stack([loss, entropy])`: each has a place of its own, until they are added up."""
    made = _stack(self, args, kwargs, node, path)
    parts = [self.content(v) for v in self.literal_elements(args[0]) or ()] if args else []
    of_target = any(t.nll and not t.flags & VOCAB for t in parts)
    of_row = any(t.flags & VOCAB and not t.nll and not t.counts for t in parts)
    return retaint(made, with_flags(made.taint, ALIEN)) if made is not None and of_target and of_row else made


def _stack(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return of_taint(self.content(args[0]), args[0].loops, args[0].old) if args else UNKNOWN


def _kept(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """`np.asarray(x)`, `torch.from_numpy(x)`: the same content, the same positions."""
    if not args:
        return None
    v = args[0]
    if v.const is not NOCONST and not v.objs:
        return of_obj(self.alloc("tensor", "tensor", node))
    if v.objs and any(o.kind in ("tensor", "inst") for o in v.objs):
        return v
    return Val(lin=v.lin, loops=v.loops, old=v.old, taint=self.content(v))


def _world(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return constant(8 if path.endswith("world_size") else 0)


def _all_gather(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """Every rank holds what this one holds."""
    if len(args) > 1:
        target, value = (args[0], args[1]) if "all_gather" in path else (args[1], args[0])
        for obj in target.objs:
            if obj.kind == "list":
                self.store_elem(obj, value)
            elif obj.kind == "tensor":
                self.add_content(obj, self.content(value))
    return NONE_VAL


def _kl(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    v = self.unknown(*args)
    return retaint(v, with_flags(v.taint, drop=VOCAB))


def _functional_call(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    if len(args) < 3:
        return None
    inner = list(args[2].items) if args[2].items is not None else [args[2]]
    named = args[3].objs[0].fields if len(args) > 3 and args[3].objs else {}
    upd = self.content(args[1]).upd
    before = self.states
    self.states = dict(before)
    for obj in args[0].objs:
        if upd:
            self.states[obj] = upd
    if upd:
        self.effect()
    out = self.call_value(args[0], inner, named, node)
    self.states = before
    return out


def _true(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    return constant(True)


def _backward(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """`torch.autograd.backward(losses)`, of one or several."""
    if args:
        self.backward(args[0], node)
    return NONE_VAL


PATHS.update(
    {
        "torch.autograd.grad": _grad,
        "torch.autograd.backward": _backward,
        "torch.distributed.all_gather_object": _all_gather,
        "torch.distributed.all_gather": _all_gather,
        "torch.distributed.gather_object": _all_gather,
        "torch.distributed.gather": _all_gather,
        "torch.distributed.all_gather_into_tensor": _all_gather,
        "torch.minimum": _minimum,
        "torch.fmin": _minimum,
        "torch.min": _minimum,
        "numpy.minimum": _minimum,
        "numpy.fmin": _minimum,
        "torch.where": _where,
        "numpy.where": _where,
        "torch.eq": _equal,
        "torch.ne": _equal,
        "numpy.equal": _equal,
        "numpy.not_equal": _equal,
        "torch.arange": _arange,
        "numpy.arange": _arange,
        "torch.stack": _layers,
        "torch.cat": _stack,
        "numpy.concatenate": _stack,
        "numpy.stack": _layers,
        "torch.logsumexp": _logsumexp,
        **{f"{name}.compress": _compressed for name in ("lzma", "zlib", "bz2", "gzip", "brotli", "zstandard", "zstd")},
        "scipy.special.logsumexp": _logsumexp,
        "torch.tensor": _kept,
        "torch.as_tensor": _kept,
        "torch.from_numpy": _kept,
        "numpy.array": _kept,
        "numpy.asarray": _kept,
        "numpy.ascontiguousarray": _kept,
        "numpy.float32": _scalar,
        "numpy.float64": _scalar,
        "numpy.int64": _kept,
        "numpy.uint64": _kept,
        "numpy.bitwise_xor": _binary_fn(ast.BitXor),
        "torch.bitwise_xor": _binary_fn(ast.BitXor),
        "torch.remainder": _binary_fn(ast.Mod),
        "torch.add": _binary_fn(ast.Add),
        "torch.mul": _binary_fn(ast.Mult),
        "torch.div": _binary_fn(ast.Div),
        "torch.logaddexp": _logaddexp,
        "torch.logaddexp2": _logaddexp,
        "numpy.logaddexp": _logaddexp,
        "numpy.logaddexp2": _logaddexp,
        "torch.distributed.get_world_size": _world,
        "torch.distributed.get_rank": _world,
        "torch.distributed.is_initialized": _true,
        "torch.distributed.is_available": _true,
        "torch.cuda.is_available": _true,
        "torch.bincount": _bincount,
        "numpy.bincount": _bincount,
        "json.dumps": _stack,
        "torch.func.functional_call": _functional_call,
        "torch.nn.utils.stateless.functional_call": _functional_call,
    }
)
FUNCTIONS.update(
    {
        "cross_entropy": _cross_entropy,
        "nll_loss": _cross_entropy,
        "softmax": _softmax,
        "log_softmax": _softmax,
        "gather": _gather,
        "take_along_dim": _gather,
        "take_along_axis": _gather,
        "frombuffer": _kept,
        "at": _add_at,
        "kl_div": _kl,
    }
)
