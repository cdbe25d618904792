"""State of the abstract machine: frames, heap, loops, files, and the events seen so far."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.timeline.events import ConfigRead, CountRead, Loop, Mix, Place, ReportEvent, Score, Timeline, Update
from auditor.timeline.order import independent
from auditor.timeline.values import (
    DIFF,
    GRAD,
    NOCONST,
    NONE,
    NONE_OBJ,
    PARAMS,
    STATE,
    UNKNOWN,
    Carried,
    Dep,
    Obj,
    Region,
    Taint,
    Val,
    join,
    join_taint,
    of_taint,
    reset_tables,
    same,
    taint,
    with_flags,
)

MAX_STEPS = 1_500_000
MAX_DEPTH = 36
NEVER = 1 << 60
FIRST_LOOP = 32  # the bits below mark arguments of summaries

Carrieds = frozenset[Carried]
NO_UPDATES: Carrieds = frozenset()


class BudgetSpent(Exception):
    """The script needs more analysis than the budget allows; the verdict is `hold`."""


class Frame:
    """One activation of a function, class body or module."""

    __slots__ = ("vars", "parent", "globals", "node", "name", "line", "ctx", "caller", "call_line", "returned", "yields", "nonlocals", "owner", "file", "loop_base")

    def __init__(self, name: str, node: Any, parent: Frame | None, globals_: Frame | None, ctx: int) -> None:
        self.vars: dict[str, Val] = {}
        self.parent = parent
        self.globals: Frame = globals_ or self
        self.node = node
        self.name = name
        self.line = getattr(node, "lineno", 1)
        self.ctx = ctx
        self.caller: Frame | None = None
        self.call_line = 0
        self.returned: Val | None = None
        self.yields: Val | None = None
        self.nonlocals: frozenset[str] = frozenset()
        self.owner: Obj | None = None
        self.file = parent.file if parent is not None else ""
        self.loop_base = 0
        """How many loops lie around the call."""


@dataclass
class Snapshot:
    """The flow-sensitive part of the state, saved at a branch."""

    vars: dict[str, Val]
    states: dict[Obj, Carrieds]
    pending: frozenset[int]


@dataclass
class LoopContext:
    """A loop being interpreted."""

    loop: Loop
    breaks: list[Snapshot] = field(default_factory=list)
    continues: list[Snapshot] = field(default_factory=list)


class Machine:
    """Heap, frames and events; evaluation lives in the subclasses."""

    def __init__(self, env: Mapping[str, tuple[str, str]], argv: tuple[str, ...], explore: frozenset[int]) -> None:
        reset_tables()
        self.env = env
        """Settings of the run: name -> (value, source)."""
        self.argv = argv
        self.explore = explore
        """Lines of branches that may go either way, to see also what the run switches off."""
        self.forced: dict[int, bool] = {}
        """Outcome of branches, by line of the `if`, that the logs prove."""
        self.evidence_source = "log"
        self.timeline = Timeline()
        self.frame: Frame
        self.dead = False
        self.states: dict[Obj, Carrieds] = {}
        self.pending: frozenset[int] = frozenset()
        self.control = 0
        """Loops that the tests of the unknown branches around us vary with."""
        self.objects: dict[tuple[Any, ...], Obj] = {}
        self.hot: dict[Obj, None] = {}
        self.files: dict[Any, Taint] = {}
        self.loop_bits: dict[tuple[int, int], int] = {}
        self.contexts: dict[tuple[int, int], int] = {}
        self.loops: list[LoopContext] = []
        self.active = 0
        self.weak = 0
        self.depth = 0
        self.growth = 0
        self.clock = 0
        self.steps = 0
        self.first_iteration = 0
        self.updates: dict[tuple[Any, ...], Update] = {}
        self.scores: dict[tuple[Any, ...], Score] = {}
        self.reads: dict[tuple[Any, ...], CountRead] = {}
        self.mixes: dict[tuple[Any, ...], Mix] = {}
        self.reports: dict[tuple[Any, ...], ReportEvent] = {}
        self.update_list: list[Update] = []
        self.score_list: list[Score] = []
        self.read_list: list[CountRead] = []
        self.val_models: dict[Obj, None] = {}
        self.aged: dict[tuple[Taint, int], Taint] = {}
        self.stack: list[Any] = []
        self.hooks: dict[Obj, list[Val]] = {}
        self.constants: dict[Any, Val] = {}
        self.library_values: dict[str, Val] = {}
        self.noted: set[tuple[int, int, bool, bool]] = set()
        self.births = 0
        self.oldest_write = NEVER
        self.guard = NEVER
        self.version = 0
        self.effects = 0
        self.summaries: dict[Any, Val] = {}
        self.impure: set[Any] = set()
        self.atoms: dict[Any, int] = {}

    # ---- heap -------------------------------------------------------------------------------------

    def alloc(self, kind: str, name: str, site: Any, *, node: Any = None, extra: Any = None, fresh: bool = True) -> Obj:
        """The object allocated at `site` in the present calling context; a new activation starts empty."""
        key = (kind, id(site), self.frame.ctx)
        obj = self.objects.get(key)
        if obj is None:
            obj = self.objects[key] = Obj(kind, name, len(self.objects), node, self.frame, extra)
        elif fresh:
            if kind in ("list", "dict", "tensor"):
                obj.fields = {}
                obj.elem = None
                obj.content = NONE
            self.states.pop(obj, None)
        obj.extra = extra
        self.births += 1
        obj.born = self.births
        return obj

    def touch(self, obj: Obj) -> None:
        """An object is written: calls that did not make it are not pure, and summaries that read it are stale."""
        if obj.born < self.oldest_write:
            self.oldest_write = obj.born
        if obj.born <= self.guard:
            self.version += 1

    def mark(self, obj: Obj, t: Taint) -> None:
        """Remember objects that hold content with loop-dependent facts; they are aged at back edges."""
        if t is not NONE and (t.toks or t.upd):
            self.hot[obj] = None

    def store_elem(self, obj: Obj, value: Val) -> None:
        """Weak update of the elements of a container."""
        old = obj.elem
        new = value if old is None else join(old, value)
        if old is None or not same(old, new):
            obj.elem = new
            self.growth += 1
            self.touch(obj)
            self.mark(obj, new.taint)

    def store_field(self, obj: Obj, name: Any, value: Val) -> None:
        """Update of a field: strong on straight-line code, weak under unknown branches and in loops."""
        old = obj.fields.get(name)
        if old is not None:
            if self.weak:
                value = join(old, value)
            if same(old, value):
                return
            self.growth += self.weak > 0
        obj.fields[name] = value
        self.touch(obj)
        self.mark(obj, value.taint)
        if obj.kind == "inst":
            for child in value.objs:
                if child.kind in ("inst", "libmod", "tensor", "list", "dict") and obj not in child.owners and child is not obj:
                    child.owners += (obj,)

    def add_content(self, obj: Obj, t: Taint) -> None:
        """Content flows into a tensor or buffer."""
        new = join_taint(obj.content, t)
        if new is not obj.content:
            obj.content = new
            self.mark(obj, new)
            self.growth += 1
            self.touch(obj)

    # ---- content ----------------------------------------------------------------------------------

    def content(self, v: Val) -> Taint:
        """Everything that a value holds: its own content, its items, and what its objects contain."""
        if not v.objs and v.items is None:
            return v.taint if not v.taint.flags & PARAMS else with_flags(v.taint, drop=PARAMS)
        t = v.taint
        if v.items is not None:
            for item in v.items:
                t = join_taint(t, self.content(item))
        for obj in v.objs:
            t = join_taint(t, self.obj_content(obj, 0))
        return with_flags(t, drop=PARAMS) if t.flags & PARAMS else t

    def obj_content(self, obj: Obj, depth: int) -> Taint:
        """Content of an object; parameters count by the updates that reached them."""
        t = obj.content
        kind = obj.kind
        if kind in ("list", "dict"):
            if depth < 4:
                if obj.elem is not None:
                    t = join_taint(t, self.deep(obj.elem, depth + 1))
                for item in obj.fields.values():
                    t = join_taint(t, self.deep(item, depth + 1))
        elif kind in ("func", "class", "lib", "opt"):
            return t
        elif kind == "bound":
            return join_taint(t, self.deep(obj.extra, depth + 1)) if depth < 4 and isinstance(obj.extra, Val) else t
        elif kind == "inst" and depth < 3 and not self.is_module(obj):
            for item in obj.fields.values():
                if item.taint is not NONE or item.objs:
                    t = join_taint(t, self.deep(item, depth + 1))
        if self.states:
            upd = self.states_of(obj)
            if upd:
                t = join_taint(t, taint(upd=upd))
        return t

    def deep(self, v: Val, depth: int) -> Taint:
        """`content` with a depth limit."""
        t = v.taint
        if v.items is not None:
            for item in v.items:
                t = join_taint(t, self.deep(item, depth + 1))
        for obj in v.objs:
            t = join_taint(t, self.obj_content(obj, depth))
        return t

    def is_module(self, obj: Obj) -> bool:
        """Whether an instance derives from a library class that holds parameters."""
        return obj.kind == "libmod" or (obj.kind == "inst" and obj.extra is not None and obj.extra.extra.get("module", False))

    def states_of(self, obj: Obj) -> Carrieds:
        """Updates that have reached an object, or a module that owns it."""
        if not self.states:
            return NO_UPDATES
        found = self.states.get(obj, NO_UPDATES)
        seen = {obj}
        todo = list(obj.owners)
        while todo:
            owner = todo.pop()
            if owner in seen:
                continue
            seen.add(owner)
            found |= self.states.get(owner, NO_UPDATES)
            todo.extend(owner.owners)
        return found

    def add_state(self, obj: Obj, upd: Carrieds) -> None:
        """Updates reach an object; its owners are changed with it."""
        self.effects += 1
        seen: set[Obj] = set()
        todo = [obj]
        while todo:
            target = todo.pop()
            if target in seen:
                continue
            seen.add(target)
            self.states[target] = self.states.get(target, NO_UPDATES) | upd
            todo.extend(target.owners)

    # ---- places, loops, contexts ------------------------------------------------------------------

    def child_context(self, node: Any) -> int:
        """The calling context of a call at `node` from the present frame."""
        key = (self.frame.ctx, id(node))
        found = self.contexts.get(key)
        if found is None:
            found = self.contexts[key] = len(self.contexts) + 1
        return found

    def loop_bit(self, node: Any) -> int:
        """The bit of this activation of a loop."""
        key = (self.frame.ctx, id(node))
        found = self.loop_bits.get(key)
        if found is None:
            found = self.loop_bits[key] = 1 << (FIRST_LOOP + len(self.loop_bits))
        return found

    def fresh_atom(self, node: Any) -> int:
        """The symbol of an unknown integer computed at `node`."""
        key = (id(node), self.frame.ctx)
        found = self.atoms.get(key)
        if found is None:
            found = self.atoms[key] = len(self.atoms)
        return found

    def place(self, line: int) -> Place:
        """Where we are, with the calls that lead here."""
        calls = []
        frame: Frame | None = self.frame
        while frame is not None and frame.caller is not None:
            calls.append((frame.caller.name, frame.call_line))
            frame = frame.caller
        return Place(line, self.frame.name, self.frame.line, self.frame.file, tuple(reversed(calls)))

    def loop_stack(self) -> tuple[Loop, ...]:
        """The loops around the present point, outermost first, across calls."""
        return tuple(context.loop for context in self.loops)

    def innermost(self) -> int:
        """The innermost loop around the present point, across calls: what is read from outside differs by iteration."""
        if not self.loops:
            return 0
        self.effects += 1
        return self.loops[-1].loop.bit

    def tick(self) -> int:
        """The next moment."""
        self.clock += 1
        return self.clock

    # ---- events -----------------------------------------------------------------------------------

    def update_event(self, kind: Any, node: ast.AST, regions: Iterable[Region], atoms: frozenset[int] = frozenset()) -> Update | None:
        """State is about to be changed with validation tokens; None when no validation token is involved."""
        val = frozenset(r for r in regions if r.split == "val")
        if not val:
            return None
        self.effects += 1
        line = getattr(node, "lineno", 0)
        key = (kind, id(node), self.frame.ctx)
        found = self.updates.get(key)
        if found is None:
            place = self.place(line)
            found = Update(len(self.update_list), kind, place, val, self.active, self.loop_stack(), self.tick(), atoms)
            self.updates[key] = found
            self.update_list.append(found)
        else:
            found.regions |= val
            found.atoms |= atoms
        return found

    def score_event(self, node: ast.AST, logits: Taint, target: Taint) -> Taint:
        """Losses of `target` under predictions `logits`; the content of the result."""
        regions = frozenset(r for r in target.toks if r.split == "val")
        if regions:
            self.effects += 1
        else:
            return taint(toks=target.toks, flags=DIFF, deps=logits.deps, counts=logits.counts)
        key = (id(node), self.frame.ctx)
        found = self.scores.get(key)
        if found is None:
            place = self.place(getattr(node, "lineno", 0))
            found = Score(len(self.score_list), place, regions, self.active, self.loop_stack(), self.tick())
            self.scores[key] = found
            self.score_list.append(found)
        judged = self.judge(logits.upd | target.upd, regions, getattr(node, "lineno", 0))
        found.regions |= regions
        found.deps |= judged
        nll = frozenset((found.number,)) | logits.nll
        return taint(target.toks, NO_UPDATES, judged | logits.deps | target.deps, nll, logits.counts, DIFF | (logits.flags & ~(GRAD | STATE)))

    def judge(self, upd: Carrieds, regions: Iterable[Region], line: int) -> frozenset[Dep]:
        """Whether each update that reaches this read is of other tokens than the ones read."""
        if not upd:
            return frozenset()
        self.effects += 1
        deps = set()
        reads = [r for r in regions if r.split == "val"]
        for number, carried in upd:
            update = self.update_list[number]
            legal = all(
                independent(mine, update.stack, carried, read, self.active) for mine in update.regions for read in reads
            )
            deps.add(Dep(number, legal, carried & update.stack, line))
        return frozenset(deps)

    def count_read(self, node: ast.AST, table: Obj | None, name: str, key: Taint, exact: bool, key_line: int) -> CountRead:
        """A table is looked up with a key that folds several token ids into one."""
        self.effects += 1
        ident = (id(node), self.frame.ctx)
        found = self.reads.get(ident)
        if found is None:
            place = self.place(getattr(node, "lineno", 0))
            found = CountRead(len(self.read_list), place, key.toks, True, exact, name, key_line, self.tick())
            self.reads[ident] = found
            self.read_list.append(found)
        else:
            found.key |= key.toks
        if not found.target_in_key and {0, 1} <= {r.shift for r in found.key}:
            found.target_in_key = True
            found.why = "its key holds both sides of the input/target pair"
        found.key_sites = tuple(sorted({r.site // 1000 for r in found.key if r.site}))
        return found

    def report(self, node: ast.AST, t: Taint, bits: bool, line: int, text: str) -> None:
        """A loss over validation tokens is printed or written."""
        if not t.nll:
            return
        self.effects += 1
        key = (line, id(node), self.frame.ctx)
        place = self.place(line)
        found = self.reports.get(key)
        if found is None:
            self.reports[key] = ReportEvent(place, t.nll, t.deps, t.counts, bits, self.tick(), text)
        else:
            found.scores |= t.nll
            found.deps |= t.deps
            found.counts |= t.counts
            found.bits |= bits
            found.order = self.tick()

    def config_read(self, name: str, value: Any, source: str, line: int, default: Any = None) -> None:
        """A setting was read; the first reading counts."""
        if name not in self.timeline.config:
            text = str(value)
            self.timeline.config[name] = ConfigRead(name, text, source, line, text if default is None else str(default))

    # ---- flow-sensitive state -----------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Copy of the flow-sensitive state."""
        return Snapshot(dict(self.frame.vars), dict(self.states), self.pending)

    def restore(self, snap: Snapshot) -> None:
        """Back to a snapshot; the snapshot may be used again."""
        self.frame.vars = dict(snap.vars)
        self.states = dict(snap.states)
        self.pending = snap.pending

    def merge(self, snaps: list[Snapshot]) -> None:
        """Continue from the join of several states; none means unreachable."""
        if not snaps:
            self.dead = True
            return
        self.dead = False
        first = snaps[0]
        variables, states, pending = dict(first.vars), dict(first.states), first.pending
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

    def age_taint(self, t: Taint, bit: int) -> Taint:
        """Content as seen from the next iteration of a loop."""
        key = (t, bit)
        found = self.aged.get(key)
        if found is None:
            toks = frozenset(
                r._replace(loops=r.loops & ~bit, old=r.old | bit) if r.loops & bit else r for r in t.toks
            )
            upd = self.age_updates(t.upd, bit)
            found = self.aged[key] = taint(toks, upd, t.deps, t.nll, t.counts, t.flags)
        return found

    def age_updates(self, upd: Carrieds, bit: int) -> Carrieds:
        """Updates as seen from the next iteration of a loop that encloses them."""
        if not upd:
            return upd
        return frozenset(
            Carried(u, c | bit) if u >= 0 and self.update_list[u].stack & bit else Carried(u, c) for u, c in upd
        )

    def age(self, v: Val, bit: int) -> Val:
        """A value as seen from the next iteration of a loop."""
        t = v.taint
        if t is not NONE and (t.toks or t.upd):
            t = self.age_taint(t, bit)
        items = v.items
        if items is not None:
            aged = tuple(self.age(item, bit) for item in items)
            if any(a is not b for a, b in zip(aged, items, strict=True)):
                items = aged
        if t is v.taint and items is v.items and not v.loops & bit:
            return v
        loops, old = v.loops, v.old
        if loops & bit:
            loops, old = loops & ~bit, old | bit
        return Val(v.const, items, v.objs, v.lin, loops, old, t)

    def cross_back_edge(self, bit: int) -> None:
        """One iteration of a loop ends and the next begins."""
        variables = self.frame.vars
        for name, value in variables.items():
            if value.taint is not NONE or value.loops & bit or value.items is not None:
                aged = self.age(value, bit)
                if aged is not value:
                    variables[name] = aged
        for obj in self.hot:
            if obj.content is not NONE:
                obj.content = self.age_taint(obj.content, bit)
            if obj.elem is not None:
                obj.elem = self.age(obj.elem, bit)
            for name, value in obj.fields.items():
                if value.taint is not NONE:
                    obj.fields[name] = self.age(value, bit)
        for obj, upd in self.states.items():
            self.states[obj] = self.age_updates(upd, bit)

    def truth(self, v: Val) -> bool | None:
        """Truth of a value, when it is known."""
        if v.const is not NOCONST:
            try:
                return bool(v.const)
            except Exception:
                return None
        if v.items is not None and NONE_OBJ not in v.objs:
            return bool(v.items)
        return None

    def is_none(self, v: Val) -> bool | None:
        """Whether a value is None, when it is known."""
        if v.const is not NOCONST:
            return v.const is None
        if NONE_OBJ in v.objs:
            return None
        return False if v.items is not None or v.objs else None

    def unknown(self, *values: Val) -> Val:
        """Result of an operation of which nothing is known: made from everything it was given."""
        t, loops, old = NONE, 0, 0
        for v in values:
            c = self.content(v)
            if c is not NONE:
                t = join_taint(t, c)
            loops |= v.loops
            old |= v.old
        return of_taint(t, loops, old) if t is not NONE or loops or old else UNKNOWN
