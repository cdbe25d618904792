"""Models of `copy.copy` and `copy.deepcopy`: which objects two models share after it."""

from __future__ import annotations

import ast

from auditor.timeline.library import Library
from auditor.timeline.registry import PATHS, Args, Kwargs
from auditor.timeline.values import Obj, Val

_COPIED = ("inst", "libmod", "tensor", "list", "dict")


def _copy(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """A copy of the object alone: what it holds, both hold."""
    return _copied(self, args, node, deep=False)


def _deepcopy(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    """A copy with copies of all that the object holds: training one leaves the other as it was."""
    return _copied(self, args, node, deep=True)


def _copied(self: Library, args: Args, node: ast.AST, *, deep: bool) -> Val | None:
    if not args or len(args[0].objs) != 1:
        return args[0] if args else None
    source = args[0].objs[0]
    if source.kind not in _COPIED:
        return args[0]
    made: dict[Obj, Obj] = {}
    copy = _twin(self, source, node, made, deep=deep)
    for original, twin in made.items():
        twin.owners = tuple(made[owner] for owner in original.owners if owner in made)
    return Val(objs=(copy,), taint=args[0].taint)


def _twin(self: Library, source: Obj, node: ast.AST, made: dict[Obj, Obj], *, deep: bool) -> Obj:
    """The copy of one object at `node`; `made` holds those of this call."""
    if source in made or source.kind not in _COPIED:
        return made.get(source, source)
    site = self.copy_sites.setdefault((id(node), source.number), object())
    obj = made[source] = self.alloc(source.kind, source.name, site, node=source.node, extra=source.extra)
    self.touch(obj)

    def twins(value: Val) -> Val:
        objs = tuple(_twin(self, held, node, made, deep=True) for held in value.objs)
        items = None if value.items is None else tuple(map(twins, value.items))
        return Val(value.const, items, objs, value.lin, value.loops, value.old, value.taint, value.axes)

    obj.fields = {name: twins(value) if deep else value for name, value in source.fields.items()}
    obj.elem = twins(source.elem) if deep and source.elem is not None else source.elem
    obj.content = source.content
    if updates := self.states_of(source):
        self.states[obj] = updates
    return obj


PATHS.update({"copy.copy": _copy, "copy.deepcopy": _deepcopy})
