"""Indexing: slices of token streams, rows of the vocabulary, look-ups in tables."""

from __future__ import annotations

import ast

from auditor.program.index import statements
from auditor.program.linear import Linear, add
from auditor.timeline import sequence
from auditor.timeline.machine import MARKS
from auditor.timeline.operators import PLAIN, Operators
from auditor.timeline.recorder import COMPUTED_ATTRIBUTE
from auditor.timeline.values import (
    CLASS,
    COPY,
    DIFF,
    HASH,
    JUDGED_PART,
    JUDGED_WHOLE,
    LOOKED,
    MAPPED,
    NOCONST,
    NONE,
    NONE_VAL,
    PAIR,
    PARAMS,
    PATH_TRAIN,
    PATH_VAL,
    PIECE,
    PLACES,
    PROB,
    SORTED,
    UNKNOWN,
    VOCAB,
    WEIGHTS,
    Cut,
    Obj,
    Region,
    Taint,
    Val,
    constant,
    is_params,
    join,
    join_taint,
    of_obj,
    of_taint,
    retaint,
    taint,
    vary,
    with_flags,
    with_regions,
)


def path_field(key: Val) -> tuple[str, int]:
    """The field of a dict that holds what is stored under the paths of one split: a memo of files."""
    return ("files", key.taint.flags & (PATH_VAL | PATH_TRAIN))


class Subscripts(Operators):
    """Reading by subscript."""

    __slots__ = ()

    def _ev_slice(self, node: ast.Slice) -> Val:
        parts = [self.ev(p) if p is not None else NONE_VAL for p in (node.lower, node.upper, node.step)]
        loops = parts[0].loops | parts[1].loops
        old = parts[0].old | parts[1].old
        return of_taint(join_taint(parts[0].taint, parts[1].taint), loops, old)

    def _ev_subscript(self, node: ast.Subscript) -> Val:
        base = self.ev(node.value)
        return self.subscript(base, node.slice, node)

    def subscript(self, base: Val, index_node: ast.AST, node: ast.AST) -> Val:
        """`base[index]` for reading."""
        out = self.picked_from(base, index_node, node)
        if base.axes is not None and base.axes.kind != "size":
            out = self.laid(out, sequence.of_subscript(base.axes, index_node, self.ev), node)
        return out

    def picked_from(self, base: Val, index_node: ast.AST, node: ast.AST) -> Val:
        """What an index picks, by what the base may be."""
        if base.items is not None:
            picked = self.subscript_tuple(base, index_node)
            if picked is not None:
                return picked
        index = self.ev(index_node)
        if isinstance(base.const, (str, bytes)):
            return self.subscript_text(base, index_node, index)
        result: Val | None = None
        is_slice = isinstance(index_node, ast.Slice)
        plain: list[Obj] = []
        for obj in base.objs:
            kind = obj.kind
            if kind == "list":
                value = self.subscript_list(obj, index, is_slice, base)
            elif kind == "dict":
                value = self.subscript_dict(obj, index, node, base.taint)
            elif kind == "opt" and index.const == "params" and obj.extra:  # one of its `param_groups`
                value = Val(objs=tuple(obj.extra), taint=WEIGHTS)
            elif kind == "globals":
                known = obj.frame.vars.get(index.const) if isinstance(index.const, str) else None
                value = known or of_obj(self.lib_object(COMPUTED_ATTRIBUTE))
            elif kind == "lib":
                value = self.subscript_lib(obj, index, node)
            elif kind == "inst" and not is_params(base):
                method = self.class_attribute(obj.extra, "__getitem__")
                if method is not None:
                    value = self.call_value(self.bind(method, of_obj(obj)), [index], {}, node)
                else:
                    value = self.first_field(obj, index)
            elif kind == "libmod":
                value = join(obj.elem, UNKNOWN) if obj.elem is not None else UNKNOWN
                if obj.fields:
                    value = self.join_fields(obj, index)
            else:
                plain.append(obj)
                continue
            result = value if result is None else join(result, value)
        if plain or not base.objs or base.taint is not NONE:
            value = self.subscript_tensor(base, plain, index, index_node, node)
            if result is None:
                result = value
            elif value.taint is not NONE:
                result = join(result, value)
        out = result if result is not None else UNKNOWN
        return vary(out, index.loops) if index.loops & ~out.loops else out

    def first_field(self, obj: Obj, index: Val) -> Val:
        """Subscript of an instance without `__getitem__`."""
        return self.unknown(of_obj(obj), index)

    def join_fields(self, obj: Obj, index: Val) -> Val:
        """Any element of a module container."""
        if isinstance(index.const, (int, str)) and index.const in obj.fields:
            return obj.fields[index.const]
        value: Val | None = obj.elem
        for item in obj.fields.values():
            value = item if value is None else join(value, item)
        return value if value is not None else UNKNOWN

    def subscript_tuple(self, base: Val, index_node: ast.AST) -> Val | None:
        """`tuple[index]`; None when the slice is not known."""
        items = base.items or ()
        if isinstance(index_node, ast.Slice):
            bounds = [
                self.ev(b).const if b is not None else None
                for b in (index_node.lower, index_node.upper, index_node.step)
            ]
            if all(b is None or isinstance(b, int) for b in bounds):
                return Val(items=items[slice(*bounds)])
            return None
        index = self.ev(index_node)
        if isinstance(index.const, int) and not isinstance(index.const, bool):
            return items[index.const] if -len(items) <= index.const < len(items) else UNKNOWN
        if not items:
            return UNKNOWN
        value = items[0]
        for item in items[1:]:
            value = join(value, item)
        return vary(value, index.loops)

    def subscript_text(self, base: Val, index_node: ast.AST, index: Val) -> Val:
        """`text[index]`."""
        if isinstance(index.const, int) and -len(base.const) <= index.const < len(base.const):
            return constant(base.const[index.const])
        if isinstance(index_node, ast.Slice):
            bounds = [
                self.ev(b).const if b is not None else None
                for b in (index_node.lower, index_node.upper, index_node.step)
            ]
            if all(b is None or isinstance(b, int) for b in bounds):
                return constant(base.const[slice(*bounds)])
        return of_taint(base.taint)

    def subscript_list(self, obj: Obj, index: Val, is_slice: bool, base: Val) -> Val:
        """`list[index]`."""
        if is_slice or (index.lin is None and index.objs and index.const is NOCONST):
            return Val(objs=(obj,), loops=base.loops | index.loops, old=base.old | index.old)
        if isinstance(index.const, int) and obj.elem is None and obj.fields:
            keys = sorted(k for k in obj.fields if isinstance(k, int))
            if -len(keys) <= index.const < len(keys):
                return obj.fields[keys[index.const]]
        value = obj.elem
        for item in obj.fields.values():
            value = item if value is None else join(value, item)
        key = self.content(index)
        if any(r.split == "val" for r in key.toks) and not key.flags & DIFF:  # the text of a token, by its id
            found = self.picked(value if value is not None else UNKNOWN, index, base.loops)
            text = taint(key.toks, deps=key.deps, flags=MAPPED | PIECE)
            return retaint(found, join_taint(found.taint, text))
        if value is None:
            return of_taint(NONE, index.loops | base.loops, index.old)
        return self.picked(value, index, base.loops)

    def picked(self, value: Val, index: Val, loops: int) -> Val:
        """An element picked by an index varies with the index; so do the tokens in it."""
        loops |= index.loops
        if not loops and not index.old:
            return value
        items = value.items
        if items is not None:
            items = tuple(self.picked(item, index, loops) for item in items)
        t = value.taint
        if t.toks:
            t = with_regions(t, (r._replace(loops=r.loops | loops, old=r.old | index.old) for r in t.toks))
        return Val(value.const, items, value.objs, value.lin, value.loops | loops, value.old | index.old, t, value.axes)

    def subscript_dict(self, obj: Obj, index: Val, node: ast.AST, row: Taint = NONE) -> Val:
        """`dict[key]`; a key of validation tokens makes it a look-up. `row` is how the dictionary was reached."""
        if index.const is not NOCONST and isinstance(index.const, PLAIN) and index.const in obj.fields:
            value = obj.fields[index.const]
            return join(value, obj.elem) if obj.elem is not None else value
        if index.const is NOCONST and index.taint.flags & (PATH_VAL | PATH_TRAIN):
            by_path = obj.fields.get(path_field(index), UNKNOWN)
            return self.picked(by_path if obj.elem is None else join(by_path, obj.elem), index, 0)
        value_or_none = obj.elem
        for item in obj.fields.values():
            value_or_none = item if value_or_none is None else join(value_or_none, item)
        value = value_or_none if value_or_none is not None else UNKNOWN
        key = self.content(index)
        if any(r.split == "val" for r in key.toks):
            return self.table_read(obj, value, index, key, node, exact=True, row=row)
        return self.picked(value, index, 0)

    def table_read(
        self, obj: Obj | None, value: Val, index: Val, key: Taint, node: ast.AST, *, exact: bool, row: Taint = NONE
    ) -> Val:
        """A look-up keyed by validation tokens: depends on every write to the table that came before."""
        if node in self.rewritten:
            return value
        t = self.content(value)
        upd = (self.states_of(obj) if obj is not None else frozenset()) | t.upd
        folded = bool(key.flags & HASH) or (
            index.items is not None and sum(1 for i in index.items if self.content(i).toks) > 1 and exact
        )
        counts = t.counts
        gates = t.gates
        if not (exact or upd or counts or t.toks or folded):  # as it seems, a fixed table, by token
            gates = gates | classes(key.toks, obj)
        fixed = not upd  # a table that nothing is counted in
        text = bool(key.flags & PIECE)
        pieces = text and bool(upd) and self.is_present(key)
        entry = not exact and self.is_entry(index)
        if (pieces if text else folded and not entry) and not t.flags & DIFF:
            name = obj.name if obj is not None else "table"
            read = self.count_read(node, obj, name, key, exact, self.key_line(node), pieces=pieces)
            counts = counts | frozenset((read.number,))
        elif entry and (upd or folded) and not t.flags & DIFF:
            read = self.count_read(node, obj, "row", key, True, self.key_line(node), picks=True)
            counts = counts | frozenset((read.number,))
        elif not (text or value.objs or (row.flags | t.flags) & DIFF) and any(r.split == "val" for r in row.toks):
            read = self.count_read(node, obj, "row", join_taint(row, key), exact, self.key_line(node), picks=True)
            counts = counts | frozenset((read.number,))
        deps = t.deps
        if upd and not t.flags & DIFF:
            # a key of older tokens moves with the loop that set them aside: the read serves the present position
            moving = [r._replace(loops=r.loops | r.old) for r in key.toks]
            if text:  # bytes of one token come one after the other: only the order of tokens is judged
                upd = frozenset(
                    c._replace(loops=c.loops | self.update_list[c.update].stack & self.active)
                    for c in upd
                    if c.update >= 0
                )
            deps = deps | self.depend(upd, moving, node)
            upd = frozenset()
        flags = (t.flags | key.flags) & ~(HASH | PLACES) | (LOOKED if exact or counts else 0)
        if not exact and not t.flags & DIFF and sum(_holds_tokens(self.content(i)) for i in index.items or ()) == 2:
            flags |= PAIR
        if fixed and not t.flags & DIFF and not counts and value is not UNKNOWN:
            flags |= MAPPED | (PIECE if exact or key.flags & MAPPED else 0)
        crossings = t.crossings | key.crossings
        nll = t.nll | key.nll
        out = taint(t.toks | key.toks, upd, deps | key.deps, nll, counts | key.counts, flags, crossings, gates)
        return Val(NOCONST, value.items, value.objs, None, value.loops | index.loops, value.old | index.old, out)

    def is_entry(self, index: Val) -> bool:
        """Whether an index of several parts holds a token by its id and the ones before it: an entry of their row."""
        parts = [self.content(item) for item in index.items or ()]
        shifts = [({r.shift for r in t.toks if r.split == "val"}, t.flags & HASH) for t in parts]
        return ({1}, 0) in shifts and any(before == {0} for before, _ in shifts)

    def is_present(self, key: Taint) -> bool:
        """Whether a key holds tokens of the present iteration, not only ones that earlier iterations set aside."""
        return any(r.split == "val" and not r.old & self.active for r in key.toks)

    def key_line(self, node: ast.AST) -> int:
        """Line where the key of a look-up is made: the assignment of the name that it is looked up with."""
        line = int(getattr(node, "lineno", 0))
        index = (
            node.slice
            if isinstance(node, ast.Subscript)
            else node.args[-1]
            if isinstance(node, ast.Call) and node.args
            else None
        )
        return self.assigned_line(index) or line if isinstance(index, ast.Name) else line

    def assigned_line(self, name: ast.Name) -> int:
        """Line of the last assignment above a use of a name, in the same function; 0 when there is none."""
        function = self.frame.node
        lines = self.assignments.get(function)
        if lines is None:
            lines = self.assignments[function] = {}
            for statement, _ in statements(
                getattr(function, "body", []) if not isinstance(function, ast.Lambda) else []
            ):
                for target in statement.targets if isinstance(statement, ast.Assign) else ():
                    if isinstance(target, ast.Name):
                        lines.setdefault(target.id, []).append(statement.lineno)
        made = lines.get(name.id, [])
        return max((line for line in made if line <= name.lineno), default=0)

    def subscript_lib(self, obj: Obj, index: Val, node: ast.AST) -> Val:
        """Subscript of a library name: the environment, or a generic type."""
        if obj.name == "os.environ":
            return self.read_env(index, None, node)
        if obj.name in ("sys.argv",):
            return UNKNOWN
        if obj.name.startswith("typing.") or obj.name.startswith("builtins."):
            return of_obj(obj)
        return self.unknown(index)

    def subscript_tensor(self, base: Val, plain: list[Obj], index: Val, index_node: ast.AST, node: ast.AST) -> Val:
        """Indexing of tensors and arrays: token streams, vocabulary rows, tables, parameters."""
        t = self.content(Val(objs=tuple(plain), taint=base.taint)) if plain else base.taint
        if (
            isinstance(index_node, ast.Slice)
            and isinstance(index_node.upper, ast.Constant)
            and index_node.upper.value == 0
        ):
            t = with_regions(t, ())  # `tokens[:0]` holds none
        key = self.content(index)
        if t is NONE and key is NONE and not plain:
            return of_taint(NONE, base.loops | index.loops, base.old | index.old)
        key_is_val = any(r.split == "val" for r in key.toks) and not key.flags & PLACES
        if key.flags & SORTED and t.toks and not t.flags & DIFF:
            self.note_sorted(index)
        if (
            key_is_val
            and t.flags & DIFF
            and t.toks
            and not t.nll
            and not key.nll
            and not key.flags & DIFF
            and (isinstance(index_node, ast.Tuple) or t.flags & VOCAB)
        ):
            scored = self.score_event(node, t, key)
            return of_taint(with_flags(scored, PROB, VOCAB), base.loops | index.loops, base.old | index.old)
        if t.toks and (index.loops or index.old or self.has_bounds(index_node) or index.lin is not None):
            side = self.side(index_node)
            # what is picked out of losses or keys is no read of token ids
            t = with_regions(t, self.cut(t.toks, index, index_node, node, bool(t.nll or t.flags & HASH), side))
            if side is not None and t.nll and t.deps:
                deps = frozenset(d._replace(cut=side) for d in t.deps)
                t = taint(t.toks, t.upd, deps, t.nll, t.counts, t.flags, t.crossings, t.gates)
        if key_is_val and not t.nll:
            table = plain[0] if plain else None
            if not t.flags & DIFF or t.counts:
                return self.table_read(table, Val(taint=t), index, key, node, exact=False)
        flags_out = t
        if key.toks:
            picked = with_flags(key, drop=HASH | VOCAB | PLACES)
            flags_out = join_taint(
                t, taint(key.toks, key.upd, key.deps, key.nll, key.counts, picked.flags, key.crossings)
            )
        elif key.deps or key.upd:  # a mask picks; it is not part of what it picks
            flags_out = join_taint(t, taint(upd=key.upd, deps=key.deps))
        if key.flags & COPY:
            flags_out = with_flags(flags_out, COPY)
        if t.flags & PLACES:  # places where a comparison of losses holds
            flags_out = with_flags(flags_out, key.flags & (JUDGED_PART | JUDGED_WHOLE))
        lin = base.lin
        objs: tuple[Obj, ...] = ()
        if is_params(base):
            objs, flags_out = tuple(plain), with_flags(flags_out, PARAMS)
        return Val(lin=lin, loops=base.loops | index.loops, old=base.old | index.old, taint=flags_out, objs=objs)

    def has_bounds(self, index_node: ast.AST) -> bool:
        """Whether an index holds a slice with a bound."""
        parts = index_node.elts if isinstance(index_node, ast.Tuple) else [index_node]
        return any(isinstance(e, ast.Slice) and (e.lower is not None or e.upper is not None) for e in parts)

    def side(self, index_node: ast.AST) -> Cut | None:
        """The side of a cut that a slice `[:k]` or `[k:]` takes."""
        last = index_node.elts[-1] if isinstance(index_node, ast.Tuple) and index_node.elts else index_node
        if not isinstance(last, ast.Slice):
            return None
        tail = last.lower is not None and not (isinstance(last.lower, ast.Constant) and last.lower.value == 0)
        bound = last.lower if tail else last.upper
        if bound is None:
            return None
        v = self.ev(bound)
        if v.const is not NOCONST:
            return Cut(("const", v.const), tail) if isinstance(v.const, int) and abs(v.const) > 1 else None
        if v.lin is not None:
            return Cut(("linear", v.lin), tail)
        if isinstance(bound, ast.Name) and bound.id in self.frame.vars:
            return Cut(("name", self.frame.ctx, bound.id, self.assigned_line(bound)), tail)
        return None

    def cut(
        self,
        toks: frozenset[Region],
        index: Val,
        index_node: ast.AST,
        node: ast.AST,
        keep_site: bool,
        side: Cut | None,
    ) -> list[Region]:
        """Regions of a slice of a token stream."""
        last = index_node.elts[-1] if isinstance(index_node, ast.Tuple) and index_node.elts else index_node
        start: Linear | None = Linear(0)
        shift = 0
        site = 0
        upper = NONE_VAL  # the end stays where it is
        if isinstance(last, ast.Slice):
            if last.upper is not None:
                upper = self.ev(last.upper)
            if last.lower is not None:
                low = self.ev(last.lower)
                start = low.lin
                if low.const == 1:
                    shift = 1
                if start is not None and not start.terms and start.const < 0:
                    start = None
                if low.const is NOCONST:
                    site = getattr(node, "lineno", 0) * 1000 + getattr(node, "col_offset", 0)
        elif not isinstance(last, (ast.Constant,)) or not isinstance(index_node, ast.Tuple):
            start = self.ev(last).lin if isinstance(index_node, ast.Tuple) else index.lin
            site = getattr(node, "lineno", 0) * 1000 + getattr(node, "col_offset", 0)
            upper = UNKNOWN
        out = []
        for r in toks:
            kept = r.old & ~r.loops  # whichever part of what earlier iterations stored: it was stored earlier
            if upper.const is None:
                end = r.end
            elif upper.lin is not None and not upper.lin.terms and upper.lin.const < 0:
                end = add(r.end, upper.lin)
            else:
                end = add(r.start, upper.lin)
            out.append(
                r._replace(
                    loops=r.loops | index.loops & ~kept,
                    old=r.old | index.old,
                    start=add(r.start, start) if r.start is not None else None,
                    shift=r.shift + shift,
                    site=r.site if keep_site or not site else site,
                    end=end,
                    cut=side if side is not None else r.cut,
                    sliced=r.sliced | index.loops & (self.active | self.within | MARKS),
                )
            )
        return out


def _holds_tokens(t: Taint) -> bool:
    """Whether validation tokens are part of an index."""
    return any(r.split == "val" for r in t.toks)


def classes(toks: frozenset[Region], table: Obj | None) -> frozenset[Region]:
    """What hangs on the class of validation tokens; `site` tells the table that knows the classes."""
    number = table.number if table is not None else -1
    return frozenset(r._replace(split=CLASS, site=number) for r in toks if r.split == "val")
