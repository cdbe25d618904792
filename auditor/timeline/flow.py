"""Flow-sensitive state: snapshots at branches, ageing at the back edges of loops."""

from __future__ import annotations

from operator import is_not

from auditor.timeline.frames import Carrieds, Snapshot
from auditor.timeline.recorder import Recorder
from auditor.timeline.values import (
    NONE,
    Carried,
    Region,
    Taint,
    Val,
    join,
    taint,
)


class Flow(Recorder):
    """Saves, joins and ages the state."""

    __slots__ = ()

    def innermost(self) -> int:
        """The innermost loop around the present point, across calls: what is read from outside differs by iteration."""
        if not self.loops:
            return 0
        self.effect()
        return self.loops[-1].loop.bit

    def innermost_of(self, container: Val) -> int:
        """`innermost` for what is taken out of a container; one made in this very iteration holds nothing older."""
        if not self.loops:
            return 0
        born = min((o.born for o in container.objs), default=0)
        self.taken_from(born)
        context = self.loops[-1]
        return context.loop.bit if born <= context.births else 0

    def snapshot(self) -> Snapshot:
        """Copy of the flow-sensitive state."""
        return Snapshot(dict(self.frame.vars), dict(self.states), self.pending)

    def left(self) -> Snapshot:
        """The flow-sensitive state itself, where another one is about to take its place."""
        return Snapshot(self.frame.vars, self.states, self.pending)

    def restore(self, snap: Snapshot) -> None:
        """Back to a snapshot; the snapshot may be used again."""
        self.frame.vars = dict(snap.vars)
        self.states = dict(snap.states)
        self.pending = snap.pending

    def merge(self, snaps: list[Snapshot]) -> None:
        """Continue from the join of several states, of which the first is used up; none means unreachable."""
        if not snaps:
            self.dead = True
            return
        self.dead = False
        first = snaps[0]
        variables, states, pending = first.vars, first.states, first.pending
        for other in snaps[1:]:
            for name, value in other.vars.items():
                mine = variables.get(name)
                if mine is None:
                    variables[name] = value
                elif mine is not value:
                    variables[name] = join(mine, value)
            if states is not other.states:
                for obj, upd in other.states.items():
                    mine_upd = states.get(obj)
                    states[obj] = upd if mine_upd is None else mine_upd | upd
            pending |= other.pending
        self.frame.vars, self.states, self.pending = variables, states, pending

    def age_taint(self, t: Taint, bit: int, inside: bool) -> Taint:
        """Content as seen from the next iteration of a loop; `inside` of a module, or around it."""
        key = (t, bit, inside)
        found = self.aged.get(key)
        if found is None:
            crossings = t.crossings if inside else frozenset[int]()  # the next window comes after this one
            found = self.aged[key] = taint(
                _aged(t.toks, bit),
                self.age_updates(t.upd, bit),
                t.deps,
                t.nll,
                t.counts,
                t.flags,
                crossings,
                _aged(t.gates, bit),
            )
            if found is t:
                self.ageless[bit, inside].add(t)
        return found

    def age_updates(self, upd: Carrieds, bit: int) -> Carrieds:
        """Updates as seen from the next iteration of a loop that encloses them."""
        if not upd:
            return upd
        key = (upd, bit)
        found = self.aged_updates.get(key)
        if found is None:
            aged = frozenset(
                Carried(u, c | bit) if u >= 0 and self.update_list[u].stack & bit else Carried(u, c) for u, c in upd
            )
            found = self.aged_updates[key] = upd if aged == upd else aged
        return found

    def age(self, v: Val, bit: int, inside: bool) -> Val:
        """A value as seen from the next iteration of a loop."""
        t, items = v.taint, v.items
        if t not in self.ageless[bit, inside]:
            t = self.age_taint(t, bit, inside)
        if items is not None:
            aged = tuple([self.age(item, bit, inside) for item in items])
            if any(map(is_not, aged, items)):
                items = aged
        if t is v.taint and items is v.items and not v.loops & bit:
            return v
        loops, old = v.loops, v.old
        if loops & bit:
            loops, old = loops & ~bit, old | bit
        return Val(v.const, items, v.objs, v.lin, loops, old, t, v.axes)

    def cross_back_edge(self, bit: int) -> None:
        """One iteration of a loop ends and the next begins."""
        inside = self.in_module()
        variables, ageless = self.frame.vars, self.ageless[bit, inside]
        for name, value in variables.items():
            if value.taint not in ageless or value.loops & bit or value.items is not None:
                aged = self.age(value, bit, inside)
                if aged is not value:
                    variables[name] = aged
        # a call that is being summarised reads what was made before it as it is
        oldest = -1 if self.marking is None else self.marking.births
        for obj in self.hot:
            if obj.born <= oldest:
                continue
            before, elem, changed = obj.content, obj.elem, False
            if before not in ageless:
                obj.content = self.age_taint(before, bit, inside)
                changed = obj.content is not before
            if elem is not None and (elem.taint not in ageless or elem.loops & bit or elem.items is not None):
                obj.elem = self.age(elem, bit, inside)
                changed |= obj.elem is not elem
            for name, value in obj.fields.items():
                t = value.taint
                if t not in ageless or (t is not NONE and (value.loops & bit or value.items is not None)):
                    aged = self.age(value, bit, inside)
                    if aged is not value:
                        obj.fields[name] = aged
                        changed = True
            if changed:
                self.restamp(obj)
        if self.marking is None:
            for obj, upd in self.states.items():
                self.states[obj] = self.age_updates(upd, bit)


def _aged(regions: frozenset[Region], bit: int) -> frozenset[Region]:
    """Regions as seen from the next iteration of a loop."""
    for r in regions:
        if r.loops & bit:
            return frozenset(r._replace(loops=r.loops & ~bit, old=r.old | bit) if r.loops & bit else r for r in regions)
    return regions
