"""Loops, interpreted until the state at their head no longer changes."""

from __future__ import annotations

import ast
from collections.abc import Callable

from auditor.timeline.calls import Calls
from auditor.timeline.events import (
    Loop,
    Skipped,
)
from auditor.timeline.frames import LoopContext, Snapshot
from auditor.timeline.values import (
    NOCONST,
    Val,
    constant,
    is_params,
    join,
    same,
    vary,
)

MAX_PASSES = 2
MAX_ELEMENTS = 4
"""Loops over longer literals are not run element by element,"""
MAX_NAMES = 24
"""unless each element is the name of an attribute."""


class Loops(Calls):
    """`for` and `while`."""

    __slots__ = ()

    def shown(self, node: ast.expr) -> str:
        """The text of an expression, made once."""
        text = self.texts.get(node)
        if text is None:
            text = self.texts[node] = ast.unparse(node)[:60]
        return text

    def _do_for(self, node: ast.For | ast.AsyncFor) -> None:
        source = self.ev(node.iter)
        count = self.known_length(source)
        if count == 0 and not self.explore:
            self.note_empty_loop(node)
            self.run(node.orelse)
            return
        unrolled = self.unroll(node, source, count)
        if unrolled:
            return
        bit = self.loop_bit(node)
        loop = Loop(bit, self.place(node.lineno), "for", self.shown(node.target))
        once = count == 1

        def step() -> bool:
            self.assign(node.target, self.iterate(source, node, bit))
            self.run(node.body)
            return True

        always = (count is not None and count > 0) or self.of_parameters(source)
        self.loop(loop, step, node.orelse, once=once, always=always)

    def of_parameters(self, source: Val) -> bool:
        """Whether an iterable gives the parameters of a module, of which there are some."""
        found = [source, *(obj.elem for obj in source.objs if obj.kind == "list" and obj.elem is not None)]
        return any(is_params(v) or any(map(is_params, v.items or ())) for v in found)

    def note_empty_loop(self, node: ast.For | ast.AsyncFor) -> None:
        """Remember a loop that the configuration leaves empty."""
        key = (node.lineno, node.col_offset, True, False)
        if key in self.noted:
            return
        self.noted.add(key)
        self.timeline.skipped.append(
            Skipped(
                node.body[0].lineno,
                node.body[-1].end_lineno or 0,
            )
        )

    def unroll(self, node: ast.For | ast.AsyncFor, source: Val, count: int | None) -> bool:
        """Short loops over literal tuples and lists, or over their indices, are run element by element: the elements
        differ in kind.
        """
        elements = self.literal_elements(source)
        indices = count is not None and count <= 4 and _over_indices(node.iter)
        if indices:
            elements = [constant(index) for index in range(count or 0)]
        if elements is None or count is None:
            return False
        if not 1 <= len(elements) <= (MAX_NAMES if _binds_names(node) else MAX_ELEMENTS):
            return False
        if (
            not indices
            and all(e.const is not NOCONST for e in elements)
            and not all(isinstance(e.const, str) for e in elements)
        ):
            return False
        bit = self.loop_bit(node)
        context = LoopContext(Loop(bit, self.place(node.lineno), "for", self.shown(node.target)), self.births)
        for element in elements:
            if self.dead:
                break
            self.loops.append(context)
            context.births = self.births
            self.assign(node.target, element)
            self.run(node.body)
            self.loops.pop()
            ends = ([] if self.dead else [self.left()]) + context.continues
            context.continues = []
            self.merge(ends)
        if not self.dead and node.orelse:
            self.run(node.orelse)
        self.merge(([] if self.dead else [self.left()]) + context.breaks)
        return True

    def _do_while(self, node: ast.While) -> None:
        bit = self.loop_bit(node)
        loop = Loop(bit, self.place(node.lineno), "while", self.shown(node.test))
        first = self.truth(self.ev(node.test))
        if first is False:
            return
        endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        for name in self.moved_in(node):
            value = self.frame.vars.get(name)
            if value is not None and type(value.const) is int:
                # a position that the body moves on: what is cut there differs from the first pass on
                self.frame.vars[name] = Val(loops=value.loops | bit, old=value.old, taint=value.taint)

        def step() -> bool:
            known = self.truth(self.ev(node.test))
            if known is False:
                return False
            self.run(node.body)
            return True

        self.loop(loop, step, node.orelse, once=False, always=first is True, endless=endless)

    def moved_in(self, node: ast.While) -> frozenset[str]:
        """Names in the test of a loop that its body adds to, found once."""
        found = self.counted_by.get(node)
        if found is None:
            tested = {n.id for n in ast.walk(node.test) if isinstance(n, ast.Name)}
            moved = (n.target for s in node.body for n in ast.walk(s) if isinstance(n, ast.AugAssign))
            found = frozenset(t.id for t in moved if isinstance(t, ast.Name) and t.id in tested)
            self.counted_by[node] = found
        return found

    def loop(
        self,
        loop: Loop,
        step: Callable[[], bool],
        orelse: list[ast.stmt],
        *,
        once: bool,
        always: bool,
        endless: bool = False,
    ) -> None:
        """Interpret a loop body until the state at its head no longer changes; then `orelse`, unless it broke off."""
        context = LoopContext(loop, self.births)
        self.loops.append(context)
        outer_active = self.active
        self.active |= loop.bit
        exits: list[Snapshot] = [] if always else [self.snapshot()]
        before = self.heads.get(loop.bit)
        if before is not None and outer_active and self.marking is None:
            frame, last = before
            if frame is not self.frame:  # of an earlier call, whose variables these are not
                last = Snapshot({}, last.states, last.pending)
            self.merge([self.left(), last])
        head = self.snapshot()
        self.weak += 1
        glance = loop.place.line in self.apart and not loop.place.file
        most = 1 if glance else MAX_PASSES
        for passes in range(1, most + 1):
            growth = self.growth
            self.spend(20 + len(self.frame.vars))  # what a pass costs besides its expressions
            context.continues = []
            context.births = self.births
            if not step():
                exits.append(self.left())
                break
            ends = ([] if self.dead else [self.left()]) + context.continues
            if not ends:
                break
            self.merge(ends)
            if once:
                exits.append(self.left())
                break
            after = self.snapshot()
            if not endless or passes == most:  # what the last pass computes reaches the `break` in another one
                exits.append(after)
            self.cross_back_edge(loop.bit)
            changed = self.widen(head, loop.bit)
            head = self.snapshot()
            if not changed and growth == self.growth:
                break
        if self.marking is None:
            self.heads[loop.bit] = self.frame, head
        self.weak -= 1
        self.loops.pop()
        self.active = outer_active
        self.dead = False
        if orelse:
            self.merge(exits[-2:])
            if not self.dead:
                self.run(orelse)
            exits = [] if self.dead else [self.left()]
        self.merge(exits[-2:] + context.breaks)

    def widen(self, head: Snapshot, bit: int) -> bool:
        """Join the state at the end of the body into the one at the loop's head; whether anything changed."""
        changed = False
        variables = self.frame.vars
        for name, before in head.vars.items():
            now = variables.get(name)
            if now is None:
                variables[name] = before
                continue
            if now is before:
                continue
            merged = join(before, now)
            if not same(merged, before):
                changed = True
                if merged.const is NOCONST and not merged.objs and merged.items is None:
                    merged = vary(merged, bit)
            variables[name] = merged
        for name in variables:
            if name not in head.vars:
                changed = True
        for obj, upd in head.states.items():
            now_upd = self.states.get(obj)
            self.states[obj] = upd if now_upd is None else upd | now_upd
        for obj, upd in self.states.items():
            if head.states.get(obj) != upd:
                changed = True
        return changed


def _over_indices(node: ast.expr) -> bool:
    """Whether a loop is over `range(len(x))`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"):
        return False
    bound = node.args[0] if len(node.args) == 1 else None
    return isinstance(bound, ast.Call) and isinstance(bound.func, ast.Name) and bound.func.id == "len"


def _binds_names(node: ast.For | ast.AsyncFor) -> bool:
    """Whether a loop does nothing but `setattr` with its variable as the name, under a test or not."""
    body = node.body[0].body if isinstance(node.body[0], ast.If) and not node.body[0].orelse else node.body
    call = body[0].value if isinstance(body[0], ast.Expr) and len(body) == len(node.body) == 1 else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "setattr"
