"""Abstract values: what the analysis knows of a value at a point of the program.

A `Val` has a shape part (a constant, a tuple of values, the heap objects it may be, a symbolic integer) and a
content part, the `Taint`: which validation tokens it was made from, which state updates it depends on, which
scores it contains. Taints are interned, so equality is identity and joining equal taints costs nothing.

Loops are bits of an integer: a value that differs from one iteration of loop L to the next has bit L in `loops`;
a value that was made in an *earlier* iteration of L has bit L in `old`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

from auditor.program.linear import Linear
from auditor.timeline.axes import Axes

# Flags of a taint.
VOCAB = 1  # scores or probabilities over the whole vocabulary
PROB = 2  # the probability, or log-probability, of the scored token
BITS = 4  # a loss in bits: divided by ln 2
DIFF = 8  # depends on model parameters
PATH_VAL = 16  # names validation files
PATH_TRAIN = 32  # names training files
HASH = 64  # token ids folded into one number
PARAMS = 128  # stands for the parameters of the object it points to
GRAD = 256  # a gradient
NORMED = 1024  # divided by the sum over the vocabulary
STATE = 2048  # a snapshot of parameters (state dict)
STORED = 4096  # read from a file that is neither a token split nor written by the script
COPY = 8192  # says whether the scored token equals one that was stored for its position
OUTSIDE = 1 << 30  # read from what another program, started by the script, may have written
FOREIGN = 1 << 31  # a loss of other tokens than validation's
MAPPED = 16384  # looked up in a fixed table by token id: a property of tokens, not the tokens
PIECE = 32768  # the text of tokens: their bytes, or what is made of them
JUDGED_PART = 1 << 16  # a comparison of two losses of the same few tokens
JUDGED_WHOLE = 1 << 17  # a comparison of two losses of whole evaluations
PART = 1 << 18  # of several losses of the same few tokens, the one that they chose
WHOLE = 1 << 19  # of several evaluations or weights, the ones that validation losses chose
LOOKED = 1 << 20  # looked up in a table by validation tokens
SHARE = 1 << 21  # a look-up divided by a look-up: a count by a count, at most one
TRAINING = 1 << 22  # true while the model is in training mode only
PLACES = 1 << 23  # where elements stand once sorted: positions in an array, not what the array holds
FILLED = 1 << 25  # an array that native code filled from validation tokens
PICKED = 1 << 28  # the entry of the scored token, out of counts that were looked up for every token
PAIR = 1 << 29  # the entry of the scored token in a table of pairs: of a context, and of what comes after it
PACKED = 1 << 27  # validation text that was compressed: a copy of it comes out again
ALIEN = 1 << 26  # the scored token's loss, beside a number of the whole row of predictions
SORTED = 1 << 24  # comes from a list that was sorted by a key: not in the order of the stream

MAX_REGIONS = 16

TOTALS = frozenset(("sum", "mean"))
"""Operations whose result is of no single token."""


# What a decision may hang on, as the `split` of a region in `Taint.gates`.
CLASS = "class"  # what kind of token it is: the entry of a fixed table at that token
OUTCOME = "outcome"  # a comparison with the probability that the token got


class Cut(NamedTuple):
    """One side of a cut through a window: what lies before position `bound`, or from there on (`tail`)."""

    bound: tuple[object, ...]
    tail: bool


class Region(NamedTuple):
    """A part of a token stream: which split, on which loops it depends, where it starts and ends.

    `shift` counts slices `[1:]` taken after the stream was cut: 1 is the target side of an input/target pair.
    `site` is the source line of the read that cut it.
    """

    split: str
    loops: int = 0
    old: int = 0
    start: Linear | None = None
    shift: int = 0
    site: int = 0
    arg: int = 0
    """Marker of a summary: the argument that this region stands for."""
    end: Linear | None = None
    cut: Cut | None = None
    sliced: int = 0
    """Loops, running when it was sliced, that the bounds of its slices vary with."""


class Carried(NamedTuple):
    """Update number `update` reaches this point, having crossed the back edges of the loops in `loops`."""

    update: int
    loops: int


class Dep(NamedTuple):
    """Read number `read` depends on update `update`, across the back edges of `loops`; judged when all is known."""

    update: int
    read: int
    loops: int
    cut: Cut | None = None
    """The side of a cut that is used of what was read."""


class Taint:
    """Content of a value; immutable and interned (use `taint`)."""

    __slots__ = ("toks", "upd", "deps", "nll", "counts", "flags", "crossings", "gates")

    def __init__(
        self,
        toks: frozenset[Region],
        upd: frozenset[Carried],
        deps: frozenset[Dep],
        nll: frozenset[int],
        counts: frozenset[int],
        flags: int,
        crossings: frozenset[int],
        gates: frozenset[Region],
    ) -> None:
        self.toks = toks
        self.upd = upd
        self.deps = deps
        self.nll = nll
        self.counts = counts
        self.flags = flags
        self.crossings = crossings
        self.gates = gates


E = TypeVar("E")
_EMPTY: frozenset[Any] = frozenset()
_TAINTS: dict[tuple[Any, ...], Taint] = {}
_JOINS: dict[tuple[int, int], Taint] = {}
_MERGED: dict[frozenset[Region], frozenset[Region]] = {}
_CONTENTS: dict[tuple[Taint, int, int], Val] = {}


def reset_tables() -> None:
    """Forget interned taints; called at the start of each analysis, so that memory stays bounded."""
    _TAINTS.clear()
    _JOINS.clear()
    _MERGED.clear()
    _CONTENTS.clear()
    for t in (NONE, WEIGHTS):
        _TAINTS[(t.toks, t.upd, t.deps, t.nll, t.counts, t.flags, t.crossings, t.gates)] = t


def taint(
    toks: frozenset[Region] = _EMPTY,
    upd: frozenset[Carried] = _EMPTY,
    deps: frozenset[Dep] = _EMPTY,
    nll: frozenset[int] = _EMPTY,
    counts: frozenset[int] = _EMPTY,
    flags: int = 0,
    crossings: frozenset[int] = _EMPTY,
    gates: frozenset[Region] = _EMPTY,
) -> Taint:
    """The interned taint with these parts; too many regions are merged into one per split."""
    if len(toks) > MAX_REGIONS:
        toks = _merged(toks)
    if len(gates) > MAX_REGIONS:
        gates = _merged(gates)
    key = (toks, upd, deps, nll, counts, flags, crossings, gates)
    found = _TAINTS.get(key)
    if found is None:
        found = _TAINTS[key] = Taint(*key)
    return found


def _merged(toks: frozenset[Region]) -> frozenset[Region]:
    """`_merge_regions`, once for each set."""
    found = _MERGED.get(toks)
    if found is None:
        found = _MERGED[toks] = _merge_regions(toks)
    return found


def _merge_regions(toks: frozenset[Region]) -> frozenset[Region]:
    """Fewer regions: first one for each read, then one for all."""
    for by_read in (True, False):
        groups: dict[Any, list[Region]] = {}
        for r in toks:
            groups.setdefault((r.split, r.site, r.shift, r.arg) if by_read else (r.split,), []).append(r)
        merged = []
        for group in groups.values():
            first = group[0]
            loops, old, start, end, cut = first.loops, 0, first.start, first.end, first.cut
            for region in group:
                loops &= region.loops
                old |= region.old
                start = start if region.start == start else None
                end = end if region.end == end else None
                cut = cut if region.cut == cut else None
            kept = first._replace(loops=loops, old=old, start=start, end=end, cut=cut)
            merged.append(kept if by_read else Region(first.split, loops, old))
        toks = frozenset(merged)
        if len(toks) <= MAX_REGIONS:
            break
    return toks


NONE = Taint(_EMPTY, _EMPTY, _EMPTY, _EMPTY, _EMPTY, 0, _EMPTY, _EMPTY)
WEIGHTS = Taint(_EMPTY, _EMPTY, _EMPTY, _EMPTY, _EMPTY, PARAMS | DIFF, _EMPTY, _EMPTY)
"""Parameters of a module."""
reset_tables()


def join_taint(a: Taint, b: Taint) -> Taint:
    """Union of two contents."""
    if a is b or b is NONE:
        return a
    if a is NONE:
        return b
    key = (id(a), id(b))
    found = _JOINS.get(key)
    if found is None:
        found = _JOINS[key] = taint(
            _union(a.toks, b.toks),
            _union(a.upd, b.upd),
            _union(a.deps, b.deps),
            _union(a.nll, b.nll),
            _union(a.counts, b.counts),
            a.flags | b.flags,
            _union(a.crossings, b.crossings),
            _union(a.gates, b.gates),
        )
    return found


def _union(a: frozenset[E], b: frozenset[E]) -> frozenset[E]:
    """`a | b`; one of them where that is the union, as its hash is known."""
    if not b or a is b:
        return a
    return b if not a else a | b


def with_flags(t: Taint, add: int = 0, drop: int = 0) -> Taint:
    """`t` with flags added and dropped."""
    flags = (t.flags | add) & ~drop
    return t if flags == t.flags else taint(t.toks, t.upd, t.deps, t.nll, t.counts, flags, t.crossings, t.gates)


def with_regions(t: Taint, toks: Iterable[Region]) -> Taint:
    """`t` with other token regions."""
    return taint(frozenset(toks), t.upd, t.deps, t.nll, t.counts, t.flags, t.crossings, t.gates)


def with_crossings(t: Taint, crossings: frozenset[int]) -> Taint:
    """`t` with other crossings."""
    return t if t.crossings == crossings else taint(t.toks, t.upd, t.deps, t.nll, t.counts, t.flags, crossings, t.gates)


class _NoConst:
    __slots__ = ()

    def __repr__(self) -> str:
        return "NOCONST"


NOCONST: Any = _NoConst()


class Obj:
    """A heap object, named by its allocation site and calling context.

    `kind` is one of: inst, func, class, lib, libmod, tensor, list, dict, globals, partial, bound, opt, path, super.
    """

    __slots__ = (
        "kind",
        "name",
        "fields",
        "elem",
        "node",
        "frame",
        "extra",
        "owners",
        "number",
        "content",
        "born",
        "kept",
        "stamp",
    )

    def __init__(
        self, kind: str, name: str, number: int, node: Any = None, frame: Any = None, extra: Any = None
    ) -> None:
        self.kind = kind
        self.name = name
        self.number = number
        self.node = node
        self.frame = frame
        self.extra = extra
        self.fields: dict[Any, Val] = {}
        self.elem: Val | None = None
        self.content: Taint = NONE
        self.owners: tuple[Obj, ...] = ()
        self.born = 0
        self.kept = False
        """Held by a container: the next object of the same site does not replace it."""
        self.stamp = 0

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}#{self.number}>"


class Val:
    """An abstract value; immutable."""

    __slots__ = ("const", "items", "objs", "lin", "loops", "old", "taint", "axes")

    def __init__(
        self,
        const: Any = NOCONST,
        items: tuple[Val, ...] | None = None,
        objs: tuple[Obj, ...] = (),
        lin: Linear | None = None,
        loops: int = 0,
        old: int = 0,
        taint: Taint = NONE,
        axes: Axes | None = None,
    ) -> None:
        self.const = const
        self.items = items
        self.objs = objs
        self.lin = lin
        self.loops = loops
        self.old = old
        self.taint = taint
        self.axes = axes

    def __repr__(self) -> str:
        parts = []
        if self.const is not NOCONST:
            parts.append(repr(self.const))
        if self.items is not None:
            parts.append(repr(self.items))
        if self.objs:
            parts.append(repr(self.objs))
        if self.taint is not NONE:
            t = self.taint
            parts.append(f"toks={set(t.toks)} upd={set(t.upd)} nll={set(t.nll)} deps={set(t.deps)} f={t.flags}")
        return f"Val({' '.join(parts)} L{self.loops:b}/{self.old:b})"


UNKNOWN = Val()
NONE_OBJ = Obj("none", "None", -1)
"""Member of `objs` of a value that may also be None."""
NONE_VAL = Val(const=None)
TRUE = Val(const=True)
FALSE = Val(const=False)


def constant(value: Any) -> Val:
    """The value of a literal; small integers are also symbolic positions."""
    if type(value) is int and -(1 << 60) < value < (1 << 60):
        return Val(const=value, lin=Linear(value))
    return Val(const=value)


def of_taint(t: Taint, loops: int = 0, old: int = 0) -> Val:
    """A value of which only the content is known."""
    if t is NONE and not loops and not old:
        return UNKNOWN
    key = (t, loops, old)
    found = _CONTENTS.get(key)
    if found is None:
        found = _CONTENTS[key] = Val(taint=t, loops=loops, old=old)
    return found


def of_obj(obj: Obj) -> Val:
    """A value that is exactly this object."""
    return Val(objs=(obj,))


def retaint(v: Val, t: Taint) -> Val:
    """`v` with another content."""
    return v if v.taint is t else Val(v.const, v.items, v.objs, v.lin, v.loops, v.old, t, v.axes)


def reordered(v: Val) -> Val:
    """An element of a list that was sorted by a key: numbers that differ from element to element are marked."""
    if v.items is not None:
        return Val(v.const, tuple(map(reordered, v.items)), v.objs, v.lin, v.loops, v.old, v.taint, v.axes)
    number = v.loops and not v.objs and v.const is NOCONST and not v.taint.flags & (PATH_VAL | PATH_TRAIN)
    return retaint(v, with_flags(v.taint, SORTED)) if number else v


def is_params(v: Val) -> bool:
    """Whether a value stands for the parameters of the objects it points to."""
    return bool(v.objs) and bool(v.taint.flags & PARAMS)


MAX_ITEMS = 512


def small(items: tuple[Val, ...]) -> bool:
    """Whether a tuple, nested ones counted, is small enough to be kept item by item."""
    count, todo = 0, list(items)
    while todo and count <= MAX_ITEMS:
        count += 1
        todo.extend(todo.pop().items or ())
    return count <= MAX_ITEMS


def vary(v: Val, loops: int) -> Val:
    """`v`, which differs from iteration to iteration of `loops`."""
    if v.loops | loops == v.loops:
        return v
    return Val(v.const, v.items, v.objs, v.lin, v.loops | loops, v.old, v.taint, v.axes)


def same(a: Val, b: Val) -> bool:
    """Structural equality."""
    if a is b:
        return True
    if a.taint is not b.taint or a.loops != b.loops or a.old != b.old or a.lin != b.lin or a.objs != b.objs:
        return False
    if a.axes != b.axes:
        return False
    if a.const is not b.const and (type(a.const) is not type(b.const) or a.const != b.const):
        return False
    if a.items is None or b.items is None:
        return a.items is b.items
    return len(a.items) == len(b.items) and all(map(same, a.items, b.items))


def join(a: Val, b: Val) -> Val:
    """Least upper bound."""
    if a is b:
        return a
    axes = a.axes if a.axes == b.axes or b.const is None else b.axes if a.const is None else None
    if a.const is b.const or (type(a.const) is type(b.const) and a.const == b.const):
        const = a.const
    else:
        const = NOCONST
        if a.const is None and NONE_OBJ not in a.objs:
            a = Val(a.const, a.items, (NONE_OBJ,), None, a.loops, a.old, a.taint)
        elif b.const is None and NONE_OBJ not in b.objs:
            b = Val(b.const, b.items, (NONE_OBJ,), None, b.loops, b.old, b.taint)
    items: tuple[Val, ...] | None = None
    t = join_taint(a.taint, b.taint)
    if a.items is not None or b.items is not None:
        if a.items is not None and b.items is not None and len(a.items) == len(b.items):
            items = tuple(map(join, a.items, b.items))
        elif a.objs == (NONE_OBJ,) and a.items is None:
            items = b.items
        elif b.objs == (NONE_OBJ,) and b.items is None:
            items = a.items
        else:  # a tuple meets something else: keep the contents, and what all of them hold of other positions
            for whole in (a, b):
                held = [item.taint.crossings for item in whole.items or ()]
                for item in whole.items or ():
                    t = join_taint(t, with_crossings(item.taint, frozenset.intersection(*held)))
    if a.objs == b.objs or not b.objs:
        objs = a.objs
    elif not a.objs:
        objs = b.objs
    else:
        objs = a.objs + tuple(o for o in b.objs if o not in a.objs)
        if len(objs) > 12:
            objs = objs[:12]
    lin = a.lin if a.lin == b.lin else None
    loops, old = a.loops | b.loops, a.old | b.old
    if (
        t is a.taint
        and loops == a.loops
        and old == a.old
        and objs is a.objs
        and const is a.const
        and items is a.items
        and lin is a.lin
        and axes is a.axes
    ):
        return a  # it holds all of the other
    return Val(const, items, objs, lin, loops, old, t, axes)
