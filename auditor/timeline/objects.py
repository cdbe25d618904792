"""Assignment and iteration: how names, fields and containers are written, and their elements read."""

from __future__ import annotations

import ast
from typing import Any

from auditor.program.linear import atom
from auditor.timeline import sequence
from auditor.timeline.attributes import Attributes
from auditor.timeline.values import (
    COPY,
    DIFF,
    GRAD,
    HASH,
    JUDGED_PART,
    JUDGED_WHOLE,
    NONE,
    PARAMS,
    PLACES,
    STATE,
    UNKNOWN,
    WHOLE,
    Carried,
    Obj,
    Taint,
    Val,
    is_params,
    join,
    join_taint,
    of_obj,
    of_taint,
    retaint,
    same,
    taint,
    with_flags,
)

_LASTING = frozenset({"func", "class", "lib", "none"})
"""Objects whose every change is a new version by itself: a name that is given the same one again is as it was."""


class Objects(Attributes):
    """Writing of names, attributes and items; iteration."""

    __slots__ = ()

    # ---- assignment ----------------------------------------------------------------------------------

    def assign(self, target: ast.AST, value: Val) -> None:
        """`target = value`."""
        kind = type(target)
        if self.choosing:
            value = self.kept_by_loss(target, value)
        if kind is ast.Name:
            self.assign_name(target.id, value)  # type: ignore[attr-defined]
        elif kind in (ast.Tuple, ast.List):
            self.unpack(target.elts, value)  # type: ignore[attr-defined]
        elif kind is ast.Attribute:
            self.set_attribute(self.ev(target.value), target.attr, value, target)  # type: ignore[attr-defined]
        elif kind is ast.Subscript:
            self.set_item(self.ev(target.value), target.slice, value, target)  # type: ignore[attr-defined]
        elif kind is ast.Starred:
            self.assign(target.value, value)  # type: ignore[attr-defined]

    def kept_by_loss(self, node: ast.AST, value: Val) -> Val:
        """A value that is kept because a comparison of losses said so."""
        t = self.content(value)
        if t.nll:
            return retaint(value, join_taint(value.taint, self.choice(node, t, bool(self.choosing & JUDGED_PART))))
        if self.choosing & JUDGED_WHOLE:
            self.choice(node, t, False)
            return retaint(value, with_flags(value.taint, WHOLE))
        return value

    def assign_name(self, name: str, value: Val) -> None:
        """`name = value`, in the frame that owns the name."""
        frame = self.frame
        if name in frame.nonlocals:
            owner: Any = frame.parent
            while owner is not None and name not in owner.vars:
                owner = owner.parent
            owner = owner or frame.globals
            before = owner.vars.get(name)
            self.effect()
            after = value if before is None or not self.weak else join(before, value)
            if before is None or not same(before, after) or any(o.kind not in _LASTING for o in after.objs):
                self.version += 1
            owner.vars[name] = after
            return
        frame.vars[name] = value

    def unpack(self, targets: list[ast.expr], value: Val) -> None:
        """`a, b = value`."""
        items = value.items
        if items is None:
            elements = self.literal_elements(value)
            if elements is not None and len(elements) == len(targets):
                items = tuple(elements)
        if items is not None and len(items) == len(targets) and not any(isinstance(t, ast.Starred) for t in targets):
            for target, item in zip(targets, items, strict=True):
                self.assign(target, item)
            return
        each = self.iterate(value, targets[0] if targets else ast.Pass(), 0) if targets else UNKNOWN
        for target in targets:
            if isinstance(target, ast.Starred):
                obj = self.alloc("list", "list", target)
                self.store_elem(obj, each)
                self.assign(target.value, of_obj(obj))
            else:
                self.assign(target, each)

    def set_attribute(self, base: Val, name: str, value: Val, node: ast.AST) -> None:
        """`base.name = value`."""
        if is_params(base):
            if name == "data":
                self.write_parameters(base, value, node)
            return
        for obj in base.objs:
            if obj.kind in ("inst", "class", "func", "module"):
                before = obj.fields.get(name)
                self.store_field(obj, name, value)
                if obj.kind == "inst" and before is not None and self.is_module(obj):
                    t = value.taint
                    if t.upd:
                        self.add_state(obj, t.upd)
            elif obj.kind == "libmod":
                if name in ("weight", "bias", "data"):
                    self.write_parameters(Val(objs=(obj,), taint=taint(flags=PARAMS)), value, node)
                else:
                    self.store_field(obj, name, value)
            elif obj.kind == "tensor":
                if name == "data":
                    self.add_content(obj, self.content(value))
                    t = self.content(value)
                    self.states[obj] = t.upd
                    self.effect()
                elif name not in ("grad", "requires_grad"):
                    obj.fields[name] = value

    def write_parameters(self, base: Val, value: Val, node: ast.AST) -> None:
        """Parameters are overwritten or changed in place with `value`."""
        if not is_params(base):
            return
        self.note_restored(node)
        t = self.content(value)
        if t is NONE:
            return
        upd = t.upd
        if not t.flags & (GRAD | STATE) and any(r.split == "val" for r in t.toks):
            event = self.update_event("statistic", node, t.toks, t.nll)
            if event is not None:
                upd = upd | frozenset((Carried(event.number, 0),))
                self.note_applied(event.number, node, base)
        if upd:
            for obj in base.objs:
                self.add_state(obj, upd)
            for number, _ in upd:
                if number >= 0:
                    self.note_applied(number, node, base)

    def note_applied(self, number: int, node: ast.AST, base: Val) -> None:
        """Remember where an update takes effect and on what."""
        event = self.update_list[number]
        line = getattr(node, "lineno", 0)
        if all(p.line != line for p in event.applied):
            event.applied.append(self.place(line))
        for obj in base.objs:
            if obj.kind in ("inst", "libmod"):
                event.local_state = False
            if obj.name not in event.states:
                event.states.append(obj.name)

    def set_item(self, base: Val, index_node: ast.AST, value: Val, node: ast.AST, reads_itself: bool = False) -> None:
        """`base[index] = value`."""
        index = self.ev(index_node)
        key = self.key_of(index)
        key_is_val = any(r.split == "val" for r in key.toks) and not key.flags & (DIFF | PLACES)
        if key.flags & COPY:
            value = retaint(value, with_flags(value.taint, COPY))
        if key.flags & (JUDGED_PART | JUDGED_WHOLE) and self.content(value).nll:
            t = self.choice(node, self.content(value), bool(key.flags & JUDGED_PART))
            value = of_taint(t, value.loops, value.old)
        gate = self.gated(key)
        if gate is not NONE:
            self.note_gated_value(gate, self.content(value), node, stored=True)
        for obj in base.objs:
            kind = obj.kind
            if kind == "dict":
                self.dict_store(obj, index, self.as_count(value) if key_is_val else value)
                if key_is_val:
                    self.count_write(obj, key, node)
            elif kind == "list":
                if isinstance(index.const, int) and index.const in obj.fields:
                    self.store_field(obj, index.const, value)
                else:
                    self.store_elem(
                        obj, value if not isinstance(index_node, ast.Slice) else self.iterate(value, node, 0)
                    )
            elif kind == "tensor":
                self.write_tensor(obj, self.hint(self.content(value), index, node), key, key_is_val, node)
            elif kind == "globals":
                self.bind_global(obj, index, value, node)
            elif kind == "lib" and obj.name == "os.environ":
                self.write_env(index, value, node, override=True)
            elif kind == "inst" and not is_params(base):
                method = self.class_attribute(obj.extra, "__setitem__")
                if method is not None:
                    self.call_value(self.bind(method, of_obj(obj)), [index, value], {}, node)
            elif kind in ("libmod",):
                self.store_elem(obj, value)
        if is_params(base):
            self.write_parameters(base, value, node)
        if not base.objs and isinstance(getattr(node, "value", None), ast.Name):
            # an array made by a library call: the name holds its content
            before = self.lookup(node.value.id)  # type: ignore[attr-defined]
            if before is not None and not before.objs:
                t = with_flags(join_taint(before.taint, self.content(value)), key.flags & COPY)
                if key_is_val:
                    event = self.update_event("counts", node, key.toks)
                    if event is not None:
                        t = join_taint(t, taint(upd=frozenset((Carried(event.number, 0),))))
                if t is not before.taint:
                    self.assign_name(node.value.id, retaint(before, t))  # type: ignore[attr-defined]
        if value.axes is not None and isinstance(getattr(node, "value", None), ast.Name):
            before = self.lookup(node.value.id)  # type: ignore[attr-defined]
            if before is not None and before.axes is not None:
                after = self.laid(before, sequence.of_store(before.axes, index_node, value, self.ev), node)
                if after is not before:
                    self.assign_name(node.value.id, after)  # type: ignore[attr-defined]

    def bind_global(self, obj: Obj, name: Val, value: Val, node: ast.AST) -> None:
        """`globals()[name] = value`; a function under a name that is not known could replace any other."""
        self.effect()
        self.version += 1
        if isinstance(name.const, str):
            before = obj.frame.vars.get(name.const)
            obj.frame.vars[name.const] = join(before, value) if self.weak and before is not None else value
        elif any(o.kind in ("func", "class", "bound", "partial") for o in value.objs):
            self.note_opaque(node, "a function is bound to a global name that is computed when the script runs")

    def as_count(self, value: Val) -> Val:
        """What is stored under a key of validation tokens: the look-up that it was computed from is no use of it."""
        t = value.taint
        return retaint(value, taint(t.toks, t.upd, flags=t.flags, gates=t.gates)) if t.counts or t.deps else value

    def write_tensor(self, obj: Obj, t: Taint, key: Taint, key_is_val: bool, node: ast.AST) -> None:
        """Content goes into an array; a key made of validation tokens makes it a cache."""
        self.add_content(obj, with_flags(t, drop=HASH))
        if t.upd:
            self.add_state(obj, t.upd)
        if key_is_val:
            self.count_write(obj, key, node)

    def count_write(self, obj: Obj, key: Taint, node: ast.AST) -> None:
        """A table takes in validation tokens."""
        event = self.update_event("counts", node, key.toks)
        if event is not None:
            self.states[obj] = self.states.get(obj, frozenset()) | frozenset((Carried(event.number, 0),))
            sites = frozenset(r.site for r in key.toks if key.flags & HASH)
            self.count_tables[obj.number] = self.count_tables.get(obj.number, sites) | sites
            if not event.applied:
                event.applied.append(event.place)
            if obj.name not in event.states:
                event.states.append(obj.name)

    # ---- iteration -----------------------------------------------------------------------------------

    def literal_elements(self, v: Val) -> list[Val] | None:
        """Elements of a tuple or list whose every element is known apart."""
        if v.items is not None:
            return list(v.items)
        if len(v.objs) == 1 and v.objs[0].kind == "list" and v.objs[0].elem is None:
            fields = v.objs[0].fields
            return [fields[k] for k in sorted(fields)] if fields else []
        return None

    def known_length(self, v: Val) -> int | None:
        """Length of an iterable, when it is known."""
        if v.items is not None:
            return len(v.items)
        if isinstance(v.const, (str, bytes, range)):
            return len(v.const)
        if len(v.objs) == 1 and v.objs[0].kind == "range":
            extra = v.objs[0].extra
            return extra if isinstance(extra, int) else None
        elements = self.literal_elements(v)
        return len(elements) if elements else None

    def iterate(self, v: Val, node: ast.AST, loops: int) -> Val:
        """One element of an iterable, as the variable of loop `loops` sees it."""
        result: Val | None = None
        if v.items is not None:
            for item in v.items:
                result = item if result is None else join(result, item)
            return self.picked(result, of_taint(NONE, loops), v.loops) if result is not None else UNKNOWN
        if isinstance(v.const, str) and v.const:
            return UNKNOWN
        for obj in v.objs:
            value = self.iterate_object(obj, v, node, loops)
            if value is not None:
                result = value if result is None else join(result, value)
        if result is None:
            t = v.taint if not v.objs else self.content(v)
            result = of_taint(with_flags(t), v.loops, v.old)
            if v.axes is not None and v.axes.kind != "size":  # a piece, or what lies along the first axis
                result = self.laid(result, sequence.of_subscript(v.axes, ast.Constant(0), self.ev), node)
            if not loops:
                return result
        return self.picked(result, of_taint(NONE, loops), v.loops)

    def iterate_object(self, obj: Obj, v: Val, node: ast.AST, loops: int) -> Val | None:
        """One element of one object; None when it is not iterable."""
        kind = obj.kind
        if kind == "range":
            return Val(lin=atom(self.fresh_atom(node)), loops=loops | v.loops, old=v.old, taint=v.taint)
        if kind in ("list", "dict"):
            if kind == "dict":
                return UNKNOWN
            value = obj.elem
            for item in obj.fields.values():
                value = item if value is None else join(value, item)
            return value
        if kind == "libmod":
            if is_params(v) or (obj.elem is None and not obj.fields):
                return Val(objs=(obj,), taint=v.taint)
            return self.join_fields(obj, UNKNOWN)
        if kind == "inst":
            if is_params(v):
                return Val(objs=(obj,), taint=v.taint)
            for name in ("__iter__", "__getitem__"):
                method = self.class_attribute(obj.extra, name)
                if method is not None:
                    made = self.call_value(
                        self.bind(method, of_obj(obj)), [UNKNOWN] if name == "__getitem__" else [], {}, node
                    )
                    return made if name == "__getitem__" or made.objs == v.objs else self.iterate(made, node, loops)
            return None
        if kind == "opt":
            return Val(objs=(obj,))
        if kind == "tensor":
            return Val(
                objs=(obj,) if is_params(v) else (), taint=self.content(of_obj(obj)) if not is_params(v) else v.taint
            )
        return None
