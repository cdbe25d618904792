"""Recording of events: updates, scores, look-ups, reports, each judged where it happens."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any, Literal

from auditor.timeline.axes import Effect, Kind
from auditor.timeline.events import (
    Choice,
    ConfigRead,
    CountRead,
    Crossing,
    Fetch,
    Judged,
    Loop,
    Moment,
    Place,
    Read,
    ReportEvent,
    Score,
    Update,
)
from auditor.timeline.frames import NO_UPDATES, Carrieds, Frame, Impure, Marking, Scoring
from auditor.timeline.machine import Machine
from auditor.timeline.order import independent
from auditor.timeline.values import (
    COPY,
    DIFF,
    FILLED,
    FOREIGN,
    GRAD,
    MAPPED,
    OUTSIDE,
    PACKED,
    PART,
    STATE,
    STORED,
    WHOLE,
    Dep,
    Obj,
    Region,
    Taint,
    Val,
    retaint,
    taint,
    with_crossings,
    with_flags,
)

COMPUTED_ATTRIBUTE = "computed_attribute"
"""What stands for a function whose name is not known."""


class Recorder(Machine):
    """Turns what happens into the facts of a timeline."""

    __slots__ = ()

    def place(self, line: int) -> Place:
        """Where we are, with the calls that lead here."""
        calls = tuple((f.caller.name, f.call_line) for f in self.frame.chain if f.caller is not None)
        return Place(line, self.frame.name, self.frame.line, self.frame.file, calls)

    def loop_stack(self) -> tuple[Loop, ...]:
        """The loops around the present point, outermost first, across calls."""
        return tuple(context.loop for context in self.loops)

    def tick(self) -> int:
        """The next moment."""
        self.clock += 1
        return self.clock

    def update_event(
        self, kind: Any, node: ast.AST, regions: Iterable[Region], atoms: frozenset[int] = frozenset()
    ) -> Update | None:
        """State is about to be changed with validation tokens; None when no validation token is involved."""
        val = frozenset(r for r in regions if r.split == "val")
        if not val:
            return None
        self.effect()
        line = getattr(node, "lineno", 0)
        key = (kind, id(node), self.frame.ctx)
        found = self.updates.get(key)
        if found is None:
            place = self.place(line)
            number, loops = len(self.update_list), self.loop_stack()
            found = Update(number, kind, place, val, self.active, loops, self.tick(), atoms, held=self.held)
            self.updates[key] = found
            self.update_list.append(found)
        else:
            found.regions = val  # the last pass over a loop is the most general one
            found.atoms |= atoms
        return found

    def score_event(self, node: ast.AST, logits: Taint, target: Taint) -> Taint:
        """Losses of `target` under predictions `logits`; the content of the result."""
        regions = frozenset(r for r in target.toks if r.split == "val")
        if not regions:
            return taint(toks=target.toks, flags=DIFF | FOREIGN, deps=logits.deps, counts=logits.counts)
        self.score_depth = max(self.score_depth, len(self.loops))
        flags = DIFF | (logits.flags & ~(GRAD | STATE))
        if self.marking is not None:
            if len(self.loops) > self.marking.loops:
                raise Impure(-1)
            mark = self.mark_score(self.marking, node, logits, target)
            deps = logits.deps | target.deps | {Dep(mark, 0, 0)}
            return taint(target.toks, NO_UPDATES, deps, logits.nll | {mark}, logits.counts, flags)
        key = (id(node), self.frame.ctx)
        found = self.scores.get(key)
        if found is None:
            place = self.place(getattr(node, "lineno", 0))
            found = Score(len(self.score_list), place, regions, self.active, self.loop_stack(), self.tick())
            self.scores[key] = found
            self.score_list.append(found)
        depends = self.state_read(logits.upd | target.upd, regions, node)
        found.regions = regions
        found.mapped |= bool(target.flags & MAPPED)
        found.depends |= depends
        found.crossings |= logits.crossings
        given = {(r.start, r.shift) for r in self.given if r.start is not None}
        found.itself |= any((r.start, r.shift) in given for r in regions)
        nll = frozenset((found.number,)) | logits.nll
        return taint(
            target.toks,
            NO_UPDATES,
            depends | logits.deps | target.deps,
            nll,
            logits.counts,
            flags,
        )

    def scores_in(self, t: Taint) -> list[Score]:
        """The scores that a loss is made of; those of a call that is being summarised are not known yet."""
        return [self.score_list[number] for number in t.nll if number >= 0]

    def mark_score(self, marking: Marking, node: ast.AST, logits: Taint, target: Taint) -> int:
        """Remember a score for the summary of the call around it; the number that stands for it."""
        self.marks -= 1
        marking.scores.append(Scoring(self.marks, tuple(self.frame.chain[marking.depth :]), node, logits, target))
        return self.marks

    def laid(self, v: Val, effect: Effect, node: ast.AST) -> Val:
        """`v` with the axes that an operation leaves, marked where the operation lets positions see others."""
        t = v.taint
        if (
            effect.why and not self.in_training and (t.flags & DIFF or effect.kind != "previous")
        ):  # ids of two positions may be hashed together
            t = with_crossings(t, t.crossings | {self.crossing(node, effect.kind, effect.why)})
        if t is v.taint and effect.axes == v.axes:
            return v
        return Val(v.const, v.items, v.objs, v.lin, v.loops, v.old, t, effect.axes)

    def crossing(self, node: ast.AST, kind: Kind, why: str) -> int:
        """Positions come to hold others at `node`."""
        key = (id(node), kind)
        found = self.crossings.get(key)
        if found is None:
            place = self.place(getattr(node, "lineno", 0))
            found = self.crossings[key] = Crossing(len(self.crossings), kind, place, why)
        return found.number

    def uncancelled(self, v: Val, left: Val, right: Val, kind: Kind) -> Val:
        """A quotient or a product: what is common to both sides and of this kind cancels."""
        both = left.taint.crossings & right.taint.crossings
        common = frozenset(c.number for c in self.crossings.values() if c.kind == kind and c.number in both)
        return retaint(v, with_crossings(v.taint, v.taint.crossings - common)) if common else v

    def chosen_at_boundaries(self, v: Val, one: Val, other: Val) -> Val:
        """`where(starts, x, blended)`: the blend with the position before is left out where documents begin."""
        either = one.taint.crossings ^ other.taint.crossings
        masked = frozenset(c.number for c in self.crossings.values() if c.kind == "previous" and c.number in either)
        return retaint(v, with_crossings(v.taint, v.taint.crossings - masked)) if masked else v

    def in_module(self) -> bool:
        """Whether we are inside a method of a module: in the model, not in the loop over windows around it."""
        frame: Frame | None = self.frame
        while frame is not None:
            if frame.owner is not None and frame.owner.extra.get("module"):
                return True
            frame = frame.caller
        return False

    def depend(self, upd: Carrieds, regions: Iterable[Region], node: ast.AST) -> frozenset[Dep]:
        """State that updates have reached is read for these tokens."""
        if upd:
            self.effect()
        return self.state_read(upd, regions, node)

    def state_read(self, upd: Carrieds, regions: Iterable[Region], node: ast.AST) -> frozenset[Dep]:
        """A read of state that updates have reached; one dependence an update."""
        if not upd:
            return frozenset()
        val = frozenset(r for r in regions if r.split == "val")
        key = (id(node), self.frame.ctx)
        number = self.read_numbers.get(key)
        if number is None:
            number = self.read_numbers[key] = len(self.state_reads)
            self.state_reads.append(Read(val, self.active, getattr(node, "lineno", 0)))
        else:
            self.state_reads[number].regions = val
        known = (c for c in upd if c.update >= 0)  # markers of a summary that turns out not to be pure
        return frozenset(Dep(u, number, carried & self.update_list[u].stack) for u, carried in known)

    def judge(self, depends: frozenset[Dep]) -> frozenset[Judged]:
        """Whether each update that reaches a read is of other tokens than the ones that the read serves."""
        judged = set()
        for number, read_number, carried, used in depends:
            update, read = self.update_list[number], self.state_reads[read_number]
            pairs = [(mine, region) for mine in update.regions for region in read.regions]
            legal = all(independent(a, update.stack, carried, b, read.stack, used) for a, b in pairs)
            by_cut = legal and not all(
                independent(a._replace(cut=None), update.stack, carried, b, read.stack) for a, b in pairs
            )
            judged.add(Judged(number, legal, carried, read.line, by_cut))
        return frozenset(judged)

    def count_read(
        self,
        node: ast.AST,
        table: Obj | None,
        name: str,
        key: Taint,
        exact: bool,
        key_line: int,
        *,
        pieces: bool = False,
        picks: bool = False,
    ) -> CountRead:
        """A table is looked up with a key that folds several token ids into one, or that holds bytes of a token."""
        self.effect()
        ident = (id(node), self.frame.ctx)
        found = self.reads.get(ident)
        if found is None:
            place = self.place(getattr(node, "lineno", 0))
            found = CountRead(len(self.read_list), place, key.toks, exact, name, key_line, self.tick())
            self.reads[ident] = found
            self.read_list.append(found)
        else:
            found.key |= key.toks
        found.picks = picks
        found.object = table.number if table is not None else -1
        found.pieces |= pieces
        if not (picks or found.pieces or found.target_in_key) and {0, 1} <= {r.shift for r in found.key}:
            found.target_in_key = True
            found.why = "its key holds both sides of the input/target pair"
        found.key_sites = tuple(sorted({r.site // 1000 for r in found.key if r.site}))
        return found

    def report(self, node: ast.AST, t: Taint, bits: bool, line: int, text: str) -> None:
        """A loss over validation tokens is printed or written."""
        if not t.nll:
            return
        self.effect()
        key = (line, id(node), self.frame.ctx)
        place = self.place(line)
        found = self.reports.get(key)
        if found is None:
            found = ReportEvent(place, t.nll, t.deps, t.counts, bits, self.tick(), text)
            self.reports[key] = found
        else:
            found.scores |= t.nll
            found.depends |= t.deps
            found.counts |= t.counts
            found.bits |= bits
            found.order = self.tick()
        found.copied |= bool(t.flags & COPY)
        found.filled |= bool(t.flags & FILLED)
        found.outside |= bool(t.flags & OUTSIDE)
        found.chosen_parts |= bool(t.flags & PART)
        found.chosen_whole |= bool(t.flags & WHOLE)

    def compares_parts(self, a: Taint, b: Taint) -> bool:
        """Whether losses are of tokens that move with a loop around us: of a part of the evaluation."""
        return any(r.split == "val" and r.loops & self.active for t in (a, b) for r in t.toks)

    def choice(self, node: ast.AST, t: Taint, parts: bool) -> Taint:
        """A loss, or what gave it, is kept because its loss was the smaller one."""
        self.effect()
        key = (id(node), self.frame.ctx)
        found = self.choices.get(key)
        if found is None:
            place = self.place(getattr(node, "lineno", 0))
            self.choices[key] = Choice(place, t.nll, parts, self.tick(), stack=self.active)
        else:
            found.scores |= t.nll
            found.parts |= parts
        return with_flags(t, PART if parts else WHOLE)

    def moment(self, node: ast.AST) -> Moment:
        """Here and now."""
        return Moment(self.tick(), self.place(getattr(node, "lineno", 0)))

    def note_sorted(self, index: Val) -> None:
        """Tokens are read at places in a sorted list: the outermost loop they move with is not in stream order."""
        self.effect()
        walks = next((context.loop for context in self.loops if context.loop.bit & index.loops), None)
        if walks is not None:
            self.timeline.sorted_loops |= walks.bit

    def note_restored(self, node: ast.AST) -> None:
        """Weights are set, or a new model is made."""
        self.timeline.restored = self.moment(node)
        self.timeline.restored_in |= self.active

    def note_opaque(self, node: ast.AST, reason: str) -> None:
        """Code that is not followed, for the reader."""
        self.effect()
        entry = (getattr(node, "lineno", 0), reason)
        if entry not in self.timeline.opaque:
            self.timeline.opaque.append(entry)

    def fetch(self, node: ast.AST, kind: Literal["download", "packages"], what: str) -> None:
        """Something comes over the network."""
        self.effect()
        line = getattr(node, "lineno", 0)
        if all(f.place.line != line or f.place.file != self.frame.file for f in self.timeline.fetches):
            self.timeline.fetches.append(Fetch(kind, self.place(line), what, self.tick(), self.loop_stack()))

    def note_copy(self, node: ast.AST, left: Val, right: Val) -> int:
        """`stored == tokens`, both moving with the same loop: the flag of a copy of the text, else 0.

        A stored number that stays the same (an end-of-text id), or that was looked up by a token (a predicted
        one), is no copy.
        """
        for stored, tokens in ((left, right), (right, left)):
            mine, theirs = self.content(stored), self.content(tokens)
            kept = mine.flags & STORED and not mine.toks and not (mine.flags | theirs.flags) & DIFF
            if not kept and not (mine.flags & PACKED and mine.toks):
                continue
            if stored.loops & tokens.loops and any(r.split == "val" for r in theirs.toks):
                self.effect()
                place = self.place(getattr(node, "lineno", 0))
                if all(p.line != place.line or p.function != place.function for p in self.timeline.copies):
                    self.timeline.copies.append(place)
                return COPY
        return 0

    def config_read(self, name: str, value: Any, source: str, line: int, default: Any = None) -> None:
        """A setting was read; the first reading counts."""
        if name not in self.timeline.config:
            text = str(value)
            self.timeline.config[name] = ConfigRead(name, text, source, line, text if default is None else str(default))
