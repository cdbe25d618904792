"""Evaluation of expressions."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable
from typing import Any

from auditor.timeline.events import Undefined
from auditor.timeline.frames import Frame
from auditor.timeline.operators import MAX_TEXT, PLAIN
from auditor.timeline.subscripts import Subscripts, path_field
from auditor.timeline.values import (
    JUDGED_PART,
    JUDGED_WHOLE,
    NOCONST,
    NONE,
    NONE_VAL,
    PATH_TRAIN,
    PATH_VAL,
    TRAINING,
    UNKNOWN,
    Obj,
    Val,
    constant,
    join,
    join_taint,
    of_obj,
    of_taint,
    retaint,
    small,
    taint,
    vary,
)

_BUILTINS = frozenset(dir(builtins)) | {"__file__", "__path__", "__annotations__", "__class__"}


class Expressions(Subscripts):
    """One method a node type; `ev` dispatches."""

    __slots__ = ()

    def ev(self, node: ast.AST) -> Val:
        """Value of an expression."""
        method = DISPATCH.get(type(node))
        return UNKNOWN if method is None else method(self, node)

    def _ev_constant(self, node: ast.Constant) -> Val:
        value = self.constants.get(node)
        if value is None:
            value = constant(node.value)
            if isinstance(node.value, str):
                value = retaint(value, self.path_taint(node.value))
            self.constants[node] = value
        return value

    def _ev_name(self, node: ast.Name) -> Val:
        name = node.id
        value = self.frame.vars.get(name)
        if value is None:
            value = self.lookup(name)
            if value is None:
                known = self.builtin_values.get(name)
                if known is None:
                    known = self.builtin_values[name] = of_obj(self.builtin(name))
                if not self.unsure and name not in _BUILTINS:
                    self.note_undefined(name, node)
                return known
        if self.first_iteration and value.taint.deps:
            value = self.as_in_first_iteration(value)
        return value

    def note_undefined(self, name: str, node: ast.Name) -> None:
        """Remember the first read of a name that was given no value."""
        if not self.frame.file and all(u.name != name for u in self.timeline.undefined):
            self.timeline.undefined.append(Undefined(name, self.place(node.lineno), self.clock))

    def as_in_first_iteration(self, v: Val) -> Val:
        """In code that runs in the first iteration of a loop only, nothing has crossed its back edge yet."""
        mask = self.first_iteration
        t = v.taint
        deps = frozenset(d for d in t.deps if not d.loops & mask)
        return (
            v
            if deps == t.deps
            else retaint(v, taint(t.toks, t.upd, deps, t.nll, t.counts, t.flags, t.crossings, t.gates))
        )

    def lookup(self, name: str) -> Val | None:
        """Value of a name: local, enclosing, global."""
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
        """A name of the `builtins` module."""
        return self.lib_object("builtins." + name)

    def lib_object(self, path: str) -> Obj:
        """A name of a library."""
        key = ("lib", path)
        obj = self.objects.get(key)
        if obj is None:
            obj = self.objects[key] = Obj("lib", path, len(self.objects))
        return obj

    def _ev_ifexp(self, node: ast.IfExp) -> Val:
        test = self.ev(node.test)
        known = self.truth(test)
        if known is True:
            return self.ev(node.body)
        if known is False:
            return self.ev(node.orelse)
        gate = self.gate
        self.gate = inside = self.gated(self.content(test))
        in_training = bool(test.taint.flags & TRAINING)
        self.in_training += in_training
        self.unsure += 1
        value = self.ev(node.body)
        self.in_training -= in_training
        value = join(value, self.ev(node.orelse))
        self.unsure -= 1
        self.gate = gate
        if inside is not NONE:
            self.note_gated_value(inside, self.content(value), node)
        judged = test.taint.flags & (JUDGED_PART | JUDGED_WHOLE)
        if judged and self.content(value).nll:
            return retaint(value, self.choice(node, self.content(value), bool(judged & JUDGED_PART)))
        return value

    def _ev_lambda(self, node: ast.Lambda) -> Val:
        obj = self.alloc("func", "<lambda>", node, node=node)
        obj.frame = self.frame
        obj.fields = dict(enumerate(self.ev(d) for d in node.args.defaults))
        return of_obj(obj)

    def _ev_fstring(self, node: ast.JoinedStr) -> Val:
        t, loops, text, known = NONE, 0, [], True
        for part in node.values:
            v = self.ev(part.value if isinstance(part, ast.FormattedValue) else part)
            if isinstance(part, ast.FormattedValue) and (
                part.format_spec is not None or not isinstance(v.const, (str, int))
            ):
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

    def _ev_tuple(self, node: ast.Tuple) -> Val:
        if ast.Starred in map(type, node.elts):
            return self._ev_list(node)
        items = tuple([self.ev(e) for e in node.elts])
        if not small(items):
            return self.unknown(*(retaint(item, item.taint) for item in items if item.items is None))
        loops = old = 0
        for item in items:
            loops |= item.loops
            old |= item.old
        return Val(items=items, loops=loops, old=old)

    def _ev_list(self, node: ast.List | ast.Set | ast.Tuple) -> Val:
        obj = self.alloc("list", "list", node)
        exact = not any(isinstance(e, ast.Starred) for e in node.elts) and len(node.elts) <= 64
        for index, element in enumerate(node.elts):
            if isinstance(element, ast.Starred):
                self.store_elem(obj, self.iterate(self.ev(element.value), element, 0))
            elif exact:
                value = self.ev(element)
                obj.fields[index] = value
                self.keep(value)
                self.mark(obj, value.taint)
            else:
                self.store_elem(obj, self.ev(element))
        return of_obj(obj)

    def _ev_dict(self, node: ast.Dict) -> Val:
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
        elif key.const is NOCONST and key.taint.flags & (PATH_VAL | PATH_TRAIN):
            self.store_field(obj, path_field(key), value)
        else:
            self.store_elem(obj, value)

    def _ev_comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> Val:
        obj = self.alloc("list", "list", node)
        saved, within = self.frame.vars, self.within
        self.frame.vars = dict(saved)
        loops = self.bind_generators(node.generators)
        if loops is not None:
            value = self.ev(node.elt)
            self.store_elem(obj, vary(value, loops) if value.const is NOCONST or loops else value)
        self.frame.vars, self.within = saved, within
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

    def _ev_dictcomp(self, node: ast.DictComp) -> Val:
        obj = self.alloc("dict", "dict", node)
        saved, within = self.frame.vars, self.within
        self.frame.vars = dict(saved)
        loops = self.bind_generators(node.generators)
        if loops is not None:
            self.ev(node.key)
            self.store_elem(obj, self.ev(node.value))
        self.frame.vars, self.within = saved, within
        return of_obj(obj)

    def bind_generators(self, generators: list[ast.comprehension]) -> int | None:
        """Bind the variables of a comprehension; None when it is known to be empty."""
        loops = 0
        for generator in generators:
            source = self.ev(generator.iter)
            bit = self.loop_bit(generator)
            loops |= bit
            self.within |= bit
            self.assign(generator.target, self.iterate(source, generator, bit))
            for test in generator.ifs:
                if self.truth(self.ev(test)) is False:
                    return None
        return loops

    def _ev_starred(self, node: ast.Starred) -> Val:
        return self.ev(node.value)

    def _ev_namedexpr(self, node: ast.NamedExpr) -> Val:
        v = self.ev(node.value)
        self.assign(node.target, v)
        return v

    def _ev_yield(self, node: ast.Yield | ast.YieldFrom) -> Val:
        v = self.ev(node.value) if node.value is not None else NONE_VAL
        if isinstance(node, ast.YieldFrom):
            v = self.iterate(v, node, 0)
        self.frame.yields = v if self.frame.yields is None else join(self.frame.yields, v)
        return UNKNOWN

    def _ev_await(self, node: ast.Await) -> Val:
        return self.ev(node.value)

    def _ev_attribute(self, node: ast.Attribute) -> Val:
        return self.attribute(self.ev(node.value), node.attr, node)


DISPATCH: dict[type, Callable[[Any, Any], Val]] = {
    ast.Constant: Expressions._ev_constant,
    ast.Name: Expressions._ev_name,
    ast.BinOp: Expressions._ev_binop,
    ast.UnaryOp: Expressions._ev_unary,
    ast.BoolOp: Expressions._ev_boolop,
    ast.Compare: Expressions._ev_compare,
    ast.IfExp: Expressions._ev_ifexp,
    ast.Lambda: Expressions._ev_lambda,
    ast.JoinedStr: Expressions._ev_fstring,
    ast.FormattedValue: lambda self, node: self.ev(node.value),
    ast.Tuple: Expressions._ev_tuple,
    ast.List: Expressions._ev_list,
    ast.Set: Expressions._ev_list,
    ast.Dict: Expressions._ev_dict,
    ast.ListComp: Expressions._ev_comprehension,
    ast.SetComp: Expressions._ev_comprehension,
    ast.GeneratorExp: Expressions._ev_comprehension,
    ast.DictComp: Expressions._ev_dictcomp,
    ast.Starred: Expressions._ev_starred,
    ast.NamedExpr: Expressions._ev_namedexpr,
    ast.Yield: Expressions._ev_yield,
    ast.YieldFrom: Expressions._ev_yield,
    ast.Await: Expressions._ev_await,
    ast.Slice: Expressions._ev_slice,
    ast.Attribute: Expressions._ev_attribute,
    ast.Subscript: Expressions._ev_subscript,
}
