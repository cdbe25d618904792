"""Where counts meet probabilities: which look-ups are of the scored token, and which decisions hang on it."""

from __future__ import annotations

import ast

from auditor.timeline.events import Gate, Mix
from auditor.timeline.flow import Flow
from auditor.timeline.values import (
    BITS,
    CLASS,
    NONE,
    OUTCOME,
    PAIR,
    PICKED,
    SHARE,
    VOCAB,
    Region,
    Taint,
    Val,
    join_taint,
    taint,
)


class Mixing(Flow):
    """Mixes and gates."""

    __slots__ = ()

    def compare_keys(self, a: Taint, b: Taint, how: str) -> None:
        """A count meets the count of its context: the token that its key holds besides is the one that is guessed."""
        older = frozenset(_read_site(r) for c in b.counts for r in self.read_list[c].key)
        if not older:
            return
        for c in a.counts:
            read = self.read_list[c]
            known = read.pieces or read.picks or read.target_in_key
            if not known and frozenset(map(_read_site, read.key)) > older:
                read.target_in_key = True
                read.why = f"its key holds one token more than the key of the count that it is {how}"

    def pick_from_hashed(self, counts: frozenset[int]) -> None:
        """The entry of the scored token is picked out of counts that were looked up for every token of the vocabulary.

        Where the table is hashed by context *and* token, the entries of one context share buckets with others: they
        are no distribution until they are divided by their sum.
        """
        for number in counts:
            read = self.read_list[number]
            sites = frozenset(r.site for r in read.key)
            hashed = len(self.count_tables.get(read.object, ())) > len(sites)
            if hashed and not read.target_in_key and not read.normed:
                read.target_in_key = True
                read.why = "hashed entries are read for the whole vocabulary, and only that of the target is used"

    def divide_by_sum(self, a: Taint, b: Taint) -> None:
        """The entry of the scored token is divided by what its row adds up to: a share of a whole distribution."""
        for number in a.counts if a.flags & PICKED and not b.flags & PICKED and a.counts == b.counts else ():
            read = self.read_list[number]
            read.target_in_key, read.normed = False, True

    def note_mix(self, a: Taint, b: Taint, node: ast.AST) -> None:
        """The scored token's probability meets a count that was read for that token."""
        for scored, counted in ((a, b), (b, a)):
            if not scored.nll or counted.nll or not counted.counts or scored.flags & VOCAB:
                continue
            self.note_gate(self.gate, scored, counted.counts, node)
            # what was blended before holds the positions of its keys too: they say nothing of the target
            starts = {r.start for r in scored.toks if r.start is not None} if not scored.counts else set()
            reads = []
            for number in counted.counts:
                read = self.read_list[number]
                if read.picks:
                    continue
                if read.pieces:
                    if not all(score.mapped for score in self.scores_in(scored)):
                        self.mix_event(node, frozenset((number,)), scored.nll, pieces=True)
                    continue
                if not read.target_in_key and any(
                    r.split == "val" and r.start is not None and r.start in starts for r in read.key
                ):
                    read.target_in_key = True
                    read.why = "its key holds the token at the very position that is scored"
                if not read.target_in_key and len({r.shift for r in read.key}) > 1:
                    read.target_in_key = True
                    read.why = "its key holds the target side of the input/target pair"
                if read.target_in_key:
                    reads.append(number)
            if reads:
                self.mix_event(node, frozenset(reads), scored.nll, pieces=False)

    def note_weight(self, a: Taint, b: Taint, node: ast.AST) -> Taint:
        """The scored token's probability is weighed with what a table of pairs has for that very token.

        What the product takes from that look-up, so that it is known whether the product is reported.
        """
        for scored, weight in ((a, b), (b, a)):
            if not scored.nll or weight.nll or not weight.flags & PAIR or (scored.flags | weight.flags) & VOCAB:
                continue
            here = self.active
            present = [
                {r.shift for r in t.toks if r.split == "val" and r.loops & here and not r.old & here}
                for t in (scored, weight)
            ]
            if present[0] and present[1] - {0}:
                read = self.count_read(node, None, "pairs", weight, True, getattr(node, "lineno", 0), picks=True)
                counts = frozenset((read.number,))
                why = "its own entry in a table of pairs, of which the weight is made"
                gate = Gate(read.place, scored.nll, counts, frozenset(), why, frozenset(), self.tick())
                self.gates.setdefault((id(node), self.frame.ctx), gate)
                return taint(counts=counts)
        return NONE

    def mix_event(self, node: ast.AST, counts: frozenset[int], scores: frozenset[int], *, pieces: bool) -> None:
        """The scored token's probability and counts of that token only are blended."""
        self.effect()
        key = (id(node), self.frame.ctx, pieces)
        found = self.mixes.get(key)
        if found is None:
            place = self.place(getattr(node, "lineno", 0))
            self.mixes[key] = Mix(place, counts, scores, self.tick(), pieces)
        else:
            found.counts |= counts
            found.scores |= scores

    def alien_event(self, node: ast.AST, scores: frozenset[int], what: str) -> None:
        """The scored token's probability is added to `what`, which is no probability of that token."""
        self.effect()
        key = (id(node), self.frame.ctx, what)
        found = self.mixes.get(key)
        if found is None:
            place = self.place(getattr(node, "lineno", 0))
            self.mixes[key] = Mix(place, frozenset(), scores, self.tick(), alien=what)
        else:
            found.scores |= scores

    def counted(self, t: Taint) -> frozenset[int]:
        """What a value takes from tables of validation tokens: look-ups, and writes by their number's complement."""
        updates = {d.update for d in t.deps} | {c.update for c in t.upd}
        return t.counts | {~u for u in updates if u >= 0 and self.update_list[u].kind == "counts"}

    def note_gate(self, gate: Taint, scored: Taint, counted: frozenset[int], node: ast.AST) -> None:
        """A count takes part in a score under a decision: remember it when the scored token has a say in it."""
        if gate is NONE or not scored.nll or not counted or scored.flags & VOCAB:
            return
        why, tables = self.say(gate, scored)
        if not why and not gate.counts:
            return
        self.effect()
        counts = frozenset(number for number in counted if number >= 0)
        key = (id(node), self.frame.ctx)
        found = self.gates.get(key)
        if found is None:
            place = self.place(getattr(node, "lineno", 0))
            self.gates[key] = Gate(place, scored.nll, counts, gate.counts, why, tables, self.tick())
        else:
            found.scores |= scored.nll
            found.counts |= counts
            found.decided |= gate.counts
            found.why, found.tables = why, tables

    def note_gated_value(self, gate: Taint, t: Taint, node: ast.AST, *, stored: bool = False) -> None:
        """A score with counts in it is used under a decision.

        A whole evaluation may be preferred to another one by its loss; that is no question of one token, so the
        losses have a say only where the score of a token is `stored`.
        """
        counted = self.counted(t) if t.nll and not t.flags & BITS else None
        if counted:
            if not stored:
                gate = taint(counts=gate.counts, gates=frozenset(r for r in gate.gates if r.split != OUTCOME))
            self.note_gate(gate, t, counted, node)

    def hint(self, t: Taint, index: Val, node: ast.AST) -> Taint:
        """A share of counts is stored for a position: whether it is may hang on the token at that position.

        The share comes from earlier tokens alone, the decision from the present one: it is a hint for a token that
        decides itself whether there is one.
        """
        bits = index.loops & self.active
        if not bits or not t.flags & SHARE or not t.toks:
            return t
        own = [r for r in self.gate.gates if r.split == CLASS and r.loops & bits and not r.old & bits]
        if not own or not all(_earlier(r, g, bits) for r in t.toks for g in own):
            return t
        read = self.count_read(node, None, "hint", t, True, getattr(node, "lineno", 0), picks=True)
        counts = frozenset((read.number,))
        key = (id(node), self.frame.ctx)
        tables = frozenset(r.site for r in own)
        self.gates[key] = Gate(
            read.place, frozenset(), counts, frozenset(), "what kind of token it is", tables, self.tick()
        )
        return join_taint(t, taint(counts=counts))

    def say(self, gate: Taint, scored: Taint) -> tuple[str, frozenset[int]]:
        """What a decision takes from the scored token itself, other than counts, and the tables of its classes."""
        positions = {r.start for score in self.scores_in(scored) for r in score.regions}
        own = {r.start for r in scored.toks if r.split == "val"}
        if len(own) == 1:
            positions |= own
        current = [r for r in gate.gates if not r.old & self.active]
        if any(r.split == OUTCOME for r in current):
            return "the probability that it got", frozenset()
        tables = frozenset(r.site for r in current if r.start is not None and r.start in positions)
        return ("what kind of token it is" if tables else ""), tables

    def gated(self, test: Taint) -> Taint:
        """The decisions around us, with one more test."""
        if not test.counts and not test.gates:
            return self.gate
        return join_taint(self.gate, taint(counts=test.counts, gates=test.gates))


def _read_site(r: Region) -> tuple[int, int]:
    """The read that a region of a key comes from."""
    return r.site, r.shift


def _earlier(r: Region, present: Region, bits: int) -> bool:
    """Whether a region lies before the one that the loops `bits` have come to."""
    if not r.loops & bits:
        return bool(r.old & bits)
    a, b = r.start, present.start
    return a is not None and b is not None and a.terms == b.terms and a.const < b.const
