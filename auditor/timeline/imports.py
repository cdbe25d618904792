"""Models of `importlib`: modules that are imported by a name, or loaded from their file."""

from __future__ import annotations

import ast

from auditor.timeline.library import Library
from auditor.timeline.registry import PATHS, Args, Kwargs
from auditor.timeline.values import Val, of_obj


def _import(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """`__import__(name)`: known when the name is; computed names are for `note_unread`."""
    if not args or not isinstance(args[0].const, str):
        return None
    return self.import_module(args[0].const, node) or of_obj(self.lib_object(args[0].const))


def _spec(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """`spec_from_file_location(name, path)`: the sibling module itself stands for its specification."""
    location = args[1] if len(args) > 1 else kwargs.get("location")
    file = self.file_key(location) if location is not None else ""
    return self.import_module(file.removesuffix(".py"), node) if file.endswith(".py") else None


def _of_spec(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    known = bool(args) and any(obj.kind == "module" for obj in args[0].objs)
    return args[0] if known else None


PATHS.update(
    {
        "builtins.__import__": _import,
        "importlib.import_module": _import,
        "importlib.util.spec_from_file_location": _spec,
        "importlib.util.module_from_spec": _of_spec,
    }
)
