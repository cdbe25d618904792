"""An offset is fitted on the head of each window, which was scored before, and only the tail is scored with it.

What it does
------------
Reports a tensor made for the evaluation that is optimised with a loss on the positions before a cut through the window,
when only the positions behind that cut are scored with it, in the same iteration.

Why it matters
--------------
The order of the tokens is kept, if earlier windows did score the head; but the second 600 seconds are spent on fitting
each window anew, and no maintainer has ruled on it. The audit holds, and a reader decides.

What helps
----------
A maintainer's ruling settles it; an offset that is fitted on whole windows after they were scored, for use on the
next, needs none.

Limits
------
One offset for a batch of overlapping windows sees in the heads of later windows what the tails of earlier ones are
scored on: that is `slot-scored-region`. An offset fitted on whole windows after they were scored is score-first
training. A cut made by a mask instead of a slice is not followed: it counts as the whole window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Timeline
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script
from rules.ttt.order import path_of, reaching

_BODY = """
    def evaluate(s, model, val):
        total, count = torch.zeros(()), 0
        for start in range(0, val.numel() - s.seq_len, 64):
            x, y = window(val, start, s.seq_len)
            with torch.no_grad():
                logits = model.logits(x)
            seen = 0 if start == 0 else s.seq_len - 64
            shift = torch.zeros(s.vocab, requires_grad=True)
            opt = torch.optim.AdamW([shift], lr=0.01)
            for step in range(8):
                opt.zero_grad()
                nll = F.cross_entropy((logits + shift).flatten(0, 1), y.flatten(), reduction="none")
                nll{fitted}.mean().backward()
                opt.step()
            with torch.no_grad():
                nll = F.cross_entropy((logits + shift).flatten(0, 1), y.flatten(), reduction="none")
            total += nll[seen:].sum()
            count += y.numel() - seen
        return (total / count).item()
"""


class SlotContextOnly:
    """Offsets optimised on context that was scored before."""

    id: ClassVar[str] = "slot-context-only"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "hold"
    conditions: ClassVar[tuple[str, ...]] = ("C3",)
    rulings: ClassVar[tuple[str, ...]] = ("pr1217",)
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "The offset is fitted on the head of the window, the tail is scored",
            script(_BODY.format(fitted="[:seen]")),
            True,
        ),
        Example(
            "The offset is fitted on the whole window: that is another rule",
            script(_BODY.format(fitted="")),
            False,
        ),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One finding for each fitted offset."""

        def query(timeline: Timeline) -> Sequence[Finding]:
            headline = timeline.headline
            if headline is None:
                return []
            same_window = {d.update for d in headline.deps if d.by_cut}
            return [
                facts.finding(
                    self,
                    update.applied[0],
                    f"`{update.place.function}` fits {', '.join(update.states[:3]) or 'an offset'} on the head of each"
                    " window and scores the tail with it: nobody has ruled on that.",
                    path_of(facts, timeline, update),
                )
                for update in reaching(timeline, legal=True)
                if update.local_state and update.number in same_window
            ]

        return facts.graded(query)
