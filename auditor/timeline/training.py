"""Gradients and optimisers: from a loss to the state that it changes."""

from __future__ import annotations

import ast

from auditor.timeline.files import Files
from auditor.timeline.registry import Args, Kwargs
from auditor.timeline.values import (
    DIFF,
    FOREIGN,
    STATE,
    Carried,
    Obj,
    Region,
    Taint,
    Val,
    of_obj,
    of_taint,
    taint,
)


class Training(Files):
    """Backward passes and optimiser steps."""

    __slots__ = ()

    def backward(self, v: Val, node: ast.AST) -> None:
        """`loss.backward()`: a gradient of validation tokens becomes pending."""
        t = self.content(v)
        self.effect()
        regions = self.loss_regions(t)
        event = self.update_event("gradient", node, regions, t.nll)
        self.pending = frozenset((event.number,)) if event is not None else frozenset()

    def loss_regions(self, t: Taint) -> frozenset[Region]:
        """The tokens that a loss is of; where they were lost on the way, those of all scores in it."""
        if any(r.split == "val" for r in t.toks):
            if t.flags & FOREIGN and not t.nll:  # of training, with what modules kept of a validation before
                return frozenset(r for r in t.toks if r.split != "val" or r.loops & self.active)
            return t.toks
        return frozenset(r for score in self.scores_in(t) for r in score.regions)

    def optimizer_step(self, obj: Obj, node: ast.AST) -> None:
        """`optimizer.step()`: the pending gradient reaches the parameters."""
        if not self.pending:
            self.timeline.trained = self.moment(node)
            self.timeline.trained_in |= self.active
            return
        holders = obj.extra or tuple(self.val_models)
        self.apply_pending(holders, obj.name, node)

    def apply_pending(self, holders: tuple[Obj, ...], optimizer: str, node: ast.AST) -> None:
        """The pending gradient reaches the parameters of `holders`."""
        upd = frozenset(Carried(u, 0) for u in self.pending)
        for number in self.pending:
            event = self.update_list[number]
            event.optimizer = event.optimizer or optimizer
        for holder in holders:
            self.add_state(holder, upd)
            if holder.kind == "list":  # copies of weights
                self.store_elem(holder, of_taint(taint(upd=upd, flags=DIFF | STATE)))
        for number in self.pending:
            self.note_applied(number, node, Val(objs=holders))

    def new_optimizer(self, name: str, args: Args, kwargs: Kwargs, node: ast.AST) -> Val:
        """An optimiser over the parameters that it is given."""
        obj = self.alloc("opt", name, node)
        holders: dict[Obj, None] = {}
        for v in [*args[:1], *([kwargs["params"]] if "params" in kwargs else [])]:
            self.collect_holders(v, holders, 0)
        obj.extra = tuple(holders) if obj.extra is None else tuple(dict.fromkeys((*obj.extra, *holders)))
        return of_obj(obj)

    def collect_holders(self, v: Val, out: dict[Obj, None], depth: int) -> None:
        """Objects whose parameters a value stands for."""
        for item in v.items or ():
            self.collect_holders(item, out, depth + 1)
        for obj in v.objs:
            if obj.kind in ("inst", "libmod", "tensor"):
                out[obj] = None
            elif obj.kind in ("list", "dict") and depth < 6:
                if obj.elem is not None:
                    self.collect_holders(obj.elem, out, depth + 1)
                    if obj.kind == "list" and not obj.elem.objs and obj.elem.taint.flags & STATE:
                        out[obj] = None
                for item in obj.fields.values():
                    self.collect_holders(item, out, depth + 1)
            elif obj.kind == "opt" and obj.extra:
                out.update(dict.fromkeys(obj.extra))
