"""Calls: arguments, and the script's own functions and classes by receiver."""

from __future__ import annotations

import ast
from typing import Any

from auditor.timeline.classes import Classes
from auditor.timeline.expressions import DISPATCH
from auditor.timeline.frames import Frame
from auditor.timeline.values import (
    NONE,
    NONE_VAL,
    UNKNOWN,
    Obj,
    Val,
    constant,
    is_params,
    join,
    of_obj,
)


class Calls(Classes):
    """Call resolution by receiver class."""

    __slots__ = ()

    def call(self, node: ast.Call) -> Val:
        """A call expression."""
        func = node.func
        if isinstance(func, ast.Attribute):
            if (
                isinstance(func.value, ast.Call)
                and isinstance(func.value.func, ast.Name)
                and func.value.func.id == "super"
            ):
                return self.super_call(func.attr, node)
            base = self.ev(func.value)
            keeping, self.keeping = self.keeping, func.attr == "setdefault"
            args, kwargs = self.arguments(node)
            self.keeping = keeping
            return self.call_method(base, func.attr, args, kwargs, node)
        if isinstance(func, ast.Name) and func.id == "super" and self.lookup("super") is None:
            return UNKNOWN
        fn = self.ev(func)
        args, kwargs = self.arguments(node)
        if isinstance(func, ast.Subscript) and any(o.kind == "func" for o in self.kernel_of(func)):
            return self.launch_kernel(args, kwargs, node)
        return self.call_value(fn, args, kwargs, node)

    def kernel_of(self, func: ast.Subscript) -> tuple[Obj, ...]:
        """The functions that `kernel[grid]` may mean."""
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
            if type(arg) is ast.Starred:
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

    def call_method(self, base: Val, name: str, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """`base.name(...)`, by the class of the receiver."""
        result: Val | None = None
        if base.objs and is_params(base):
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
                self.effect()
                value = NONE_VAL
            elif kind == "native":
                value = self.call_native(name, args, node)
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
        if rest or result is None:
            if len(rest) < len(base.objs):
                base = Val(base.const, base.items, tuple(rest), base.lin, base.loops, base.old, base.taint, base.axes)
            value = self.value_method(base, name, args, kwargs, node)
            result = value if result is None else join(result, value)
        return result

    def instance_method(self, obj: Obj, name: str, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """`instance.name(...)`: a field, a method of the class, or one of the library base."""
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
                self.effect()
            return NONE_VAL
        getter = self.class_attribute(obj.extra, "__getattr__")
        if getter is not None:
            fn = self.call_value(self.bind(getter, of_obj(obj)), [constant(name)], {}, node)
            if fn.objs:
                return self.call_value(fn, args, kwargs, node)
        return self.module_method(of_obj(obj), name, args, kwargs, node)

    def class_method(self, cls: Obj, name: str, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """`Cls.name(...)`."""
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
        frame.call = node
        owner = fn.frame
        if owner is not None and isinstance(owner.node, ast.ClassDef):
            frame.owner = owner.owner
            frame.parent = owner.parent
        self.bind_parameters(frame, definition.args, fn, args, kwargs, node)
        saved_frame, saved_dead, saved_first = self.frame, self.dead, self.first_iteration
        self.frame, self.dead = frame, False
        choosing, self.choosing = self.choosing, 0
        outer_loops = self.loops
        self.loops = list(outer_loops)
        frame.loop_base = len(outer_loops)
        self.depth += 1
        self.stack.append(definition)
        if isinstance(definition, ast.Lambda):
            self.spend()
            frame.returned = self.ev(definition.body)
        else:
            self.run(definition.body)
        self.stack.pop()
        self.depth -= 1
        self.frame, self.dead, self.first_iteration = saved_frame, saved_dead, saved_first
        self.loops = outer_loops
        self.choosing = choosing
        if frame.yields is not None:
            obj = self.alloc("list", "generator", node)
            self.store_elem(obj, frame.yields)
            return of_obj(obj)
        return frame.returned if frame.returned is not None else NONE_VAL

    def bind_parameters(
        self, frame: Frame, spec: ast.arguments, fn: Obj, args: list[Val], kwargs: dict[str, Val], node: ast.AST
    ) -> None:
        """Arguments meet parameters."""
        names = [a.arg for a in (*spec.posonlyargs, *spec.args)]
        variables = frame.vars
        for name, value in zip(names, args, strict=False):
            variables[name] = value
        if spec.vararg is not None:
            variables[spec.vararg.arg] = Val(items=tuple(args[len(names) :]))
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


DISPATCH[ast.Call] = Calls.call
