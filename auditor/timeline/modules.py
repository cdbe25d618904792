"""What every `nn.Module`, parameter and optimiser can do."""

from __future__ import annotations

import ast

from auditor.timeline.summaries import Summaries
from auditor.timeline.values import (
    DIFF,
    GRAD,
    NONE,
    NONE_VAL,
    STATE,
    UNKNOWN,
    WEIGHTS,
    WHOLE,
    Carried,
    Obj,
    Val,
    join_taint,
    of_obj,
    of_taint,
    retaint,
    taint,
)

_TREE_METHODS = frozenset(["parameters", "named_parameters", "buffers", "named_buffers"])

_SELF_METHODS = frozenset(
    [
        "to",
        "cuda",
        "cpu",
        "train",
        "eval",
        "float",
        "half",
        "bfloat16",
        "double",
        "requires_grad_",
        "apply",
        "compile",
        "type",
        "share_memory",
        "set_epoch",
        "eval_mode",
    ]
)

_CHILD_METHODS = frozenset(["modules", "named_modules", "children", "named_children"])


class Modules(Summaries):
    """Methods of library modules, of parameters and of optimisers."""

    __slots__ = ()

    def parameter_method(self, base: Val, name: str, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """Methods of parameters: in-place ones write them, copies read them."""
        if name.endswith("_") and not name.endswith("__"):
            return self.value_method(base, name, args, kwargs, node)
        if name in ("clone", "float", "cpu", "numpy", "double", "bfloat16", "half", "to", "detach", "cuda", "data_ptr"):
            if name in ("detach", "to", "cuda"):
                return base
            upd = frozenset[Carried]()
            for obj in base.objs:
                upd |= self.states_of(obj)
            return of_taint(taint(upd=upd, flags=DIFF | STATE))
        if name in ("numel", "size", "dim", "nelement"):
            return UNKNOWN
        upd = frozenset[Carried]()
        for obj in base.objs:
            upd |= self.states_of(obj)
        made = self.unknown(*args, *kwargs.values())
        return of_taint(join_taint(made.taint, taint(upd=upd, flags=DIFF)), made.loops, made.old)

    def optimizer_like_step(self, obj: Obj, args: list[Val], node: ast.AST) -> Val:
        """`step` of an optimizer class of the script's own."""
        if self.pending:
            holders: dict[Obj, None] = {}
            for v in obj.fields.values():
                self.collect_holders(v, holders, 0)
            holders.pop(obj, None)
            self.apply_pending(tuple(holders) or tuple(self.val_models), obj.name, node)
        return NONE_VAL

    def optimizer_method(self, obj: Obj, name: str, args: list[Val], node: ast.AST) -> Val:
        """Methods of an optimiser."""
        if name == "step":
            if args and any(o.kind in ("func", "bound") for o in args[0].objs):
                self.call_value(args[0], [], {}, node)
            self.optimizer_step(obj, node)
        elif name == "zero_grad":
            self.pending = frozenset()
            self.effect()
        elif name == "add_param_group" and args:
            holders = dict.fromkeys(obj.extra or ())
            self.collect_holders(args[0], holders, 0)
            obj.extra = tuple(holders)
        elif name in ("state_dict", "load_state_dict"):
            return UNKNOWN
        return Val(objs=(obj,)) if name not in ("step", "zero_grad") else NONE_VAL

    def libmod_method(self, obj: Obj, name: str, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """Methods of a library module."""
        if name == "forward":
            return self.call_libmod(obj, args, kwargs, node)
        if name in ("append", "extend", "insert") and args:
            self.store_elem(obj, args[-1] if name != "extend" else self.iterate(args[-1], node, 0))
            for child in args[-1].objs:
                if obj not in child.owners and child is not obj:
                    child.owners += (obj,)
            return NONE_VAL
        if name in ("items", "values", "keys"):
            value = self.join_fields(obj, UNKNOWN)
            return (
                Val(items=None, objs=value.objs, taint=value.taint)
                if name == "values"
                else UNKNOWN
                if name == "keys"
                else self.pairs(value, node)
            )
        return self.module_method(of_obj(obj), name, args, kwargs, node)

    def pairs(self, value: Val, node: ast.AST) -> Val:
        """A list of (name, value)."""
        obj = self.alloc("list", "list", node)
        self.store_elem(obj, Val(items=(UNKNOWN, value)))
        return of_obj(obj)

    def module_method(self, base: Val, name: str, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """Methods that every `nn.Module` has."""
        if name in _TREE_METHODS:
            params = Val(objs=base.objs, taint=WEIGHTS)
            return self.pairs(params, node) if name.startswith("named") else params
        if name in _SELF_METHODS:
            if name == "apply":
                return base
            return base
        if name in _CHILD_METHODS:
            children: dict[Obj, None] = {}
            for obj in base.objs:
                self.collect_children(obj, children, 0)
            value = Val(objs=tuple(list(children)[:24]))
            if name.startswith("named"):
                return self.pairs(value, node)
            out = self.alloc("list", "list", node)
            self.store_elem(out, value)
            return of_obj(out)
        if name == "state_dict":
            upd = frozenset[Carried]()
            for obj in base.objs:
                upd |= self.states_of(obj)
            out = self.alloc("dict", "state_dict", node)
            out.elem = of_taint(taint(upd=upd, flags=DIFF | STATE))
            return of_obj(out)
        if name == "load_state_dict":
            self.load_state(base, args[0] if args else UNKNOWN, node)
            return UNKNOWN
        if name == "zero_grad":
            self.pending = frozenset()
            self.effect()
            return NONE_VAL
        if (
            name in ("register_buffer", "register_parameter", "add_module")
            and len(args) > 1
            and isinstance(args[0].const, str)
        ):
            for obj in base.objs:
                self.store_field(obj, args[0].const, args[1])
            return NONE_VAL
        if name in ("get_parameter", "get_submodule"):
            return Val(objs=base.objs, taint=WEIGHTS if name == "get_parameter" else NONE)
        if name in ("register_forward_hook", "register_forward_pre_hook") and args:
            for obj in base.objs:
                hooks = self.hooks.setdefault(obj, [])
                if all(known.objs != args[0].objs for known in hooks):
                    hooks.append(args[0])
            self.version += 1
            self.effect()
            handle = self.alloc("handle", "handle", node)
            handle.extra = tuple(dict.fromkeys((*(handle.extra or ()), *base.objs)))
            return of_obj(handle)
        plain = tuple(o for o in base.objs if not self.is_module(o))
        return (
            self.value_method(Val(objs=plain, taint=base.taint), name, args, kwargs, node)
            if plain
            else self.through_modules(base, self.unknown(*args, *kwargs.values()))
        )

    def through_module(self, obj: Obj, value: Val) -> Val:
        """What a module computes depends on the updates that have reached it."""
        t = value.taint
        if not self.is_module(obj) or not (t.toks or t.nll):
            return value
        if any(r.split == "val" for r in t.toks):
            self.val_models[obj] = None
        upd = self.states_of(obj)
        if not upd or t.nll:
            return value
        return retaint(value, join_taint(t, taint(upd=upd, flags=DIFF)))

    def through_modules(self, base: Val, value: Val) -> Val:
        """`through_module` for every module that a value may be."""
        for obj in base.objs:
            value = self.through_module(obj, value)
        return value

    def collect_children(self, obj: Obj, out: dict[Obj, None], depth: int) -> None:
        """An object and the modules in its fields."""
        if obj in out or depth > 6:
            return
        if obj.kind in ("inst", "libmod"):
            out[obj] = None
        for v in [*obj.fields.values(), *([obj.elem] if obj.elem is not None else [])]:
            for child in v.objs:
                if child.kind in ("inst", "libmod", "list", "dict"):
                    self.collect_children(child, out, depth + 1)

    def load_state(self, base: Val, state: Val, node: ast.AST) -> None:
        """`load_state_dict`: the weights are now what the state dict holds, and nothing else."""
        self.effect()
        self.note_restored(node)
        t = self.content(state)
        if t.flags & WHOLE:
            for choice in self.choices.values():
                choice.loaded |= not choice.parts
                choice.loaded_in |= self.active
        upd = t.upd
        if any(r.split == "val" for r in t.toks) and not t.flags & GRAD:
            event = self.update_event("statistic", node, t.toks)
            if event is not None:
                upd = upd | frozenset((Carried(event.number, 0),))
                self.note_applied(event.number, node, base)
        children: dict[Obj, None] = {}
        for obj in base.objs:
            self.collect_children(obj, children, 0)
        for child in children:
            self.states.pop(child, None)
        for number, _ in upd:
            if number >= 0:
                self.update_list[number].local_state = False
        for obj in base.objs:
            if upd:
                self.states[obj] = upd
            for owner in obj.owners:
                if upd:
                    self.add_state(owner, upd)

    def run_hooks(self, obj: Obj, args: list[Val], result: Val, node: ast.AST) -> None:
        """Forward hooks see the inputs and the output of a module."""
        if not any(self.content(v).toks for v in (*args, result)):
            return
        for hook in list(self.hooks[obj]):
            self.call_value(hook, [of_obj(obj), Val(items=tuple(args)), result], {}, node)
