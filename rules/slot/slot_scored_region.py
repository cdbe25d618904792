"""An offset is fitted on the very positions whose score is then reported.

What it does
------------
Reports a tensor made for the evaluation (a delta on hidden states, a bias on logits) that is optimised with a loss on
validation tokens and then used to score the same tokens.

Why it matters
--------------
The offset has seen the answer before it is scored (C1, C3). The flip test of issue 1240 shows the leak in every pair.

What helps
----------
Fit the offset on positions whose score is already counted, and use it on the next ones.

Limits
------
An offset fitted on context that was scored before, for use on the next window, is legal in order and is not reported.
No maintainer has ruled on it in so many words; no row with it was ever accepted.
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
        shift = torch.zeros(s.vocab, requires_grad=True)
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            with torch.no_grad():
                logits = model.logits(x)
            {first}
            opt = torch.optim.AdamW([shift], lr=0.01)
            for step in range(8):
                opt.zero_grad()
                F.cross_entropy((logits + shift).flatten(0, 1), y.flatten()).backward()
                opt.step()
            {last}
            count += y.numel()
        return (total / count).item()
"""
_SCORE = 'total += F.cross_entropy((logits + shift).flatten(0, 1), y.flatten(), reduction="sum").detach()'


class SlotScoredRegion:
    """Offsets optimised on the scored positions."""

    id: ClassVar[str] = "slot-scored-region"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "flag"
    conditions: ClassVar[tuple[str, ...]] = ("C1", "C3")
    rulings: ClassVar[tuple[str, ...]] = ("pr1240", "issue1017")
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "The offset is fitted on a window and the window is scored with it",
            script(_BODY.format(first="pass", last=_SCORE)),
            True,
        ),
        Example(
            "The window is scored first, the offset serves the next one",
            script(_BODY.format(first=_SCORE, last="pass")),
            False,
        ),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One finding for each fitted offset."""

        def query(timeline: Timeline) -> Sequence[Finding]:
            return [
                facts.finding(
                    self,
                    update.applied[0],
                    f"`{update.place.function}` fits {', '.join(update.states[:3]) or 'an offset'} on validation tokens"
                    " and scores the same tokens with it.",
                    path_of(facts, timeline, update),
                )
                for update in reaching(timeline, legal=False)
                if update.local_state
            ]

        return facts.graded(query)
