"""Classes of the script: definition, constants, instances."""

from __future__ import annotations

import ast
from typing import Any

from auditor.timeline.attributes import MODULE_BASES
from auditor.timeline.frames import Frame
from auditor.timeline.modules import Modules
from auditor.timeline.values import (
    UNKNOWN,
    Obj,
    Val,
    constant,
    of_obj,
)


class Classes(Modules):
    """Definition and instantiation of classes."""

    __slots__ = ()

    def define_class(self, node: ast.ClassDef) -> None:
        """A class statement."""
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
        cls.extra = {
            "bases": tuple(bases),
            "module": is_module,
            "optimizer": is_optimizer,
            "dataclass": _is_dataclass(node),
        }
        frame = Frame(node.name, node, self.frame, self.frame.globals, self.frame.ctx)
        frame.caller = self.frame
        frame.call = node
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
                if (
                    value is not None
                    and isinstance(value.const, (int, float, str, bool))
                    and isinstance(getattr(statement, "value", None), ast.Constant)
                ):
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
        if cls.extra["module"]:
            self.note_restored(node)
        init = self.class_attribute(cls, "__init__")
        if init is not None:
            self.call_value(self.bind(init, of_obj(obj)), args, kwargs, node)
        elif cls.extra["dataclass"] or args or kwargs:
            names = (
                [s.target.id for s in cls.node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
                if cls.node is not None
                else []
            )
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

    def field_default(self, default: Val, node: ast.AST) -> Val:
        """Default of a dataclass field."""
        if len(default.objs) == 1 and default.objs[0].kind == "field":
            factory = default.objs[0].extra
            return self.call_value(factory, [], {}, node) if factory is not None else UNKNOWN
        return default


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
