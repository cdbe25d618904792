"""Calls: arguments, the script's own functions and classes by receiver, and the library."""

from __future__ import annotations

import ast
from typing import Any

from auditor.timeline.machine import Frame
from auditor.timeline.objects import MODULE_BASES
from auditor.timeline.summaries import Summaries
from auditor.timeline.values import (
    DIFF,
    GRAD,
    NOCONST,
    NONE,
    NONE_VAL,
    PARAMS,
    STATE,
    UNKNOWN,
    Carried,
    Obj,
    Val,
    constant,
    join,
    is_params,
    join_taint,
    of_obj,
    of_taint,
    retaint,
    taint,
    with_flags,
)

_TREE_METHODS = frozenset("parameters named_parameters buffers named_buffers".split())
_SELF_METHODS = frozenset(
    "to cuda cpu train eval float half bfloat16 double requires_grad_ apply compile type share_memory set_epoch eval_mode".split()
)
_CHILD_METHODS = frozenset("modules named_modules children named_children".split())


class Calls(Summaries):
    """Call resolution by receiver class."""

    modules: dict[str, Val]

    # ---- call expressions ----------------------------------------------------------------------------

    def call(self, node: ast.Call) -> Val:
        func = node.func
        if isinstance(func, ast.Attribute):
            if isinstance(func.value, ast.Call) and isinstance(func.value.func, ast.Name) and func.value.func.id == "super":
                return self.super_call(func.attr, node)
            base = self.ev(func.value)
            args, kwargs = self.arguments(node)
            return self.call_method(base, func.attr, args, kwargs, node)
        if isinstance(func, ast.Name) and func.id == "super" and self.lookup("super") is None:
            return UNKNOWN
        fn = self.ev(func)
        args, kwargs = self.arguments(node)
        if isinstance(func, ast.Subscript) and not any(o.kind in ("func", "bound", "inst", "class", "lib", "partial") for o in self.kernel_of(func)):
            return self.call_value(fn, args, kwargs, node)
        if isinstance(func, ast.Subscript) and any(o.kind == "func" for o in self.kernel_of(func)):
            return self.launch_kernel(args, kwargs, node)
        return self.call_value(fn, args, kwargs, node)

    def kernel_of(self, func: ast.Subscript) -> tuple[Obj, ...]:
        return self.ev(func.value).objs if isinstance(func.value, ast.Name) else ()

    def launch_kernel(self, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """`kernel[grid](...)`: writes to its buffers what it reads from its inputs."""
        t = self.apply_unknown(args, kwargs, node).taint
        for arg in args:
            for obj in arg.objs:
                if obj.kind == "tensor":
                    self.add_content(obj, t)
        return NONE_VAL

    def super_call(self, name: str, node: ast.Call) -> Val:
        """`super().name(...)`."""
        frame: Frame | None = self.frame
        args, kwargs = self.arguments(node)
        while frame is not None and frame.owner is None:
            frame = frame.parent
        if frame is None or frame.owner is None:
            return UNKNOWN
        self_name = frame.node.args.args[0].arg if frame.node.args.args else "self"
        receiver = frame.vars.get(self_name, UNKNOWN)
        for parent in frame.owner.extra["bases"]:
            value = self.class_attribute(parent, name)
            if value is not None:
                return self.call_value(self.bind(value, receiver), args, kwargs, node)
        if name in ("__init__", "__setattr__"):
            return NONE_VAL
        return self.module_method(receiver, name, args, kwargs, node)

    def arguments(self, node: ast.Call) -> tuple[list[Val], dict[str, Val]]:
        """Evaluated arguments; what `*` and `**` bring is taken apart where it is known."""
        args: list[Val] = []
        for arg in node.args:
            if isinstance(arg, ast.Starred):
                v = self.ev(arg.value)
                elements = self.literal_elements(v)
                if elements is not None:
                    args.extend(elements)
                else:
                    args.append(self.iterate(v, arg, 0))
            else:
                args.append(self.ev(arg))
        kwargs: dict[str, Val] = {}
        for keyword in node.keywords:
            v = self.ev(keyword.value)
            if keyword.arg is not None:
                kwargs[keyword.arg] = v
            else:
                for obj in v.objs:
                    if obj.kind == "dict":
                        kwargs.update({k: x for k, x in obj.fields.items() if isinstance(k, str)})
        return args, kwargs

    # ---- methods -------------------------------------------------------------------------------------

    def call_method(self, base: Val, name: str, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """`base.name(...)`, by the class of the receiver."""
        result: Val | None = None
        if is_params(base):
            return self.parameter_method(base, name, args, kwargs, node)
        rest: list[Obj] = []
        for obj in base.objs:
            kind = obj.kind
            value: Val | None = None
            if kind == "inst":
                value = self.instance_method(obj, name, args, kwargs, node)
            elif kind == "lib":
                value = self.call_lib(f"{obj.name}.{name}", args, kwargs, node)
            elif kind == "libmod":
                value = self.libmod_method(obj, name, args, kwargs, node)
            elif kind == "opt":
                value = self.optimizer_method(obj, name, args, node)
            elif kind == "class":
                value = self.class_method(obj, name, args, kwargs, node)
            elif kind == "handle":
                for hooked in obj.extra:
                    self.hooks.pop(hooked, None)
                self.version += 1
                self.effects += 1
                value = NONE_VAL
            elif kind in ("module", "super"):
                value = self.call_value(self.attribute(of_obj(obj), name, node), args, kwargs, node)
            elif kind == "func" and name in obj.fields:
                value = self.call_value(obj.fields[name], args, kwargs, node)
            elif kind == "func" and name in ("apply",):
                value = self.call_function(obj, args, kwargs, node)
            else:
                rest.append(obj)
                continue
            result = value if result is None else join(result, value)
        if rest or not base.objs or (result is None):
            value = self.value_method(Val(base.const, base.items, tuple(rest), base.lin, base.loops, base.old, base.taint), name, args, kwargs, node)
            result = value if result is None else join(result, value)
        return result

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

    def instance_method(self, obj: Obj, name: str, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        field = obj.fields.get(name)
        if field is not None:
            return self.call_value(field, args, kwargs, node)
        method = self.class_attribute(obj.extra, name)
        if method is not None:
            if name == "step" and obj.extra.extra.get("optimizer"):
                return self.optimizer_like_step(obj, args, node)
            fn = self.bind_or_read(method, obj, node)
            return self.through_module(obj, self.call_value(fn, args, kwargs, node))
        if obj.extra.extra.get("optimizer"):
            if name == "step":
                return self.optimizer_like_step(obj, args, node)
            if name == "zero_grad":
                self.pending = frozenset()
                self.effects += 1
            return NONE_VAL
        getter = self.class_attribute(obj.extra, "__getattr__")
        if getter is not None:
            fn = self.call_value(self.bind(getter, of_obj(obj)), [constant(name)], {}, node)
            if fn.objs:
                return self.call_value(fn, args, kwargs, node)
        return self.module_method(of_obj(obj), name, args, kwargs, node)

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
        if name == "step":
            if args and any(o.kind in ("func", "bound") for o in args[0].objs):
                self.call_value(args[0], [], {}, node)
            self.optimizer_step(obj, node)
        elif name == "zero_grad":
            self.pending = frozenset()
            self.effects += 1
        elif name == "add_param_group" and args:
            holders = dict.fromkeys(obj.extra or ())
            self.collect_holders(args[0], holders, 0)
            obj.extra = tuple(holders)
        elif name in ("state_dict", "load_state_dict"):
            return UNKNOWN
        return Val(objs=(obj,)) if name not in ("step", "zero_grad") else NONE_VAL

    def class_method(self, cls: Obj, name: str, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        value = self.class_attribute(cls, name)
        if value is None:
            if name == "apply":  # torch.autograd.Function
                forward = self.class_attribute(cls, "forward")
                if forward is not None:
                    made = self.call_value(forward, [UNKNOWN, *args], kwargs, node)
                    scored = self.apply_unknown(args, kwargs, node)
                    return join(made, scored) if not made.taint.nll and scored.taint.nll else made
            return self.unknown(*args, *kwargs.values())
        for fn in value.objs:
            if fn.kind == "func" and fn.extra and "classmethod" in fn.extra:
                return self.call_value(self.bind(value, of_obj(cls)), args, kwargs, node)
        return self.call_value(value, args, kwargs, node)

    def libmod_method(self, obj: Obj, name: str, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
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
            return Val(items=None, objs=value.objs, taint=value.taint) if name == "values" else UNKNOWN if name == "keys" else self.pairs(value, node)
        return self.module_method(of_obj(obj), name, args, kwargs, node)

    def pairs(self, value: Val, node: ast.AST) -> Val:
        """A list of (name, value)."""
        obj = self.alloc("list", "list", node)
        self.store_elem(obj, Val(items=(UNKNOWN, value)))
        return of_obj(obj)

    def module_method(self, base: Val, name: str, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """Methods that every `nn.Module` has."""
        if name in _TREE_METHODS:
            params = Val(objs=base.objs, taint=taint(flags=PARAMS | DIFF))
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
            self.effects += 1
            return NONE_VAL
        if name in ("register_buffer", "register_parameter", "add_module") and len(args) > 1 and isinstance(args[0].const, str):
            for obj in base.objs:
                self.store_field(obj, args[0].const, args[1])
            return NONE_VAL
        if name in ("get_parameter", "get_submodule"):
            return Val(objs=base.objs, taint=taint(flags=PARAMS | DIFF) if name == "get_parameter" else NONE)
        if name in ("register_forward_hook", "register_forward_pre_hook") and args:
            for obj in base.objs:
                hooks = self.hooks.setdefault(obj, [])
                if all(known.objs != args[0].objs for known in hooks):
                    hooks.append(args[0])
            self.version += 1
            self.effects += 1
            handle = self.alloc("handle", "handle", node)
            handle.extra = base.objs if handle.extra is None else handle.extra
            return of_obj(handle)
        plain = tuple(o for o in base.objs if not self.is_module(o))
        return self.value_method(Val(objs=plain, taint=base.taint), name, args, kwargs, node) if plain else self.through_modules(base, self.unknown(*args, *kwargs.values()))

    def through_modules(self, base: Val, value: Val) -> Val:
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
        self.effects += 1
        t = self.content(state)
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
        for obj in base.objs:
            if upd:
                self.states[obj] = upd
            for owner in obj.owners:
                if upd:
                    self.add_state(owner, upd)

    # ---- calling values ------------------------------------------------------------------------------

    def call_value(self, fn: Val, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """Call whatever a value may be."""
        result: Val | None = None
        for obj in fn.objs:
            kind = obj.kind
            value: Val | None = None
            if kind == "func":
                value = self.call_function(obj, args, kwargs, node)
            elif kind == "bound":
                if obj.node is not None:
                    value = self.call_function(obj.node, [obj.extra, *args], kwargs, node)
                    for receiver in obj.extra.objs:
                        if receiver.kind == "inst":
                            value = self.through_module(receiver, value)
                else:
                    value = self.call_method(obj.extra, obj.name, args, kwargs, node)
            elif kind == "class":
                value = self.instantiate(obj, args, kwargs, node)
            elif kind == "lib":
                value = self.call_lib(obj.name, args, kwargs, node)
            elif kind == "libmod":
                value = self.call_libmod(obj, args, kwargs, node)
            elif kind == "inst":
                value = self.call_instance(obj, args, kwargs, node)
            elif kind == "partial":
                bound_args, bound_kwargs = obj.extra[0], obj.extra[1]
                inner = bound_args[0] if bound_args else UNKNOWN
                value = self.call_value(inner, [*bound_args[1:], *args], {**bound_kwargs, **kwargs}, node)
            else:
                continue
            result = value if result is None else join(result, value)
        if result is None:
            return self.apply_unknown([fn, *args] if fn.taint is not NONE else args, kwargs, node)
        return result

    def call_instance(self, obj: Obj, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """`module(x)`: `nn.Module.__call__` runs `forward`."""
        for name in ("forward", "__call__"):
            method = obj.fields.get(name) or self.class_attribute(obj.extra, name)
            if method is not None:
                fn = self.bind(method, of_obj(obj)) if name not in obj.fields else method
                result = self.through_module(obj, self.call_value(fn, args, kwargs, node))
                if obj in self.hooks:
                    self.run_hooks(obj, args, result, node)
                return result
        return self.through_module(obj, self.unknown(*args, *kwargs.values()))

    def enter_function(self, fn: Obj, definition: Any, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """Interpret a function body in a frame of its own."""
        name = "<lambda>" if isinstance(definition, ast.Lambda) else definition.name
        frame = Frame(name, definition, fn.frame, fn.frame.globals if fn.frame else None, self.child_context(node))
        frame.caller = self.frame
        frame.call_line = getattr(node, "lineno", 0)
        owner = fn.frame
        if owner is not None and isinstance(owner.node, ast.ClassDef):
            frame.owner = owner.owner
            frame.parent = owner.parent
        self.bind_parameters(frame, definition.args, fn, args, kwargs, node)
        saved_frame, saved_dead, saved_first = self.frame, self.dead, self.first_iteration
        self.frame, self.dead = frame, False
        outer_loops = self.loops
        self.loops = list(outer_loops)
        frame.loop_base = len(outer_loops)
        self.depth += 1
        self.stack.append(definition)
        if isinstance(definition, ast.Lambda):
            frame.returned = self.ev(definition.body)
        else:
            self.run(definition.body)
        self.stack.pop()
        self.depth -= 1
        self.frame, self.dead, self.first_iteration = saved_frame, saved_dead, saved_first
        self.loops = outer_loops
        if frame.yields is not None:
            obj = self.alloc("list", "generator", node)
            self.store_elem(obj, frame.yields)
            return of_obj(obj)
        return frame.returned if frame.returned is not None else NONE_VAL

    def run(self, body: Any) -> None:
        raise NotImplementedError

    def bind_parameters(self, frame: Frame, spec: ast.arguments, fn: Obj, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> None:
        """Arguments meet parameters."""
        names = [a.arg for a in (*spec.posonlyargs, *spec.args)]
        variables = frame.vars
        for name, value in zip(names, args, strict=False):
            variables[name] = value
        if spec.vararg is not None:
            variables[spec.vararg.arg] = Val(items=tuple(args[len(names):]))
        rest = dict(kwargs)
        for name in names:
            if name in rest:
                variables[name] = rest.pop(name)
        first_default = len(names) - len(spec.defaults)
        for index, name in enumerate(names):
            if name not in variables:
                variables[name] = fn.fields.get(index - first_default, UNKNOWN) if index >= first_default else UNKNOWN
        for arg in spec.kwonlyargs:
            variables[arg.arg] = rest.pop(arg.arg) if arg.arg in rest else fn.fields.get(arg.arg, UNKNOWN)
        if spec.kwarg is not None:
            obj = self.alloc("dict", "kwargs", node)
            obj.fields = dict(rest)
            variables[spec.kwarg.arg] = of_obj(obj)

    # ---- classes -------------------------------------------------------------------------------------

    def define_class(self, node: ast.ClassDef) -> None:
        bases, is_module, is_optimizer = [], False, False
        for base in node.bases:
            value = self.ev(base)
            for obj in value.objs:
                if obj.kind == "class":
                    bases.append(obj)
                    is_module |= obj.extra["module"]
                    is_optimizer |= obj.extra["optimizer"]
                elif obj.kind == "lib":
                    last = obj.name.rpartition(".")[2]
                    is_module |= last in MODULE_BASES or obj.name.startswith("torch.nn.")
                    is_optimizer |= obj.name.startswith("torch.optim") or last == "Optimizer"
        cls = self.alloc("class", node.name, node, node=node)
        cls.extra = {"bases": tuple(bases), "module": is_module, "optimizer": is_optimizer, "dataclass": _is_dataclass(node)}
        frame = Frame(node.name, node, self.frame, self.frame.globals, self.frame.ctx)
        frame.caller = self.frame
        frame.call_line = node.lineno
        frame.owner = cls
        saved, self.frame = self.frame, frame
        self.run(node.body)
        self.frame = saved
        cls.fields = frame.vars
        cls.frame = frame
        self.note_class_constants(cls, node)
        self.assign_name(node.name, of_obj(cls))

    def note_class_constants(self, cls: Obj, node: ast.ClassDef) -> None:
        """Constants of a class are settings when nothing else sets them."""
        if cls.extra["module"] or cls.extra["optimizer"]:
            return
        for statement in node.body:
            target: ast.expr | None = None
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                target = statement.targets[0]
            elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
                target = statement.target
            if isinstance(target, ast.Name):
                value = cls.fields.get(target.id)
                if value is not None and isinstance(value.const, (int, float, str, bool)) and isinstance(getattr(statement, "value", None), ast.Constant):
                    upper = target.id.upper()
                    if upper in self.env and self.env[upper][1].startswith("log:"):
                        text, source = self.env[upper]
                        converted = _like(value.const, text)
                        cls.fields[target.id] = constant(converted)
                        self.config_read(target.id, text, source, statement.lineno, value.const)
                    else:
                        self.config_read(target.id, value.const, f"default:L{statement.lineno}", statement.lineno)

    def instantiate(self, cls: Obj, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """`Cls(...)`: a new instance, initialised."""
        obj = self.alloc("inst", cls.name, node, extra=cls)
        init = self.class_attribute(cls, "__init__")
        if init is not None:
            self.call_value(self.bind(init, of_obj(obj)), args, kwargs, node)
        elif cls.extra["dataclass"] or args or kwargs:
            names = [s.target.id for s in cls.node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)] if cls.node is not None else []
            for name, value in zip(names, args, strict=False):
                self.store_field(obj, name, value)
            for name, value in kwargs.items():
                self.store_field(obj, name, value)
            for name in names:
                if name not in obj.fields and name in cls.fields:
                    obj.fields[name] = self.field_default(cls.fields[name], node)
            if cls.extra["optimizer"]:
                obj.fields["params"] = args[0] if args else UNKNOWN
        if cls.extra["optimizer"] and args:
            obj.fields["params"] = args[0]
        elif cls.extra["optimizer"]:
            for value in list(kwargs.values())[:1]:
                obj.fields["params"] = value
        post = self.class_attribute(cls, "__post_init__")
        if post is not None:
            self.call_value(self.bind(post, of_obj(obj)), [], {}, node)
        return of_obj(obj)

    def run_hooks(self, obj: Obj, args: list[Val], result: Val, node: ast.AST) -> None:
        """Forward hooks see the inputs and the output of a module."""
        if not any(self.content(v).toks for v in (*args, result)):
            return
        for hook in list(self.hooks[obj]):
            self.call_value(hook, [of_obj(obj), Val(items=tuple(args)), result], {}, node)

    def field_default(self, default: Val, node: ast.AST) -> Val:
        """Default of a dataclass field."""
        if len(default.objs) == 1 and default.objs[0].kind == "field":
            factory = default.objs[0].extra
            return self.call_value(factory, [], {}, node) if factory is not None else UNKNOWN
        return default

    def import_module(self, name: str, node: ast.AST) -> Val | None:
        """A sibling module of the script, interpreted once; None for library modules."""
        return self.modules.get(name)


def _is_dataclass(node: ast.ClassDef) -> bool:
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
        if name in ("dataclass", "define", "struct"):
            return True
    return any(getattr(b, "id", getattr(b, "attr", "")) == "NamedTuple" for b in node.bases)


def _like(default: Any, text: str) -> Any:
    """`text` as the type of `default`; the default when it does not convert."""
    try:
        if isinstance(default, bool):
            return text.strip().lower() in ("1", "true", "yes", "on")
        if isinstance(default, int):
            return int(float(text))
        if isinstance(default, float):
            return float(text)
    except ValueError:
        return default
    return text
