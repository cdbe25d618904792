"""State of the abstract machine: heap, contents, calling contexts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any

from auditor.program.linear import Linear
from auditor.timeline.contract import Evaluator
from auditor.timeline.events import (
    Choice,
    CountRead,
    Crossing,
    Gate,
    Mix,
    Read,
    ReportEvent,
    Score,
    Timeline,
    Update,
)
from auditor.timeline.frames import (
    NO_UPDATES,
    BudgetSpent,
    Carrieds,
    Frame,
    Impure,
    LoopContext,
    Marking,
    Snapshot,
    Suspended,
)
from auditor.timeline.values import (
    HASH,
    NOCONST,
    NONE,
    NONE_OBJ,
    PARAMS,
    UNKNOWN,
    Obj,
    Region,
    Taint,
    Val,
    join,
    join_taint,
    of_taint,
    reset_tables,
    retaint,
    same,
    taint,
    with_crossings,
    with_flags,
    with_regions,
)

MAX_STEPS = 500_000
"""Expressions that are evaluated at most,"""
STEPS = 8
"""of which a statement has about so many."""

MAX_DEPTH = 36

NEVER = 1 << 60

MAX_ARGUMENTS = 16
"""Calls with more are not summarised."""
FIRST_LOOP = 2 * MAX_ARGUMENTS
MARKS = (1 << FIRST_LOOP) - 1
"""The bits below stand, in the summary of a function, for the loops that its arguments vary with."""

_CONTEXT = attrgetter(*(f.name for f in fields(Suspended)))


class Machine(Evaluator):
    """Heap and contents; evaluation lives in the subclasses."""

    # In all classes of the interpreter: with so many attributes, a dictionary costs a twentieth of the audit.
    __slots__ = (
        "env",
        "argv",
        "explore",
        "apart",
        "forced",
        "evidence_source",
        "natives",
        "timeline",
        "frame",
        "dead",
        "states",
        "pending",
        "held",
        "control",
        "objects",
        "hot",
        "files",
        "workers",
        "wrapped",
        "loop_bits",
        "contexts",
        "loops",
        "heads",
        "active",
        "within",
        "weak",
        "unsure",
        "depth",
        "growth",
        "clock",
        "steps",
        "first_iteration",
        "updates",
        "scores",
        "reads",
        "in_training",
        "given",
        "crossings",
        "mixes",
        "choices",
        "choosing",
        "gates",
        "count_tables",
        "copy_sites",
        "gate",
        "scored_at",
        "keeping",
        "rewritten",
        "reports",
        "update_list",
        "score_list",
        "read_list",
        "state_reads",
        "read_numbers",
        "val_models",
        "aged",
        "ageless",
        "aged_updates",
        "stack",
        "hooks",
        "constants",
        "library_values",
        "builtin_values",
        "texts",
        "counted_by",
        "tests",
        "unknown_tests",
        "assignments",
        "noted",
        "births",
        "oldest_write",
        "version",
        "effects",
        "score_depth",
        "written",
        "marking",
        "marks",
        "summaries",
        "pure",
        "impure",
        "atoms",
    )

    def __init__(self, env: Mapping[str, tuple[str, str]], argv: tuple[str, ...], explore: frozenset[int]) -> None:
        reset_tables()
        self.env = env
        """Settings of the run: name -> (value, source)."""
        self.argv = argv
        self.explore = explore
        """Lines of branches that may go either way, to see also what the run switches off."""
        self.apart: frozenset[int] = frozenset()
        """Lines of loops of which one pass is enough: what they do is known from another timeline."""
        self.forced: dict[int, bool] = {}
        """Outcome of branches, by line of the `if`, that the logs prove."""
        self.evidence_source = "log"
        self.natives: frozenset[str] = frozenset()
        """Modules that native sources of the submission define."""
        self.timeline = Timeline()
        self.frame: Frame
        self.dead = False
        self.states: dict[Obj, Carrieds] = {}
        self.pending: frozenset[int] = frozenset()
        self.held: frozenset[tuple[object, ...]] = frozenset()
        """Conditions, not known, that hold at this point."""
        self.control: tuple[tuple[int, int], ...] = ()
        """Of the unknown branches around us: objects made when each was entered, loops that its test varies with."""
        self.objects: dict[tuple[Any, ...], Obj] = {}
        self.hot: dict[Obj, None] = {}
        self.files: dict[Any, Taint] = {}
        self.workers: dict[int, str] = {}
        """Commands that start another program, by line."""
        self.wrapped: dict[str, tuple[int, str]] = {}
        """Functions under a decorator that is not in the submission: name -> its line, the decorator."""
        self.loop_bits: dict[tuple[int, int], int] = {}
        self.contexts: dict[tuple[int, int], int] = {}
        self.loops: list[LoopContext] = []
        self.heads: dict[int, tuple[Frame, Snapshot]] = {}
        """State at the head of each loop when it was last left: where the next pass of the loop around it starts."""
        self.active = 0
        self.within = 0
        """Comprehensions (bits) whose element is being evaluated."""
        self.weak = 0
        self.unsure = 0
        """Unknown branches and `try` blocks around us: what fails here need not end the run."""
        self.depth = 0
        self.growth = 0
        self.clock = 0
        self.steps = 0
        self.first_iteration = 0
        self.updates: dict[tuple[Any, ...], Update] = {}
        self.scores: dict[tuple[Any, ...], Score] = {}
        self.reads: dict[tuple[Any, ...], CountRead] = {}
        self.in_training = 0
        """Blocks around us that run in training mode only: no prediction that is scored is made there."""
        self.given: frozenset[Region] = frozenset()
        """The token ids that the model was last called with."""
        self.crossings: dict[tuple[int, str], Crossing] = {}
        self.mixes: dict[tuple[Any, ...], Mix] = {}
        self.choices: dict[tuple[Any, ...], Choice] = {}
        self.choosing = 0
        """What the comparisons of losses around us say of the values that are kept here (flags)."""
        self.gates: dict[tuple[Any, ...], Gate] = {}
        self.count_tables: dict[int, frozenset[int]] = {}
        """Tables, by object, that take in validation tokens: where the token ids of hashed keys are read."""
        self.copy_sites: dict[tuple[int, int], object] = {}
        """What stands for the site of a copy: by the call (of `copy.deepcopy`) and the object copied."""
        self.gate = NONE
        """What the tests of the unknown branches around us are made from."""
        self.scored_at: dict[int, set[Linear]] = {}
        """Positions of the tokens of a score, as they are known where a count meets it."""
        self.keeping = False
        """Whether what is made now is a default, and may have been kept the last time: `rows.setdefault(key, {})`."""
        self.rewritten: tuple[Any, ...] = ()
        """Subscripts that are read only to be written back: `table[key] += 1`."""
        self.reports: dict[tuple[Any, ...], ReportEvent] = {}
        self.update_list: list[Update] = []
        self.score_list: list[Score] = []
        self.read_list: list[CountRead] = []
        self.state_reads: list[Read] = []
        self.read_numbers: dict[tuple[int, int], int] = {}
        self.val_models: dict[Obj, None] = {}
        self.aged: dict[tuple[Taint, int, bool], Taint] = {}
        self.ageless: defaultdict[tuple[int, bool], set[Taint]] = defaultdict(lambda: {NONE})
        """Contents that look the same from the next iteration, by loop and by whether it is in a module."""
        self.aged_updates: dict[tuple[Carrieds, int], Carrieds] = {}
        self.stack: list[Any] = []
        self.hooks: dict[Obj, list[Val]] = {}
        self.constants: dict[Any, Val] = {}
        self.library_values: dict[str, Val] = {}
        self.builtin_values: dict[str, Val] = {}
        self.texts: dict[Any, str] = {}
        self.counted_by: dict[Any, frozenset[str]] = {}
        self.tests: dict[Any, list[tuple[Any, str, tuple[int, ...]]]] = {}
        """Parts of the tests of branches, each with its text and the lines where its names are assigned."""
        self.unknown_tests: dict[tuple[Any, int], frozenset[tuple[object, ...]]] = {}
        """All parts of a test, by branch and calling context."""
        self.assignments: dict[Any, dict[str, list[int]]] = {}
        """Lines on which names are assigned, by function."""
        self.noted: set[tuple[int, int, bool, bool]] = set()
        self.births = 0
        self.oldest_write = NEVER
        self.version = 0
        self.effects = 0
        self.score_depth = 0
        """Most loops around any score since the call that is being observed."""
        self.written: dict[Any, frozenset[int]] = {}
        """Parameters into which functions write elements, by function."""
        self.marking: Marking | None = None
        self.marks = 0
        self.summaries: dict[Any, list[Any]] = {}
        self.pure: set[Any] = set()
        """Functions of which some call was pure: the next ones are summarised at once."""
        self.impure: set[Any] = set()
        """Functions whose next call is known not to be pure."""
        self.atoms: dict[Any, int] = {}

    def alloc(self, kind: str, name: str, site: Any, *, node: Any = None, extra: Any = None, fresh: bool = True) -> Obj:
        """The object allocated at `site` in the present calling context; a new activation starts empty."""
        key = (kind, id(site), self.frame.ctx)
        obj = self.objects.get(key)
        if obj is None:
            obj = self.objects[key] = Obj(kind, name, len(self.objects), node, self.frame, extra)
        elif fresh and not self.keeping:
            if kind in ("list", "dict", "tensor"):
                obj.fields = {}
                obj.elem = None
                obj.content = NONE
            if not (obj.kept and kind == "dict"):  # a row of a table: those of other rows stay counted
                self.states.pop(obj, None)
        if extra is not None:
            obj.extra = extra
        self.births += 1
        obj.born = self.births
        return obj

    def touch(self, obj: Obj) -> None:
        """An object is about to be written: calls that did not make it are not pure, summaries that read it stale."""
        self.taken_from(obj.born)
        frame = obj.frame
        if frame is None or frame is frame.globals or obj.kind in ("class", "func", "module"):
            self.version += 1
        else:
            self.restamp(obj)

    def taken_from(self, born: int) -> None:
        """A call that began after `born` objects were made is not pure: it changes one of them."""
        if self.marking is not None and born <= self.marking.births:
            raise Impure(born)
        if born < self.oldest_write:
            self.oldest_write = born

    def suspended(self) -> Suspended:
        """The dynamic context, to go on from when a call turns out not to be pure."""
        kept: list[Any] = [list(v) if type(v) is list else v for v in _CONTEXT(self)]
        return Suspended(*kept)

    def resume(self, context: Suspended) -> None:
        """Back to a context."""
        for name, value in vars(context).items():
            setattr(self, name, value)

    def spend(self, steps: int = STEPS) -> None:
        """So many expressions are about to be evaluated; ends the analysis that would take too many."""
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise BudgetSpent

    def effect(self) -> None:
        """Something is about to happen that a summary cannot repeat."""
        if self.marking is not None:
            raise Impure(-1)
        self.effects += 1

    def restamp(self, obj: Obj) -> None:
        """What an object holds is not what it was, nor what its owners hold."""
        obj.stamp += 1
        if obj.owners:
            for owner in self.owners(obj):
                owner.stamp += 1

    def mark(self, obj: Obj, t: Taint) -> None:
        """Remember objects that hold content with loop-dependent facts; they are aged at back edges."""
        if t is not NONE and (t.toks or t.upd or t.gates):
            self.hot[obj] = None

    def keep(self, value: Val) -> None:
        """A container holds a value."""
        for child in value.objs:
            child.kept = True

    def store_elem(self, obj: Obj, value: Val) -> None:
        """Weak update of the elements of a container."""
        self.keep(value)
        old = obj.elem
        new = value if old is None else join(old, value)
        if old is None or not same(old, new):
            self.touch(obj)
            obj.elem = new
            self.growth += 1
            self.mark(obj, new.taint)

    def store_field(self, obj: Obj, name: Any, value: Val) -> None:
        """Update of a field: strong on straight-line code, weak under unknown branches and in loops."""
        if value.taint.crossings and self.is_module(obj):  # a statistic of this call, for a later one
            value = retaint(value, with_crossings(value.taint, frozenset()))
        if self.in_training and value.taint.toks and self.is_module(obj):  # scores are taken in evaluation mode
            value = retaint(value, with_regions(value.taint, [r for r in value.taint.toks if r.split != "val"]))
        old = obj.fields.get(name)
        if old is not None:
            if self.weak:
                value = join(old, value)
            if same(old, value):
                return
            self.growth += self.weak > 0
        self.touch(obj)
        obj.fields[name] = value
        self.mark(obj, value.taint)
        if obj.kind in ("list", "dict"):
            self.keep(value)
        if obj.kind == "inst":
            for child in value.objs:
                if (
                    child.kind in ("inst", "libmod", "tensor", "list", "dict")
                    and obj not in child.owners
                    and child is not obj
                ):
                    child.owners += (obj,)

    def add_content(self, obj: Obj, t: Taint) -> None:
        """Content flows into a tensor or buffer."""
        if obj.owners:
            t = with_crossings(t, frozenset())
        new = join_taint(obj.content, t)
        if new is not obj.content:
            self.touch(obj)
            obj.content = new
            self.mark(obj, new)
            self.growth += 1

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
        if self.states or self.marking is not None:
            upd = self.states_of(obj)
            if upd:
                t = join_taint(t, taint(upd=upd))
        return t

    def key_of(self, index: Val) -> Taint:
        """Content of an index; token ids side by side in a tuple are no hash of them."""
        key = self.content(index)
        apart = sum(bool(self.content(item).toks) for item in index.items or ())
        return with_flags(key, drop=HASH) if apart > 1 else key

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
        return obj.kind == "libmod" or (
            obj.kind == "inst" and obj.extra is not None and obj.extra.extra.get("module", False)
        )

    def owners(self, obj: Obj) -> dict[Obj, None]:
        """The objects that hold an object as an attribute, directly or through others."""
        found: dict[Obj, None] = {}
        todo = list(obj.owners)
        while todo:
            owner = todo.pop()
            if owner is not obj and owner not in found:
                found[owner] = None
                todo.extend(owner.owners)
        return found

    def states_of(self, obj: Obj) -> Carrieds:
        """Updates that have reached an object, or a module that owns it."""
        owners = self.owners(obj) if obj.owners else ()
        if self.marking is not None:
            self.marking.ask((obj, *owners))
        found = self.states.get(obj, NO_UPDATES)
        for owner in owners:
            found |= self.states.get(owner, NO_UPDATES)
        return found

    def add_state(self, obj: Obj, upd: Carrieds) -> None:
        """Updates reach an object; its owners are changed with it."""
        self.effect()
        for target in (obj, *self.owners(obj)):
            self.states[target] = self.states.get(target, NO_UPDATES) | upd

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
        return self.mixed(values, map(self.content, values))

    def mixed(self, values: Iterable[Val], contents: Iterable[Taint]) -> Val:
        """A value made from others and from everything that they hold."""
        t, loops, old = NONE, 0, 0
        for v, c in zip(values, contents, strict=True):
            if c is not NONE:
                t = join_taint(t, c)
            loops |= v.loops
            old |= v.old
        return of_taint(t, loops, old) if t is not NONE or loops or old else UNKNOWN
