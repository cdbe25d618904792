"""Attributes of objects, tensors, parameters, classes and libraries."""

from __future__ import annotations

import ast
import os.path

from auditor.timeline import sequence
from auditor.timeline.axes import Axes, Effect
from auditor.timeline.expressions import Expressions
from auditor.timeline.values import (
    DIFF,
    GRAD,
    NONE,
    TRAINING,
    UNKNOWN,
    WEIGHTS,
    Carried,
    Obj,
    Val,
    constant,
    is_params,
    join,
    of_obj,
    of_taint,
    taint,
)

METADATA = frozenset(
    [
        "shape",
        "size",
        "numel",
        "ndim",
        "dim",
        "device",
        "dtype",
        "nelement",
        "element_size",
        "itemsize",
        "nbytes",
        "is_cuda",
        "layout",
        "stride",
        "storage_offset",
        "requires_grad",
        "is_floating_point",
        "is_leaf",
        "names",
        "training",
    ]
)
MODULE_BASES = frozenset(
    {
        "Module",
        "LightningModule",
        "PreTrainedModel",
        "ModuleList",
        "Linear",
        "Embedding",
        "Sequential",
        "LayerNorm",
        "RMSNorm",
        "Conv1d",
    }
)


class Attributes(Expressions):
    """Reading of attributes."""

    __slots__ = ()

    def attribute(self, base: Val, name: str, node: ast.AST) -> Val:
        """`base.name` for reading."""
        objs = base.objs
        if len(objs) == 1 and objs[0].kind == "lib":
            return self.lib_value(f"{objs[0].name}.{name}")
        result: Val | None = None
        if objs and is_params(base):
            return self.parameter_attribute(base, name, node)
        if name == "training" and objs and self.is_module(objs[0]) and name not in objs[0].fields:
            return of_taint(taint(flags=TRAINING))
        for obj in objs:
            value = self.obj_attribute(obj, name, base, node)
            if value is not None:
                result = value if result is None else join(result, value)
        if result is not None:
            return result
        if base.axes is not None and name in ("shape", "mT", "values", "indices", "data", "T"):
            return self.axis_attribute(base, name, node)
        if name in METADATA:
            return UNKNOWN
        if name in ("backward", "step"):
            return self.bound_method(base, name, node)
        t = self.content(base)
        if t is NONE and not base.objs:
            return of_taint(NONE, base.loops, base.old)
        if all(o.kind in ("tensor", "none") for o in base.objs) and name in (
            "data",
            "T",
            "mT",
            "real",
            "values",
            "loss",
            "logits",
        ):
            return base if name == "data" else of_taint(t, base.loops, base.old)
        if any(o.kind in ("inst", "libmod") for o in base.objs) and t.flags & DIFF and not t.toks:
            return Val(objs=tuple(o for o in base.objs if o.kind in ("inst", "libmod")), taint=taint(flags=DIFF))
        return of_taint(t, base.loops, base.old)

    def axis_attribute(self, base: Val, name: str, node: ast.AST) -> Val:
        """Attributes of a tensor whose axes are known."""
        axes = base.axes
        if axes is None or axes.kind == "size":
            return UNKNOWN
        if name == "shape":
            return Val(items=tuple(Val(axes=Axes(tag, "size")) for tag in axes.tags))
        value = of_taint(self.content(base), base.loops, base.old)
        if name in ("values", "indices"):
            return self.laid(value, Effect(axes._replace(kind="tensor")), node)
        return self.laid(value, sequence.of_method(name, base, [], {}), node)

    def parameter_attribute(self, base: Val, name: str, node: ast.AST) -> Val:
        """Attributes of a value that stands for parameters."""
        if name in METADATA:
            return UNKNOWN
        if name == "grad":
            self.effect()
            return self.gradient(self.pending, GRAD)
        return base

    def gradient(self, pending: frozenset[int], flags: int) -> Val:
        """A gradient carries the updates that it would make."""
        upd = frozenset(Carried(u, 0) for u in pending)
        return of_taint(taint(upd=upd, flags=flags | DIFF) if upd else NONE)

    def obj_attribute(self, obj: Obj, name: str, base: Val, node: ast.AST) -> Val | None:
        """Attribute of one object; None when the object says nothing of it."""
        kind = obj.kind
        if kind == "inst":
            value = obj.fields.get(name)
            if value is not None:
                return value
            value = self.class_attribute(obj.extra, name)
            if value is not None:
                return self.bind_or_read(value, obj, node)
            if name == "__class__":
                return of_obj(obj.extra)
            if name in ("weight", "bias") and self.is_module(obj):
                return Val(objs=(obj,), taint=WEIGHTS)
            if name in ("_orig_mod", "module") and self.is_module(obj):
                return of_obj(obj)  # a compiled or distributed model stands for the model itself
            getter = self.class_attribute(obj.extra, "__getattr__")
            if getter is not None:
                return self.call_value(self.bind(getter, of_obj(obj)), [constant(name)], {}, node)
            if obj.extra.extra.get("namespace") and "*" in obj.fields:
                return obj.fields["*"]
            return self.bound_method(of_obj(obj), name, node)
        if kind == "class":
            value = self.class_attribute(obj, name)
            if value is not None:
                return value
            if name == "__name__":
                return constant(obj.name)
            return self.bound_method(of_obj(obj), name, node)
        if kind == "lib":
            return self.lib_value(f"{obj.name}.{name}")
        if kind == "module":
            return obj.fields.get(name, UNKNOWN)
        if kind == "native":
            return self.bound_method(of_obj(obj), name, node)
        if kind == "super":
            value = None
            for parent in obj.extra[0].extra["bases"]:
                value = self.class_attribute(parent, name)
                if value is not None:
                    return self.bind(value, obj.extra[1])
            return (
                self.bound_method(obj.extra[1], name, node)
                if name != "__init__"
                else of_obj(self.lib_object("builtins.noop"))
            )
        if kind in ("list", "dict", "path", "opt", "partial", "func", "bound"):
            if kind == "opt" and name in ("param_groups", "params", "state"):
                return Val(objs=(obj,))
            if kind == "dict" and name in obj.fields:
                return obj.fields[name]
            if kind == "func" and name in obj.fields:
                return obj.fields[name]
            if kind == "path" and name == "name" and obj.extra is not None:
                return Val(const=os.path.basename(obj.extra), taint=base.taint)
            if kind == "path" and name in ("name", "stem", "parent", "suffix"):
                return Val(objs=(obj,) if name == "parent" else (), taint=base.taint)
            return self.bound_method(Val(objs=(obj,), taint=base.taint), name, node)
        if kind == "libmod":
            value = obj.fields.get(name)
            if value is not None:
                return value
            if name in ("weight", "bias", "data"):
                return Val(objs=(obj,), taint=WEIGHTS)
            if name == "module":
                return of_obj(obj)
            return None
        if kind == "tensor":
            value = obj.fields.get(name)
            if value is not None:
                return value
            if name == "grad":
                self.effect()
                return self.gradient(self.pending, GRAD)
            if name in METADATA:
                return UNKNOWN
            if name in ("data", "values", "ctypes"):
                return Val(objs=(obj,), taint=base.taint)
            return None
        return None

    def bind_or_read(self, value: Val, obj: Obj, node: ast.AST) -> Val:
        """A class attribute read through an instance."""
        for fn in value.objs:
            if fn.kind == "func":
                if fn.extra and "property" in fn.extra:
                    return self.call_value(self.bind(value, of_obj(obj)), [], {}, node)
                return self.bind(value, of_obj(obj))
        return value

    def bind(self, fn: Val, self_val: Val) -> Val:
        """A method bound to its receiver."""
        out: list[Obj] = []
        for obj in fn.objs:
            if obj.kind == "func" and not (obj.extra and "staticmethod" in obj.extra):
                key = ("bound", obj.number, self_val.objs[0].number if self_val.objs else -1)
                bound = self.objects.get(key)
                if bound is None:
                    bound = self.objects[key] = Obj("bound", obj.name, len(self.objects), extra=self_val)
                    bound.node = obj
                out.append(bound)
            else:
                out.append(obj)
        return Val(objs=tuple(out), taint=fn.taint)

    def bound_method(self, receiver: Val, name: str, node: ast.AST) -> Val:
        """A method of a library type, or one that is not known."""
        obj = self.alloc("bound", name, node)
        obj.node = None
        obj.extra = receiver
        return of_obj(obj)

    def class_attribute(self, cls: Obj, name: str) -> Val | None:
        """Attribute of a class or of its bases, in order."""
        value = cls.fields.get(name)
        if value is not None:
            return value
        for parent in cls.extra["bases"]:
            value = self.class_attribute(parent, name)
            if value is not None:
                return value
        return None

    def lib_value(self, path: str) -> Val:
        """A dotted name of a library; a few are constants."""
        value = self.library_values.get(path)
        if value is None:
            value = self.library_values[path] = _CONSTANTS.get(path) or of_obj(self.lib_object(path))
        return value


_CONSTANTS: dict[str, Val] = {
    "math.pi": constant(3.141592653589793),
    "math.e": constant(2.718281828459045),
    "math.inf": constant(float("inf")),
    "numpy.pi": constant(3.141592653589793),
    "numpy.inf": constant(float("inf")),
    "torch.inf": constant(float("inf")),
    "sys.maxsize": constant(2**63 - 1),
    "sys.byteorder": constant("little"),
    "builtins.__name__": constant("__main__"),
    "builtins.True": constant(True),
    "typing.TYPE_CHECKING": constant(False),
}
