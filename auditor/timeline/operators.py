"""Arithmetic, comparison and logic on abstract values."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from auditor.program.linear import Linear, add, scale
from auditor.timeline import sequence
from auditor.timeline.axes import Kind
from auditor.timeline.mixing import Mixing
from auditor.timeline.values import (
    BITS,
    COPY,
    DIFF,
    FALSE,
    GRAD,
    HASH,
    JUDGED_PART,
    JUDGED_WHOLE,
    LOOKED,
    NOCONST,
    NONE,
    NONE_OBJ,
    NORMED,
    OUTCOME,
    PACKED,
    PAIR,
    PARAMS,
    PART,
    PROB,
    SHARE,
    STORED,
    TRAINING,
    TRUE,
    UNKNOWN,
    VOCAB,
    WHOLE,
    Obj,
    Region,
    Taint,
    Val,
    constant,
    is_params,
    join,
    join_taint,
    of_taint,
    retaint,
    small,
    taint,
    with_flags,
)

LN2 = 0.6931471805599453

MAX_TEXT = 100_000

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitXor: operator.xor,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}

_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}

_CANCELS: dict[type, Kind] = {ast.Div: "scale", ast.Mult: "range"}

_FOLDS = (ast.BitXor, ast.Mult, ast.LShift)

PLAIN = (int, float, str, bool, bytes, type(None), complex)


class Operators(Mixing):
    """Binary, unary and boolean operators."""

    __slots__ = ()

    def _ev_binop(self, node: ast.BinOp) -> Val:
        left = self.ev(node.left)
        right = self.ev(node.right)
        return self.binary(type(node.op), left, right, node)

    def binary(self, op: type, left: Val, right: Val, node: ast.AST) -> Val:
        """An arithmetic operation on abstract values."""
        value = self.combined(op, left, right, node)
        if left.axes is None and right.axes is None:
            return value
        if op in _CANCELS and left.taint.crossings and right.taint.crossings:
            value = self.uncancelled(value, left, right, _CANCELS[op])
        return self.laid(value, sequence.of_binary(op, left, right), node)

    def combined(self, op: type, left: Val, right: Val, node: ast.AST) -> Val:
        """What an operation makes of constants, positions and contents."""
        if left.const is not NOCONST and right.const is not NOCONST:
            folded = self.fold(op, left.const, right.const)
            if folded is not None:
                t = join_taint(left.taint, right.taint)
                if isinstance(folded.const, str):
                    t = join_taint(t, self.path_taint(folded.const))
                return Val(folded.const, None, (), folded.lin, left.loops | right.loops, left.old | right.old, t)
        if op is ast.Add and left.items is not None and right.items is not None:
            both = left.items + right.items
            return Val(items=both) if small(both) else UNKNOWN
        if op is ast.Add and (self.is_list(left) or self.is_list(right)):
            return self.concatenate(left, right, node)
        if op is ast.Mult and (self.is_list(left) or self.is_list(right)):
            return left if self.is_list(left) else right
        lin: Linear | None = None
        if left.lin is not None and right.lin is not None:
            if op is ast.Add:
                lin = add(left.lin, right.lin)
            elif op is ast.Sub:
                lin = add(left.lin, right.lin, -1)
            elif op is ast.Mult:
                if not right.lin.terms:
                    lin = scale(left.lin, right.lin.const)
                elif not left.lin.terms:
                    lin = scale(right.lin, left.lin.const)
        if op is ast.Div and self.is_path(left):
            return join(left, right) if right.const is NOCONST else self.path_join(left, right)
        loops, old = left.loops | right.loops, left.old | right.old
        a, b = left.taint, right.taint
        if left.objs or left.items:
            a = self.content(left)
        if right.objs or right.items:
            b = self.content(right)
        if op is ast.BitAnd and (left.const is False or right.const is False):
            return FALSE
        if op is ast.Mult and any(_is_ln2(v.const) for v in (left, right)):
            # bytes, times ln 2: what is divided by them is in bits
            a = with_flags(a, 0 if a.nll or b.nll else BITS)
        if a is NONE and b is NONE:
            return Val(
                lin=lin if lin is not None or op not in (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv) else None,
                loops=loops,
                old=old,
            )
        t = with_flags(join_taint(a, b), drop=SHARE | PARAMS)  # a number made of parameters is no parameter
        if op is ast.Div:
            t = self.divide(a, b, right, t)
            if a.flags & b.flags & LOOKED and not t.nll:
                t = with_flags(t, SHARE)
        elif op in (ast.Add, ast.Sub, ast.Mult):
            if op is not ast.Mult and is_params(left) and b.flags & GRAD:
                for number, _ in b.upd:
                    if number >= 0:
                        self.note_applied(number, node, left)
            if op is ast.Mult:
                for value in (left, right):
                    if t.nll and isinstance(value.const, float) and abs(value.const * LN2 - 1.0) < 1e-3:
                        t = with_flags(t, BITS)
            self.note_mix(a, b, node)
            if op is ast.Mult and (a.flags | b.flags) & PAIR:
                t = join_taint(t, self.note_weight(a, b, node))
            if op is ast.Mult and (a.flags | b.flags) & COPY and (a.nll or b.nll):
                self.effect()
                self.timeline.erased |= a.nll | b.nll
            if op is ast.Sub and a.counts and b.counts and not (a.nll or b.nll):
                self.compare_keys(b, a, "taken from")
            if (
                op is ast.Sub
                and (a.flags | b.flags) & VOCAB
                and not (a.flags & b.flags & VOCAB)
                and not a.nll
                and not b.nll
            ):
                t = with_flags(t, VOCAB)
        if op in _FOLDS and t.toks and not t.flags & DIFF and not t.nll and not t.counts:
            t = with_flags(t, HASH)
        if lin is not None:
            return Val(lin=lin, loops=loops, old=old, taint=t)
        return of_taint(t, loops, old)

    def fold(self, op: type, a: Any, b: Any) -> Val | None:
        """Constant folding with size caps; None when it does not fold."""
        if not isinstance(a, PLAIN) or not isinstance(b, PLAIN):
            return None
        try:
            if op is ast.Pow:
                if isinstance(b, (int, float)) and abs(b) <= 64 and isinstance(a, (int, float)) and abs(a) <= 2**32:
                    return constant(a**b)
                return None
            if op is ast.Mult and (isinstance(a, (str, bytes)) or isinstance(b, (str, bytes))):
                text, count = (a, b) if isinstance(a, (str, bytes)) else (b, a)
                if isinstance(text, (str, bytes)) and isinstance(count, int) and count * len(text) < MAX_TEXT:
                    return constant(text * count)
                return None
            if op is ast.LShift and (not isinstance(b, int) or b > 256):
                return None
            if op is ast.Mod and isinstance(a, (str, bytes)):
                return None
            result = _BINARY[op](a, b)
        except Exception:
            return None
        if isinstance(result, (str, bytes)) and len(result) > MAX_TEXT:
            return None
        if isinstance(result, int) and abs(result) > 1 << 512:
            return None
        return constant(result)

    def divide(self, a: Taint, b: Taint, right: Val, t: Taint) -> Taint:
        """Division: a loss by ln 2 is in bits; a count by the count of its context is a target probability."""
        if _is_ln2(right.const):
            return with_flags(t, BITS)
        if b.flags & BITS and not b.nll:
            return with_flags(t, BITS)
        if a.counts and a.counts == b.counts:
            self.divide_by_sum(a, b)
            return with_flags(t, NORMED)  # a row, divided by its sum
        if a.counts and b.counts:
            self.compare_keys(a, b, "divided by")
        return t

    def _ev_unary(self, node: ast.UnaryOp) -> Val:
        v = self.ev(node.operand)
        if isinstance(node.op, ast.Not):
            known = self.truth(v)
            if known is None:
                return of_taint(with_flags(v.taint, drop=TRAINING), v.loops, v.old)
            return FALSE if known else TRUE
        if v.const is not NOCONST and isinstance(v.const, (int, float)) and isinstance(node.op, (ast.USub, ast.UAdd)):
            return constant(-v.const if isinstance(node.op, ast.USub) else v.const)
        if isinstance(node.op, ast.USub):
            t = self.content(v)
            return Val(lin=scale(v.lin, -1), loops=v.loops, old=v.old, taint=t, axes=v.axes)
        return Val(loops=v.loops, old=v.old, taint=self.content(v), axes=v.axes)

    def _ev_boolop(self, node: ast.BoolOp) -> Val:
        stop = isinstance(node.op, ast.Or)
        result: Val | None = None
        for part in node.values:
            self.unsure += result is not None  # what stood before it may have decided
            v = self.ev(part)
            self.unsure -= result is not None
            known = self.truth(v)
            if (
                known is None
                and v.objs
                and NONE_OBJ not in v.objs
                and all(o.kind in ("inst", "func", "lib", "class") for o in v.objs)
            ):
                known = True
            if known is stop:
                return v  # decides the outcome, whatever the unknown parts before it were
            if known is None or part is node.values[-1]:
                result = v if result is None else join(result, v)
        if result is None:
            return UNKNOWN
        return retaint(result, with_flags(result.taint, drop=TRAINING)) if stop else result

    def _ev_compare(self, node: ast.Compare) -> Val:
        left = self.ev(node.left)
        rights = [self.ev(r) for r in node.comparators]
        if len(rights) == 1:
            known = self.compare(type(node.ops[0]), left, rights[0])
            if known is not None:
                return Val(const=known, loops=left.loops | rights[0].loops)
        elif all(v.const is not NOCONST for v in (left, *rights)):
            ok, current = True, left
            for op, right in zip(node.ops, rights, strict=True):
                known = self.compare(type(op), current, right)
                if known is None:
                    return UNKNOWN
                ok, current = ok and known, right
            return constant(ok)
        equality = len(rights) == 1 and isinstance(node.ops[0], ast.Eq | ast.NotEq)
        return self.compared(left, rights, node, equality=equality)

    def compared(self, left: Val, rights: list[Val], node: ast.AST, *, equality: bool) -> Val:
        """The result of a comparison that is not known."""
        t, loops, old = self.content(left), left.loops, left.old
        for right in rights:
            t = join_taint(t, self.content(right))
            loops |= right.loops
            old |= right.old
        if t is not NONE:  # where a token is equal to another says where it is, not what it is
            gates = t.gates
            sentinel = any(v.const is not NOCONST and not v.const for v in (left, *rights))  # `nll < 0`: not scored yet
            flags = t.flags & ~(VOCAB | PROB | BITS | HASH | PART | WHOLE)
            if not equality:
                flags |= self.judged(self.content(left), self.content(rights[0]))
                if not sentinel:
                    gates = gates.union(*(_outcomes(self.content(v)) for v in (left, *rights)))
            counts = frozenset[int]() if _asks_for_mark(node, rights[0]) else t.counts
            t = taint(frozenset[Region](), t.upd, t.deps, frozenset(), counts, flags, t.crossings, gates)
            if equality and t.flags & (STORED | PACKED):
                t = with_flags(t, self.note_copy(node, left, rights[0]))
        value = of_taint(t, loops, old)
        if left.axes is None and rights[0].axes is None:
            return value
        return self.laid(value, sequence.of_compare(left, rights[0]), node)

    def judged(self, a: Taint, b: Taint) -> int:
        """The flag of a comparison of two losses of validation tokens, else 0."""
        if not a.nll or not b.nll:
            return 0
        return JUDGED_PART if self.compares_parts(a, b) else JUDGED_WHOLE

    def compare(self, op: type, left: Val, right: Val) -> bool | None:
        """A comparison, when its outcome is known."""
        if op in (ast.Is, ast.IsNot, ast.Eq, ast.NotEq) and right.const is None:
            known = self.is_none(left)
            if known is None:
                return None
            return known if op in (ast.Is, ast.Eq) else not known
        if op in (ast.In, ast.NotIn):
            found = self.contains(left, right)
            return None if found is None else found if op is ast.In else not found
        if left.const is not NOCONST and right.const is not NOCONST:
            if op in (ast.Is, ast.IsNot):
                equal = left.const is right.const or left.const == right.const
                return equal if op is ast.Is else not equal
            try:
                return bool(_COMPARE[op](left.const, right.const))
            except Exception:
                return None
        if op in (ast.Gt, ast.GtE) and isinstance(right.const, float) and right.const > 1.0:
            return False if self.content(left).flags & SHARE else None
        return None

    def contains(self, item: Val, container: Val) -> bool | None:
        """`item in container`, when it is known."""
        if item.const is NOCONST:
            return None
        if container.const is not NOCONST:
            try:
                return item.const in container.const
            except TypeError:
                return None
        if container.items is not None and all(i.const is not NOCONST for i in container.items):
            return any(i.const == item.const for i in container.items)
        for obj in container.objs:
            if obj.kind == "lib" and obj.name == "os.environ":
                return item.const in self.env or item.const in ("RANK", "WORLD_SIZE", "LOCAL_RANK")
            if obj.kind == "list" and obj.fields and obj.elem is None:
                consts = [v.const for v in obj.fields.values()]
                if NOCONST not in consts:
                    return item.const in consts
            if obj.kind == "dict" and obj.elem is None:
                return item.const in obj.fields if len(container.objs) == 1 else None
        return None

    def is_list(self, v: Val) -> bool:
        """Whether a value is a list."""
        return len(v.objs) >= 1 and v.objs[0].kind == "list"

    def is_path(self, v: Val) -> bool:
        """Whether a value is a `pathlib.Path`."""
        return len(v.objs) == 1 and v.objs[0].kind == "path"

    def path_join(self, left: Val, right: Val) -> Val:
        """`path / name`; the name counts where the folder is not known."""
        obj = left.objs[0]
        if isinstance(right.const, str):
            return self.new_path(f"{(obj.extra or '?').rstrip('/')}/{right.const}", left.taint)
        return join(left, right)

    def new_path(self, text: str | None, t: Taint) -> Val:
        """A `pathlib.Path`."""
        key = ("path", text)
        obj = self.objects.get(key)
        if obj is None:
            obj = self.objects[key] = Obj("path", "Path", len(self.objects), extra=text)
        return Val(objs=(obj,), taint=join_taint(t, self.path_taint(text)))

    def concatenate(self, left: Val, right: Val, node: ast.AST) -> Val:
        """`left + right` of lists."""
        obj = self.alloc("list", "list", node)
        for side in (left, right):
            elem = self.iterate(side, node, 0)
            if elem is not UNKNOWN:
                self.store_elem(obj, elem)
        return Val(objs=(obj,), loops=left.loops | right.loops)


def _asks_for_mark(node: ast.AST, right: Val) -> bool:
    """Whether a comparison only asks if a number is there: no count is below zero, a mark for "none" is."""
    op = node.ops[0] if isinstance(node, ast.Compare) and len(node.ops) == 1 else None
    bound = right.const if isinstance(right.const, int | float) and not isinstance(right.const, bool) else None
    return bound is not None and (bound < 0 or (bound == 0 and isinstance(op, ast.GtE | ast.Lt)))


def _outcomes(t: Taint) -> frozenset[Region]:
    """What hangs on the probability that a token got; nothing when that is only one part of a value."""
    if len(t.nll) != 1 or len(t.toks) != 1 or t.flags & VOCAB:
        return frozenset()
    return frozenset(r._replace(split=OUTCOME) for r in t.toks if r.split == "val")


def _is_ln2(value: Any) -> bool:
    """Whether a constant is ln 2."""
    return isinstance(value, float) and abs(value - LN2) < 1e-3
