"""Function summaries: what a call without effects makes of its arguments, computed once for all contexts.

A call is pure when it caused no event and wrote to no object that is older than itself. A pure function is interpreted
once more with *markers* for the contents, loops and symbolic positions of its arguments; the marked result is the
summary, and every later call substitutes what its own arguments hold. (Reps, Horwitz and Sagiv 1995; Pysa's
taint-in-taint-out is the same idea.) Two calls share a summary when their arguments agree in everything else:
constants, objects, and the kinds of content they hold.
"""

from __future__ import annotations

import ast
from functools import cache
from typing import Any, NamedTuple

from auditor.program.index import statements
from auditor.program.linear import Linear, add, scale
from auditor.timeline.axes import Axes
from auditor.timeline.frames import NO_UPDATES, Carrieds, Frame, Impure, Marking, Scoring
from auditor.timeline.machine import MARKS, MAX_ARGUMENTS, MAX_DEPTH, NEVER
from auditor.timeline.natives import Natives
from auditor.timeline.values import (
    DIFF,
    HASH,
    NOCONST,
    NONE,
    PARAMS,
    UNKNOWN,
    Carried,
    Dep,
    Obj,
    Region,
    Taint,
    Val,
    taint,
)

_OPEN = frozenset({ast.Module, ast.ClassDef})
"""Where functions stand that see no variables of other functions."""
_STATE = -1000
_END = Linear(0, ((-1_000_000, 1),))
"""The end of the tokens that a marker stands for; the first of all symbols in sorted order."""


class Summary(NamedTuple):
    """What a pure function returns and scores, with markers."""

    value: Val
    scores: tuple[Scoring, ...]
    states: tuple[Obj, ...]
    """Objects that updates had reached; the markers of these updates count them."""
    asked: tuple[tuple[Obj, bool | None], ...]
    """Whether updates had reached the objects of which the function asked that."""


class Call(NamedTuple):
    """What takes the place of the markers in one call."""

    values: list[Val]
    """Arguments."""
    active: int
    """Loops and comprehensions around the call."""
    states: list[Carrieds]
    """Updates that have reached the objects of `Summary.states`."""
    scores: dict[int, Taint]
    """Losses that the function has scored so far, by their marker."""
    taints: dict[Taint, Taint]
    """Contents that were substituted before."""
    regions: dict[Region, frozenset[Region]]
    """Markers of regions that were substituted before."""


class Summaries(Natives):
    """Calls of the script's own functions, summarised where they are pure."""

    __slots__ = ()

    def call_function(self, fn: Obj, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """Call one of the script's own functions."""
        if args and args[0].objs and self.is_module(args[0].objs[0]):
            args, kwargs = self.token_axes(args, kwargs)
        shared = self.with_identity(fn, args, node) if isinstance(node, ast.Call) else None
        if shared is not None and self.depth < MAX_DEPTH and self.stack.count(fn.node) < 2:
            self.effect()
            return self.enter_function(fn, fn.node, shared, kwargs, node)
        return self.summarised(fn, args, kwargs, node)

    def with_identity(self, fn: Obj, args: list[Val], node: ast.Call) -> list[Val] | None:
        """Losses in an array that the function writes into: the caller's name and the parameter are one array.

        None where no argument is such an array.
        """
        shared: list[Val] | None = None
        bound = len(args) - len(node.args)
        for at, given in enumerate(node.args, bound):
            value = args[at] if 0 <= at < len(args) else UNKNOWN
            if value.objs or not value.taint.nll or not isinstance(given, ast.Name) or given.id not in self.frame.vars:
                continue
            if at in self.written_parameters(fn.node):
                array = self.alloc("tensor", "array", given)
                self.add_content(array, value.taint)
                shared = shared if shared is not None else list(args)
                shared[at] = self.frame.vars[given.id] = Val(objs=(array,), loops=value.loops, old=value.old)
        return shared

    def written_parameters(self, definition: Any) -> frozenset[int]:
        """Parameters, by position, into which a function writes elements."""
        found = self.written.get(definition)
        if found is None:
            names = [a.arg for a in (*definition.args.posonlyargs, *definition.args.args)]
            targets: set[str] = set()
            for statement, _ in statements(definition.body) if isinstance(definition.body, list) else ():
                if isinstance(statement, ast.Assign | ast.AugAssign):
                    for target in statement.targets if isinstance(statement, ast.Assign) else (statement.target,):
                        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                            targets.add(target.value.id)
            found = self.written[definition] = frozenset(i for i, name in enumerate(names) if name in targets)
        return found

    def summarised(self, fn: Obj, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """A call, by the summary of the function where it is pure."""
        definition = fn.node
        if self.depth >= MAX_DEPTH or self.stack.count(definition) >= 2:
            return self.unknown(*args, *kwargs.values())
        owner = fn.frame
        closure = owner is None or type(owner.node) not in _OPEN
        if closure or self.first_iteration or len(args) + len(kwargs) > MAX_ARGUMENTS:
            return self.enter_function(fn, definition, args, kwargs, node)
        values = [self.flatten(v) if v.objs else v for v in (*args, *kwargs.values())]
        key = self.summary_key(fn, values, len(args), tuple(kwargs))
        try:
            known = self.summaries.get(key, ()) if key is not None else ()
        except TypeError:  # a constant that has no hash
            key = None
        if key is None:
            return self.enter_function(fn, definition, args, kwargs, node)
        summary = next((s for s in known if all(self.reached(obj) is answer for obj, answer in s.asked)), None)
        if summary is None and (definition not in self.pure or definition in self.impure):
            self.impure.discard(definition)
            result, pure = self.observe(fn, definition, args, kwargs, node)
            if pure:
                self.pure.add(definition)
            return result
        if summary is None:
            summary = self.summarise(fn, values, len(args), tuple(kwargs), node)
            if summary is None:
                return self.enter_function(fn, definition, args, kwargs, node)
            self.summaries.setdefault(key, []).append(summary)
        if self.marking is not None:
            self.marking.ask(obj for obj, _ in summary.asked)
        call = Call(
            values, self.active | self.within, [self.states.get(obj, NO_UPDATES) for obj in summary.states], {}, {}, {}
        )
        for scoring in summary.scores:
            call.scores[scoring.mark] = self.repeat(scoring, call, node)
        return self.substitute(summary.value, call)

    def summarise(
        self, fn: Obj, values: list[Val], positional: int, names: tuple[str, ...], node: ast.AST
    ) -> Summary | None:
        """The summary of a call, interpreted with markers; None when it is not pure."""
        marked = [_mark(v, i) for i, v in enumerate(values)]
        context = self.suspended()
        states = tuple(self.states)
        self.states = {obj: _carried(_STATE - k) if upd else upd for k, (obj, upd) in enumerate(self.states.items())}
        self.marking = marking = Marking(len(self.frame.chain), len(self.loops), self.births)
        kwargs = dict(zip(names, marked[positional:], strict=True))
        try:
            result, pure = self.observe(fn, fn.node, marked[:positional], kwargs, node)
        except Impure as impure:
            outer, inner = context.marking, self.stack[len(context.stack) + 1 :]
            if outer is not None and impure.born <= outer.births:
                raise
            self.impure.update(inner)
            pure = False
        self.resume(context)
        if not pure:
            return None
        return Summary(
            result, tuple(marking.scores), states, tuple([(obj, self.reached(obj)) for obj in marking.asked])
        )

    def reached(self, obj: Obj) -> bool | None:
        """Whether updates have reached an object itself; None where there is no saying."""
        upd = self.states.get(obj)
        return None if upd is None else bool(upd)

    def repeat(self, scoring: Scoring, call: Call, node: ast.AST) -> Taint:
        """Score what the arguments of this call hold, where the summarised function scores."""
        saved = self.frame
        for inner in scoring.frames:
            site = inner.call if self.frame is not saved else node
            frame = Frame(inner.name, inner.node, inner.parent, inner.globals, self.child_context(site))
            frame.caller, frame.call = self.frame, site
            self.frame = frame
        logits, target = (self.substitute_taint(t, call) for t in (scoring.logits, scoring.target))
        losses = self.score_event(scoring.node, logits, target)
        self.frame = saved
        return losses

    def token_axes(self, args: list[Val], kwargs: dict[str, Val]) -> tuple[list[Val], dict[str, Val]]:
        """Token ids that are given to the model from outside are laid out batch by positions."""
        if self.in_module():
            return args, kwargs
        ids = [v for v in (*args, *kwargs.values()) if v.axes is None and v.const is NOCONST and v.items is None]
        raw = [v for v in ids if (t := self.content(v)).toks and not t.flags & (DIFF | HASH) and not t.nll]
        if not raw:
            return args, kwargs
        self.given = self.content(raw[0]).toks
        marked = {id(v): Val(v.const, None, v.objs, v.lin, v.loops, v.old, v.taint, Axes("BT")) for v in raw}
        return [marked.get(id(v), v) for v in args], {k: marked.get(id(v), v) for k, v in kwargs.items()}

    def observe(
        self, fn: Obj, definition: Any, args: list[Val], kwargs: dict[str, Val], node: ast.AST
    ) -> tuple[Val, bool]:
        """Interpret a call and tell whether it was pure."""
        start, effects = self.births, self.effects
        oldest, self.oldest_write = self.oldest_write, NEVER
        score_depth, self.score_depth = self.score_depth, 0
        result = self.enter_function(fn, definition, args, kwargs, node)
        pure = effects == self.effects and self.oldest_write > start and _made_before(result, start)
        pure = pure and self.score_depth <= len(self.loops)
        self.score_depth = max(score_depth, self.score_depth)
        self.oldest_write = min(oldest, self.oldest_write)
        return result, pure

    def flatten(self, v: Val) -> Val:
        """A plain tensor counts by its content: a pure call does not write to it."""
        for o in v.objs:
            if o.kind not in ("tensor", "none"):
                return v
        if v.objs and not v.taint.flags & PARAMS:
            return Val(v.const, v.items, (), v.lin, v.loops, v.old, self.content(v), v.axes)
        return v

    def summary_key(self, fn: Obj, values: list[Val], positional: int, names: tuple[str, ...]) -> Any:
        """All that a summary depends on, apart from what markers stand for; None when it cannot be shared."""
        parts: list[Any] = [fn, self.version, self.in_training > 0, positional, names]
        for v in values:
            part = self.value_key(v)
            if part is None:
                return None
            parts.append(part)
        return tuple(parts)

    def value_key(self, v: Val) -> Any:
        """The part of a value that markers do not stand for."""
        items: Any = None
        if v.items is not None:
            items = tuple(self.value_key(item) for item in v.items)
            if None in items:
                return None
        t = v.taint
        if t.nll or t.counts or t.deps or t.gates:
            return None
        held: Any = None
        stamps: Any = ()
        if v.objs:
            held = self.content(Val(objs=v.objs))
            containers = False
            for o in v.objs:
                container = o.kind in ("list", "dict")
                stamps = (*stamps, _stamps(o) if container else o.stamp)
                containers |= container
            if held is not NONE and not containers:
                held = held.flags  # parameters: their states are marked
        const = v.const
        lin = v.lin is not None and bool(v.lin.terms)
        return (
            const is NOCONST or (type(const), const),
            items,
            v.objs,
            held,
            stamps,
            lin,
            bool(t.toks),
            bool(t.upd),
            t.flags,
            t.crossings,
            v.axes,
            bool(v.loops | v.old),
        )

    def substitute(self, v: Val, call: Call) -> Val:
        """A value of a summary with the contents of these arguments in place of the markers."""
        items = v.items
        if items is not None:
            items = tuple([self.substitute(item, call) for item in items])
        t = self.substitute_taint(v.taint, call)
        loops, old, lin = v.loops, v.old, v.lin
        if items is None and t is v.taint and lin is None and not (loops | old) & MARKS:
            return v
        values = call.values
        return Val(
            v.const, items, v.objs, _expand_linear(lin, values), _expand(loops, values), _expand(old, values), t, v.axes
        )

    def substitute_taint(self, t: Taint, call: Call) -> Taint:
        """The content of a summary, with markers replaced."""
        if not (t.toks or t.upd or t.nll or t.deps or t.gates):
            return t
        found = call.taints.get(t)
        if found is None:
            found = call.taints[t] = _substituted(t, call)
        return found


def _substituted(t: Taint, call: Call) -> Taint:
    upd: set[Carried] = set()
    for carried in t.upd:
        if carried.update <= _STATE:
            upd |= call.states[_STATE - carried.update]
        elif carried.update < 0:
            upd |= _leaf(call.values, -carried.update).taint.upd
        else:
            upd.add(carried)
    nll: set[int] = set()
    for number in t.nll:
        nll |= call.scores[number].nll if number in call.scores else {number}
    deps: set[Dep] = set()
    for dep in t.deps:
        if dep.update in call.scores:
            deps |= {d._replace(cut=dep.cut or d.cut) for d in call.scores[dep.update].deps}
        else:
            deps.add(dep)
    toks, gates = _substitute_regions(t.toks, call), _substitute_regions(t.gates, call)
    return taint(toks, frozenset(upd), frozenset(deps), frozenset(nll), t.counts, t.flags, t.crossings, gates)


def _stamps(container: Obj) -> tuple[int, ...]:
    """How often a container and what it holds have been written."""
    held = container.elem.objs if container.elem is not None else ()
    inner = (o.stamp for v in container.fields.values() for o in v.objs)
    return (container.stamp, *(o.stamp for o in held), *inner)


def _leaf(values: list[Val], arg: int) -> Val:
    """The argument (or item of a tuple argument) with number `arg`: index + 1, plus 64 for each item number + 1."""
    item, index = divmod(arg, 64)
    if not 0 < index <= len(values):  # a marker of an outer summary, met in a container
        return UNKNOWN
    v = values[index - 1]
    return v if not item or v.items is None or item > len(v.items) else v.items[item - 1]


def _substitute_regions(regions: frozenset[Region], call: Call) -> frozenset[Region]:
    """Regions of a summary, with those of the arguments in place of markers."""
    if not regions:
        return regions
    out: set[Region] = set()
    for r in regions:
        if not r.arg:
            out.add(r)
            continue
        found = call.regions.get(r)
        if found is None:
            found = call.regions[r] = _substitute_region(r, call.values, call.active)
        out |= found
    return frozenset(out)


def _substitute_region(r: Region, values: list[Val], active: int) -> frozenset[Region]:
    """What a marker stands for."""
    if r == _marker(r.arg):  # the tokens of the argument as they are
        return _leaf(values, r.arg).taint.toks
    start = _expand_linear(r.start, values)
    sliced = r.sliced & ~MARKS | _expand(r.sliced & MARKS, values) & active
    from_end = r.end is not None and r.end.terms[:1] == _END.terms
    end = _expand_linear(add(r.end, _END, -1) if from_end else r.end, values)
    loops, old = _expand(r.loops, values), _expand(r.old, values)
    return frozenset(
        Region(
            own.split if r.split == "val" else r.split,
            own.loops | loops,
            own.old | old,
            add(own.start, start),
            own.shift + r.shift,
            r.site or own.site,
            own.arg,
            add(own.end if from_end else own.start, end),
            r.cut or own.cut,
            own.sliced | sliced,
        )
        for own in _leaf(values, r.arg).taint.toks
        if r.split == "val" or own.split == "val"  # else a decision that hangs on training tokens
    )


@cache
def _marker(number: int) -> Region:
    """What stands for the tokens of argument `number`, all of them."""
    return Region("val", 0, 0, Linear(0), 0, 0, number, _END)


@cache
def _marked(number: int) -> frozenset[Region]:
    return frozenset((_marker(number),))


@cache
def _carried(number: int) -> frozenset[Carried]:
    """What stands for updates."""
    return frozenset((Carried(number, 0),))


def _mark(v: Val, index: int, item: int = 0) -> Val:
    """A value whose content, loops and position are markers for argument `index`."""
    number = item * 64 + index + 1
    t = v.taint
    if t.toks or t.upd:
        toks = _marked(number) if t.toks else t.toks
        upd = _carried(-number) if t.upd else t.upd
        t = taint(toks, upd, t.deps, t.nll, t.counts, t.flags, t.crossings)
    items = None
    if v.items is not None:
        items = tuple(_mark(x, index, k + 1) for k, x in enumerate(v.items)) if not item else v.items
    lin = Linear(0, ((-number, 1),)) if v.lin is not None and v.lin.terms else v.lin
    varies = bool(v.loops | v.old)
    loops, old = varies << index, varies << (MAX_ARGUMENTS + index)
    return Val(v.const, items, v.objs, lin, loops, old, t, v.axes)


def _expand(mask: int, values: list[Val]) -> int:
    """Loops of a summary, with those of the arguments in place of their marker bits."""
    marks = mask & MARKS
    if not marks:
        return mask
    out = mask & ~MARKS
    for index, v in enumerate(values):
        if marks >> index & 1:
            out |= v.loops
            for x in v.items or ():
                out |= x.loops
        if marks >> (MAX_ARGUMENTS + index) & 1:
            out |= v.old
            for x in v.items or ():
                out |= x.old
    return out


def _expand_linear(lin: Linear | None, values: list[Val]) -> Linear | None:
    """A symbolic position of a summary in terms of the arguments of a call."""
    if lin is None or all(name >= 0 for name, _ in lin.terms):
        return lin
    out: Linear | None = Linear(lin.const)
    for name, coefficient in lin.terms:
        term = Linear(0, ((name, 1),)) if name >= 0 else _leaf(values, -name).lin
        out = add(out, scale(term, coefficient))
    return out


def _made_before(v: Val, births: int) -> bool:
    """Whether every object of a value is older than the call that returns it."""
    return all(o.born <= births for o in v.objs) and all(_made_before(item, births) for item in v.items or ())
