"""Positions are scored again after state was updated with them, and the second score is reported.

What it does
------------
Reports a stage that scores each chunk and then trains on it, or counts it (legal by itself), when a later stage scores
the same tokens again with what was learned and *that* score is the headline: test-time training followed by a fresh
sliding evaluation, by an offset fit, or by an n-gram pass; chunks scored again with the full cache.

Why it matters
--------------
Each position may be scored once, left to right (condition C4). The second score has seen the answer.

What helps
----------
Report the score of the first pass, in which each token was scored before anything was updated with it.

Limits
------
The headline is the last loss in bits that the run reports. A second evaluation that is printed as a diagnostic after
the headline is not told from a headline by the code alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Timeline
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script
from rules.ttt.order import path_of, reaching, scored_before

_STAGE = """
    def stage(s, model, val):
        opt = torch.optim.SGD(model.parameters(), lr=0.01)
        total, count = torch.zeros(()), 0
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            with torch.no_grad():
                total += model(x, y) * y.numel()
            count += y.numel()
            opt.zero_grad()
            model(x, y).backward()
            opt.step()
        loss = (total / count).item()
        print(f"adapted val_bpb:{loss / math.log(2.0):.4f}")
        return loss
"""

_WRONG = script(
    _STAGE
    + """
    def evaluate(s, model, val):
        stage(s, model, val)
        return plain_eval(s, model, val)
"""
)
_RIGHT = script(
    _STAGE
    + """
    def evaluate(s, model, val):
        print(f"before val_bpb:{plain_eval(s, model, val) / math.log(2.0):.4f}")
        return stage(s, model, val)
"""
)


class TwoPassRescoring:
    """A second score of tokens that state was updated with."""

    id: ClassVar[str] = "two-pass-rescoring"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "flag"
    conditions: ClassVar[tuple[str, ...]] = ("C4",)
    rulings: ClassVar[tuple[str, ...]] = ("pr991", "pr846", "pr959", "issue1017")
    examples: ClassVar[tuple[Example, ...]] = (
        Example("Score-first training, then everything is scored afresh", _WRONG, True),
        Example("The evaluation comes first and the score-first pass is the headline", _RIGHT, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """Findings under the reported run."""

        def query(timeline: Timeline) -> Sequence[Finding]:
            found = []
            counts = [u for u in reaching(timeline, legal=False, kind="counts") if scored_before(timeline, u)][:1]
            for update in [*reaching(timeline, legal=False), *counts]:
                first = scored_before(timeline, update)
                if first is None or (update.local_state and update not in counts):
                    continue
                learns = "counts them" if update in counts else "trains on them"
                path = [
                    facts.step(first.place, "first score of the tokens, in order"),
                    *path_of(facts, timeline, update),
                ]
                found.append(
                    facts.finding(
                        self,
                        update.applied[0],
                        f"`{update.place.function}` scores tokens and then {learns}; the reported score comes"
                        " from a later evaluation of the same tokens with what was learned.",
                        path,
                    )
                )
            return found

        return facts.graded(query)
