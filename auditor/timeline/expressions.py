"""Evaluation of expressions."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from auditor.program.linear import Linear, add, atom, scale
from auditor.timeline.events import Mix
from auditor.timeline.machine import MAX_STEPS, BudgetSpent, Frame, Machine
from auditor.timeline.values import (
    BITS,
    DIFF,
    FALSE,
    GRAD,
    HASH,
    NOCONST,
    NONE,
    NONE_OBJ,
    NONE_VAL,
    NORMED,
    PARAMS,
    PROB,
    TRUE,
    UNKNOWN,
    VOCAB,
    Obj,
    Region,
    Taint,
    Val,
    constant,
    join,
    is_params,
    join_taint,
    of_obj,
    of_taint,
    retaint,
    taint,
    vary,
    with_flags,
    with_regions,
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
_FOLDS = (ast.BitXor, ast.Mult, ast.LShift)
METADATA = frozenset(
    "shape size numel ndim dim device dtype nelement element_size itemsize nbytes is_cuda layout stride storage_offset"
    " requires_grad is_floating_point is_leaf names training".split()
)
PLAIN = (int, float, str, bool, bytes, type(None), complex)


class Expressions(Machine):
    """One method a node type; `ev` dispatches."""

    # provided by the other parts of the interpreter
    def call(self, node: ast.Call) -> Val:
        raise NotImplementedError

    def call_value(self, fn: Val, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        raise NotImplementedError

    def attribute(self, base: Val, name: str, node: ast.AST) -> Val:
        raise NotImplementedError

    def iterate(self, v: Val, node: ast.AST, loops: int) -> Val:
        raise NotImplementedError

    def assign(self, target: ast.AST, value: Val) -> None:
        raise NotImplementedError

    def ev(self, node: ast.AST) -> Val:
        """Value of an expression."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise BudgetSpent
        method = _DISPATCH.get(type(node))
        return UNKNOWN if method is None else method(self, node)

    # ---- names and constants -------------------------------------------------------------------------

    def ev_constant(self, node: ast.Constant) -> Val:
        value = self.constants.get(node)
        if value is None:
            value = constant(node.value)
            if isinstance(node.value, str):
                value = retaint(value, self.path_taint(node.value))
            self.constants[node] = value
        return value

    def ev_name(self, node: ast.Name) -> Val:
        name = node.id
        value = self.frame.vars.get(name)
        if value is None:
            value = self.lookup(name)
            if value is None:
                return of_obj(self.builtin(name))
        if self.first_iteration and value.taint.deps:
            value = self.as_in_first_iteration(value)
        return value

    def as_in_first_iteration(self, v: Val) -> Val:
        """In code that runs in the first iteration of a loop only, nothing has crossed its back edge yet."""
        mask = self.first_iteration
        t = v.taint
        deps = frozenset(d for d in t.deps if not d.loops & mask)
        return v if deps == t.deps else retaint(v, taint(t.toks, t.upd, deps, t.nll, t.counts, t.flags))

    def lookup(self, name: str) -> Val | None:
        frame: Frame | None = self.frame
        while frame is not None:
            value = frame.vars.get(name)
            if value is not None:
                return value
            frame = frame.parent
            while frame is not None and isinstance(frame.node, ast.ClassDef):
                frame = frame.parent
        return self.frame.globals.vars.get(name)

    def builtin(self, name: str) -> Obj:
        return self.lib_object("builtins." + name)

    def lib_object(self, path: str) -> Obj:
        """A name of a library."""
        key = ("lib", path)
        obj = self.objects.get(key)
        if obj is None:
            obj = self.objects[key] = Obj("lib", path, len(self.objects))
        return obj

    # ---- operators -----------------------------------------------------------------------------------

    def ev_binop(self, node: ast.BinOp) -> Val:
        left = self.ev(node.left)
        right = self.ev(node.right)
        return self.binary(type(node.op), left, right, node)

    def binary(self, op: type, left: Val, right: Val, node: ast.AST) -> Val:
        """An arithmetic operation on abstract values."""
        if left.const is not NOCONST and right.const is not NOCONST:
            folded = self.fold(op, left.const, right.const)
            if folded is not None:
                t = join_taint(left.taint, right.taint)
                if isinstance(folded.const, str):
                    t = join_taint(t, self.path_taint(folded.const))
                return Val(folded.const, None, (), folded.lin, left.loops | right.loops, left.old | right.old, t)
        if op is ast.Add and left.items is not None and right.items is not None:
            return Val(items=left.items + right.items)
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
        if a is NONE and b is NONE:
            return Val(lin=lin if lin is not None or op not in (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv) else None, loops=loops, old=old)
        t = join_taint(a, b)
        if op is ast.Div:
            t = self.divide(a, b, right, t)
        elif op in (ast.Add, ast.Sub, ast.Mult):
            if op is ast.Mult:
                for value in (left, right):
                    if t.nll and isinstance(value.const, float) and abs(value.const * LN2 - 1.0) < 1e-3:
                        t = with_flags(t, BITS)
            self.note_mix(a, b, node)
            if op is ast.Sub and (a.flags | b.flags) & VOCAB and not (a.flags & b.flags & VOCAB) and not a.nll and not b.nll:
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
                return constant(text * count) if isinstance(count, int) and count * len(text) < MAX_TEXT else None  # type: ignore[arg-type]
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
        if isinstance(right.const, float) and abs(right.const - LN2) < 1e-3:
            return with_flags(t, BITS)
        if b.flags & BITS and not b.nll:
            return with_flags(t, BITS)
        if a.counts and b.counts:
            older = frozenset(_read_site(r) for c in b.counts for r in self.read_list[c].key)
            if older:
                for c in a.counts:
                    read = self.read_list[c]
                    if frozenset(map(_read_site, read.key)) > older and not read.target_in_key:
                        read.target_in_key = True
                        read.why = "its key holds one token more than the key of the count that it is divided by"
        return t

    def note_mix(self, a: Taint, b: Taint, node: ast.AST) -> None:
        """The scored token's probability meets a count that was read for that token."""
        for scored, counted in ((a, b), (b, a)):
            if not scored.nll or counted.nll or not counted.counts or scored.flags & VOCAB:
                continue
            # what was blended before holds the positions of its keys too: they say nothing of the target
            starts = {r.start for r in scored.toks if r.start is not None} if not scored.counts else set()
            reads = []
            for number in counted.counts:
                read = self.read_list[number]
                if not read.target_in_key and any(r.split == "val" and r.start is not None and r.start in starts for r in read.key):
                    read.target_in_key = True
                    read.why = "its key holds the token at the very position that is scored"
                if not read.target_in_key and len({r.shift for r in read.key}) > 1:
                    read.target_in_key = True
                    read.why = "its key holds the target side of the input/target pair"
                if read.target_in_key:
                    reads.append(number)
            if reads:
                key = (id(node), self.frame.ctx)
                found = self.mixes.get(key)
                if found is None:
                    self.mixes[key] = Mix(self.place(getattr(node, "lineno", 0)), frozenset(reads), scored.nll, self.tick())
                else:
                    found.counts |= frozenset(reads)
                    found.scores |= scored.nll

    def ev_unary(self, node: ast.UnaryOp) -> Val:
        v = self.ev(node.operand)
        if isinstance(node.op, ast.Not):
            known = self.truth(v)
            if known is None:
                return of_taint(v.taint, v.loops, v.old)
            return FALSE if known else TRUE
        if v.const is not NOCONST and isinstance(v.const, (int, float)) and isinstance(node.op, (ast.USub, ast.UAdd)):
            return constant(-v.const if isinstance(node.op, ast.USub) else v.const)
        if isinstance(node.op, ast.USub):
            t = self.content(v)
            return Val(lin=scale(v.lin, -1), loops=v.loops, old=v.old, taint=t)
        return of_taint(self.content(v), v.loops, v.old)

    def ev_boolop(self, node: ast.BoolOp) -> Val:
        stop = isinstance(node.op, ast.Or)
        result: Val | None = None
        for part in node.values:
            v = self.ev(part)
            known = self.truth(v)
            if known is None and v.objs and NONE_OBJ not in v.objs and all(o.kind in ("inst", "func", "lib", "class") for o in v.objs):
                known = True
            if known is stop:
                return v  # decides the outcome, whatever the unknown parts before it were
            if known is None or part is node.values[-1]:
                result = v if result is None else join(result, v)
        return result if result is not None else UNKNOWN

    def ev_compare(self, node: ast.Compare) -> Val:
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
        t, loops, old = self.content(left), left.loops, left.old
        for right in rights:
            t = join_taint(t, self.content(right))
            loops |= right.loops
            old |= right.old
        if t is not NONE:  # where a token is equal to another says where it is, not what it is
            t = taint(frozenset[Region](), t.upd, t.deps, frozenset(), t.counts, t.flags & ~(VOCAB | PROB | BITS | HASH))
        return of_taint(t, loops, old)

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

    def ev_ifexp(self, node: ast.IfExp) -> Val:
        known = self.truth(self.ev(node.test))
        if known is True:
            return self.ev(node.body)
        if known is False:
            return self.ev(node.orelse)
        return join(self.ev(node.body), self.ev(node.orelse))

    def ev_lambda(self, node: ast.Lambda) -> Val:
        obj = self.alloc("func", "<lambda>", node, node=node)
        obj.frame = self.frame
        obj.fields = dict(enumerate(self.ev(d) for d in node.args.defaults))
        return of_obj(obj)

    # ---- text ----------------------------------------------------------------------------------------

    def ev_fstring(self, node: ast.JoinedStr) -> Val:
        t, loops, text, known = NONE, 0, [], True
        for part in node.values:
            v = self.ev(part.value if isinstance(part, ast.FormattedValue) else part)
            if isinstance(part, ast.FormattedValue) and (part.format_spec is not None or not isinstance(v.const, (str, int))):
                known = False
            if known and v.const is not NOCONST:
                text.append(str(v.const))
            else:
                known = False
            t = join_taint(t, self.content(v))
            loops |= v.loops
        if known and sum(map(len, text)) < MAX_TEXT:
            whole = "".join(text)
            return Val(const=whole, loops=loops, taint=join_taint(t, self.path_taint(whole)))
        return of_taint(t, loops)

    def is_list(self, v: Val) -> bool:
        return len(v.objs) >= 1 and v.objs[0].kind == "list"

    def is_path(self, v: Val) -> bool:
        return len(v.objs) == 1 and v.objs[0].kind == "path"

    def path_join(self, left: Val, right: Val) -> Val:
        obj = left.objs[0]
        if obj.extra is not None and isinstance(right.const, str):
            return self.new_path(f"{obj.extra.rstrip('/')}/{right.const}", left.taint)
        return join(left, right)

    def new_path(self, text: str | None, t: Taint) -> Val:
        """A `pathlib.Path`."""
        key = ("path", text)
        obj = self.objects.get(key)
        if obj is None:
            obj = self.objects[key] = Obj("path", "Path", len(self.objects), extra=text)
        return Val(objs=(obj,), taint=join_taint(t, self.path_taint(text)))

    def path_taint(self, text: Any) -> Taint:
        raise NotImplementedError

    def concatenate(self, left: Val, right: Val, node: ast.AST) -> Val:
        obj = self.alloc("list", "list", node)
        for side in (left, right):
            elem = self.iterate(side, node, 0)
            if elem is not UNKNOWN:
                self.store_elem(obj, elem)
        return Val(objs=(obj,), loops=left.loops | right.loops)

    # ---- containers ----------------------------------------------------------------------------------

    def ev_tuple(self, node: ast.Tuple) -> Val:
        if any(isinstance(e, ast.Starred) for e in node.elts):
            return self.ev_list(node)
        return Val(items=tuple(self.ev(e) for e in node.elts))

    def ev_list(self, node: ast.List | ast.Set | ast.Tuple) -> Val:
        obj = self.alloc("list", "list", node)
        exact = not any(isinstance(e, ast.Starred) for e in node.elts) and len(node.elts) <= 64
        for index, element in enumerate(node.elts):
            if isinstance(element, ast.Starred):
                self.store_elem(obj, self.iterate(self.ev(element.value), element, 0))
            elif exact:
                value = self.ev(element)
                obj.fields[index] = value
                self.mark(obj, value.taint)
            else:
                self.store_elem(obj, self.ev(element))
        return of_obj(obj)

    def ev_dict(self, node: ast.Dict) -> Val:
        obj = self.alloc("dict", "dict", node)
        for key, value in zip(node.keys, node.values, strict=True):
            v = self.ev(value)
            if key is None:
                for other in v.objs:
                    if other.kind == "dict":
                        obj.fields.update(other.fields)
                        if other.elem is not None:
                            self.store_elem(obj, other.elem)
                continue
            self.dict_store(obj, self.ev(key), v)
        return of_obj(obj)

    def dict_store(self, obj: Obj, key: Val, value: Val) -> None:
        """`d[key] = value`."""
        if key.const is not NOCONST and isinstance(key.const, PLAIN) and len(obj.fields) < 256:
            self.store_field(obj, key.const, value)
        else:
            self.store_elem(obj, value)

    def ev_comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> Val:
        obj = self.alloc("list", "list", node)
        saved = self.frame.vars
        self.frame.vars = dict(saved)
        loops = self.bind_generators(node.generators)
        if loops is not None:
            value = self.ev(node.elt)
            self.store_elem(obj, vary(value, loops) if value.const is NOCONST or loops else value)
        self.frame.vars = saved
        obj.extra = self.comprehension_length(node)
        return Val(objs=(obj,), loops=0)

    def comprehension_length(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> int | None:
        """Length of `[... for _ in range(n)]`, when it is known."""
        first = node.generators[0]
        source = first.iter
        if len(node.generators) > 1 or first.ifs or not isinstance(source, ast.Call) or len(source.args) != 1:
            return None
        if not (isinstance(source.func, ast.Name) and source.func.id == "range"):
            return None
        count = self.ev(source.args[0]).const
        return count if isinstance(count, int) else None

    def ev_dictcomp(self, node: ast.DictComp) -> Val:
        obj = self.alloc("dict", "dict", node)
        saved = self.frame.vars
        self.frame.vars = dict(saved)
        loops = self.bind_generators(node.generators)
        if loops is not None:
            self.ev(node.key)
            self.store_elem(obj, self.ev(node.value))
        self.frame.vars = saved
        return of_obj(obj)

    def bind_generators(self, generators: list[ast.comprehension]) -> int | None:
        """Bind the variables of a comprehension; None when it is known to be empty."""
        loops = 0
        for generator in generators:
            source = self.ev(generator.iter)
            bit = self.loop_bit(generator)
            loops |= bit
            self.assign(generator.target, self.iterate(source, generator, bit))
            for test in generator.ifs:
                if self.truth(self.ev(test)) is False:
                    return None
        return loops

    def ev_starred(self, node: ast.Starred) -> Val:
        return self.ev(node.value)

    def ev_namedexpr(self, node: ast.NamedExpr) -> Val:
        v = self.ev(node.value)
        self.assign(node.target, v)
        return v

    def ev_yield(self, node: ast.Yield | ast.YieldFrom) -> Val:
        v = self.ev(node.value) if node.value is not None else NONE_VAL
        if isinstance(node, ast.YieldFrom):
            v = self.iterate(v, node, 0)
        self.frame.yields = v if self.frame.yields is None else join(self.frame.yields, v)
        return UNKNOWN

    def ev_await(self, node: ast.Await) -> Val:
        return self.ev(node.value)

    def ev_slice(self, node: ast.Slice) -> Val:
        parts = [self.ev(p) if p is not None else NONE_VAL for p in (node.lower, node.upper, node.step)]
        loops = parts[0].loops | parts[1].loops
        old = parts[0].old | parts[1].old
        t = join_taint(parts[0].taint, parts[1].taint)
        return Val(loops=loops, old=old, taint=t)

    def ev_attribute(self, node: ast.Attribute) -> Val:
        return self.attribute(self.ev(node.value), node.attr, node)

    # ---- subscripts ----------------------------------------------------------------------------------

    def ev_subscript(self, node: ast.Subscript) -> Val:
        base = self.ev(node.value)
        return self.subscript(base, node.slice, node)

    def subscript(self, base: Val, index_node: ast.AST, node: ast.AST) -> Val:
        """`base[index]` for reading."""
        if base.items is not None:
            picked = self.subscript_tuple(base, index_node)
            if picked is not None:
                return picked
        index = self.ev(index_node)
        if isinstance(base.const, (str, bytes)):
            return self.subscript_text(base, index_node, index)
        result: Val | None = None
        is_slice = isinstance(index_node, ast.Slice)
        plain: list[Obj] = []
        for obj in base.objs:
            kind = obj.kind
            if kind == "list":
                value = self.subscript_list(obj, index, is_slice, base)
            elif kind == "dict":
                value = self.subscript_dict(obj, index, node)
            elif kind == "lib":
                value = self.subscript_lib(obj, index, node)
            elif kind == "inst" and not is_params(base):
                method = self.class_attribute(obj.extra, "__getitem__")
                if method is not None:
                    value = self.call_value(self.bind(method, of_obj(obj)), [index], {}, node)
                else:
                    value = self.first_field(obj, index)
            elif kind == "libmod":
                value = join(obj.elem, UNKNOWN) if obj.elem is not None else UNKNOWN
                if obj.fields:
                    value = self.join_fields(obj, index)
            else:
                plain.append(obj)
                continue
            result = value if result is None else join(result, value)
        if plain or not base.objs or base.taint is not NONE:
            value = self.subscript_tensor(base, plain, index, index_node, node)
            if result is None:
                result = value
            elif value.taint is not NONE:
                result = join(result, value)
        out = result if result is not None else UNKNOWN
        return vary(out, index.loops) if index.loops & ~out.loops else out

    def first_field(self, obj: Obj, index: Val) -> Val:
        return self.unknown(of_obj(obj), index)

    def join_fields(self, obj: Obj, index: Val) -> Val:
        if isinstance(index.const, (int, str)) and index.const in obj.fields:
            return obj.fields[index.const]
        value: Val | None = obj.elem
        for item in obj.fields.values():
            value = item if value is None else join(value, item)
        return value if value is not None else UNKNOWN

    def subscript_tuple(self, base: Val, index_node: ast.AST) -> Val | None:
        items = base.items or ()
        if isinstance(index_node, ast.Slice):
            bounds = [self.ev(b).const if b is not None else None for b in (index_node.lower, index_node.upper, index_node.step)]
            if all(b is None or isinstance(b, int) for b in bounds):
                return Val(items=items[slice(*bounds)])
            return None
        index = self.ev(index_node)
        if isinstance(index.const, int) and not isinstance(index.const, bool):
            return items[index.const] if -len(items) <= index.const < len(items) else UNKNOWN
        if not items:
            return UNKNOWN
        value = items[0]
        for item in items[1:]:
            value = join(value, item)
        return vary(value, index.loops)

    def subscript_text(self, base: Val, index_node: ast.AST, index: Val) -> Val:
        if isinstance(index.const, int) and -len(base.const) <= index.const < len(base.const):
            return constant(base.const[index.const])
        if isinstance(index_node, ast.Slice):
            bounds = [self.ev(b).const if b is not None else None for b in (index_node.lower, index_node.upper, index_node.step)]
            if all(b is None or isinstance(b, int) for b in bounds):
                return constant(base.const[slice(*bounds)])
        return of_taint(base.taint)

    def subscript_list(self, obj: Obj, index: Val, is_slice: bool, base: Val) -> Val:
        if is_slice or index.lin is None and index.objs and index.const is NOCONST:
            return Val(objs=(obj,), loops=base.loops | index.loops, old=base.old | index.old)
        if isinstance(index.const, int) and obj.elem is None and obj.fields:
            keys = sorted(k for k in obj.fields if isinstance(k, int))
            if -len(keys) <= index.const < len(keys):
                return obj.fields[keys[index.const]]
        value = obj.elem
        for item in obj.fields.values():
            value = item if value is None else join(value, item)
        if value is None:
            return of_taint(NONE, index.loops | base.loops, index.old)
        return self.picked(value, index, base.loops)

    def picked(self, value: Val, index: Val, loops: int) -> Val:
        """An element picked by an index varies with the index; so do the tokens in it."""
        loops |= index.loops
        if not loops and not index.old:
            return value
        items = value.items
        if items is not None:
            items = tuple(self.picked(item, index, loops) for item in items)
        t = value.taint
        if t.toks:
            t = with_regions(t, (r._replace(loops=r.loops | loops, old=r.old | index.old) for r in t.toks))
        return Val(value.const, items, value.objs, value.lin, value.loops | loops, value.old | index.old, t)

    def subscript_dict(self, obj: Obj, index: Val, node: ast.AST) -> Val:
        if index.const is not NOCONST and isinstance(index.const, PLAIN) and index.const in obj.fields:
            value = obj.fields[index.const]
            return join(value, obj.elem) if obj.elem is not None else value
        value_or_none = obj.elem
        for item in obj.fields.values():
            value_or_none = item if value_or_none is None else join(value_or_none, item)
        value = value_or_none if value_or_none is not None else UNKNOWN
        key = self.content(index)
        if any(r.split == "val" for r in key.toks):
            return self.table_read(obj, value, index, key, node, exact=True)
        return self.picked(value, index, 0)

    def table_read(self, obj: Obj | None, value: Val, index: Val, key: Taint, node: ast.AST, *, exact: bool) -> Val:
        """A look-up keyed by validation tokens: depends on every write to the table that came before."""
        t = self.content(value)
        upd = (self.states_of(obj) if obj is not None else frozenset()) | t.upd
        folded = bool(key.flags & HASH) or (index.items is not None and sum(1 for i in index.items if self.content(i).toks) > 1 and exact)
        counts = t.counts
        if folded and not t.flags & DIFF:
            read = self.count_read(node, obj, obj.name if obj is not None else "table", key, exact, self.key_line(node))
            counts = counts | frozenset((read.number,))
        deps = t.deps
        if upd and not t.flags & DIFF:
            # a key of older tokens moves with the loop that set them aside: the read serves the present position
            moving = [r._replace(loops=r.loops | r.old) for r in key.toks]
            deps = deps | self.judge(upd, moving, getattr(node, "lineno", 0))
            upd = frozenset()
        flags = (t.flags | key.flags) & ~HASH
        out = taint(t.toks | key.toks, upd, deps | key.deps, t.nll | key.nll, counts | key.counts, flags)
        return Val(NOCONST, value.items, value.objs, None, value.loops | index.loops, value.old | index.old, out)

    def key_line(self, node: ast.AST) -> int:
        """Line where the key of a look-up is made: the assignment of the name that it is looked up with."""
        line = int(getattr(node, "lineno", 0))
        index = node.slice if isinstance(node, ast.Subscript) else node.args[-1] if isinstance(node, ast.Call) and node.args else None
        if not isinstance(index, ast.Name):
            return line
        made = [
            part.lineno
            for part in ast.walk(self.frame.node)
            if isinstance(part, ast.Assign) and part.lineno <= line and any(isinstance(t, ast.Name) and t.id == index.id for t in part.targets)
        ]
        return max(made, default=line)

    def subscript_lib(self, obj: Obj, index: Val, node: ast.AST) -> Val:
        if obj.name == "os.environ":
            return self.read_env(index, None, node)
        if obj.name in ("sys.argv",):
            return UNKNOWN
        if obj.name.startswith("typing.") or obj.name.startswith("builtins."):
            return of_obj(obj)
        return self.unknown(index)

    def read_env(self, key: Val, default: Val | None, node: ast.AST) -> Val:
        raise NotImplementedError

    def class_attribute(self, cls: Obj, name: str) -> Val | None:
        raise NotImplementedError

    def bind(self, fn: Val, self_val: Val) -> Val:
        raise NotImplementedError

    def subscript_tensor(self, base: Val, plain: list[Obj], index: Val, index_node: ast.AST, node: ast.AST) -> Val:
        """Indexing of tensors and arrays: token streams, vocabulary rows, tables, parameters."""
        t = self.content(Val(objs=tuple(plain), taint=base.taint)) if plain else base.taint
        if isinstance(index_node, ast.Slice) and isinstance(index_node.upper, ast.Constant) and index_node.upper.value == 0:
            t = with_regions(t, ())  # `tokens[:0]` holds none
        key = self.content(index)
        if t is NONE and key is NONE and not plain:
            return of_taint(NONE, base.loops | index.loops, base.old | index.old)
        key_is_val = any(r.split == "val" for r in key.toks)
        if key_is_val and t.flags & DIFF and t.toks and not t.nll and not key.nll and not key.flags & DIFF and self.picks_vocabulary(index_node, index):
            scored = self.score_event(node, t, key)
            return of_taint(with_flags(scored, PROB), base.loops | index.loops, base.old | index.old)
        if t.toks and (index.loops or index.old or self.has_bounds(index_node) or index.lin is not None):
            t = with_regions(t, self.cut(t.toks, index, index_node, node, bool(t.nll)))
        if key_is_val and not t.nll:
            table = plain[0] if plain else None
            if not t.flags & DIFF or t.counts:
                return self.table_read(table, Val(taint=t), index, key, node, exact=False)
        flags_out = t
        if key.toks:
            flags_out = join_taint(t, with_flags(key, drop=HASH | VOCAB))
        elif key.deps or key.upd:  # a mask picks; it is not part of what it picks
            flags_out = join_taint(t, taint(upd=key.upd, deps=key.deps))
        lin = base.lin
        objs: tuple[Obj, ...] = ()
        if is_params(base):
            objs, flags_out = tuple(plain), with_flags(flags_out, PARAMS)
        return Val(lin=lin, loops=base.loops | index.loops, old=base.old | index.old, taint=flags_out, objs=objs)

    def picks_vocabulary(self, index_node: ast.AST, index: Val) -> bool:
        """`logp[arange, targets]`, not `x[targets]`."""
        return isinstance(index_node, ast.Tuple)

    def has_bounds(self, index_node: ast.AST) -> bool:
        if isinstance(index_node, ast.Slice):
            return index_node.lower is not None
        if isinstance(index_node, ast.Tuple):
            return any(isinstance(e, ast.Slice) and e.lower is not None for e in index_node.elts)
        return False

    def cut(self, toks: frozenset[Region], index: Val, index_node: ast.AST, node: ast.AST, keep_site: bool) -> list[Region]:
        """Regions of a slice of a token stream."""
        last = index_node.elts[-1] if isinstance(index_node, ast.Tuple) and index_node.elts else index_node
        start: Linear | None = Linear(0)
        shift = 0
        site = 0
        if isinstance(last, ast.Slice):
            if last.lower is not None:
                low = self.ev(last.lower)
                start = low.lin
                if low.const == 1:
                    shift = 1
                if start is not None and not start.terms and start.const < 0:
                    start = None
                if low.const is NOCONST:
                    site = getattr(node, "lineno", 0) * 1000 + getattr(node, "col_offset", 0)
        elif not isinstance(last, (ast.Constant,)) or not isinstance(index_node, ast.Tuple):
            start = self.ev(last).lin if isinstance(index_node, ast.Tuple) else index.lin
            site = getattr(node, "lineno", 0) * 1000 + getattr(node, "col_offset", 0)
        out = []
        for r in toks:
            out.append(
                r._replace(
                    loops=r.loops | index.loops,
                    old=r.old | index.old,
                    start=add(r.start, start) if r.start is not None else None,
                    shift=r.shift + shift,
                    site=r.site if keep_site or not site else site,
                )
            )
        return out


def _read_site(r: Region) -> tuple[int, int]:
    """The read that a region of a key comes from."""
    return r.site, r.shift


_DISPATCH: dict[type, Callable[[Any, Any], Val]] = {
    ast.Constant: Expressions.ev_constant,
    ast.Name: Expressions.ev_name,
    ast.BinOp: Expressions.ev_binop,
    ast.UnaryOp: Expressions.ev_unary,
    ast.BoolOp: Expressions.ev_boolop,
    ast.Compare: Expressions.ev_compare,
    ast.IfExp: Expressions.ev_ifexp,
    ast.Lambda: Expressions.ev_lambda,
    ast.JoinedStr: Expressions.ev_fstring,
    ast.FormattedValue: lambda self, node: self.ev(node.value),
    ast.Tuple: Expressions.ev_tuple,
    ast.List: Expressions.ev_list,
    ast.Set: Expressions.ev_list,
    ast.Dict: Expressions.ev_dict,
    ast.ListComp: Expressions.ev_comprehension,
    ast.SetComp: Expressions.ev_comprehension,
    ast.GeneratorExp: Expressions.ev_comprehension,
    ast.DictComp: Expressions.ev_dictcomp,
    ast.Starred: Expressions.ev_starred,
    ast.NamedExpr: Expressions.ev_namedexpr,
    ast.Yield: Expressions.ev_yield,
    ast.YieldFrom: Expressions.ev_yield,
    ast.Await: Expressions.ev_await,
    ast.Slice: Expressions.ev_slice,
    ast.Attribute: Expressions.ev_attribute,
    ast.Subscript: Expressions.ev_subscript,
    ast.Call: lambda self, node: self.call(node),
}
