"""Test-time training is compiled with a few steps on validation tokens, whose result is thrown away.

What it does
------------
Reports a gradient of validation tokens that is applied before the evaluation begins and does not reach the reported
score, when the evaluation itself trains through the same forward pass: a warm-up of the compiler.

Why it matters
--------------
No score depends on it, as far as the code shows; but the model has met validation tokens before the evaluation, and a
state that was forgotten in the reset would leak. Nobody has ruled: one row with it was accepted, one author withdrew.
Random token ids warm the compiler up as well.

What helps
----------
Warm up on random token ids of the same shapes instead of validation tokens.

Limits
------
Whether everything is reset is judged by the state that the analysis follows: weights, adapters, optimisers. Without
test-time training in the reported run there is nothing to warm up, and nothing is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Timeline, Update
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script
from rules.ttt.order import reaching, scores_of

_BODY = """
    class Adapter(nn.Module):
        def __init__(self, s):
            super().__init__()
            self.down = nn.Linear(s.dim, s.dim, bias=False)
        def forward(self, hidden):
            return hidden + self.down(hidden)

    def losses(s, model, adapter, x, y):
        return F.cross_entropy(model.head(adapter(model.embed(x))).flatten(0, 1), y.flatten(), reduction="none")

    def warm_up(s, model, val):
        spare = Adapter(s)
        opt = torch.optim.AdamW(spare.parameters(), lr=1e-4)
        x, y = {tokens}
        losses(s, model, spare, x, y).mean().backward()
        opt.step()

    def evaluate(s, model, val):
        warm_up(s, model, val)
        adapter = Adapter(s)
        opt = torch.optim.AdamW(adapter.parameters(), lr=1e-4)
        total, count = torch.zeros(()), 0
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            nll = losses(s, model, adapter, x, y)
            total += nll.detach().sum()
            count += y.numel()
            opt.zero_grad()
            nll.mean().backward()
            opt.step()
        return (total / count).item()
"""


class TTTWarmupOnVal:
    """Compile warm-up that trains on validation tokens."""

    id: ClassVar[str] = "ttt-warmup-on-val"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "warning"
    conditions: ClassVar[tuple[str, ...]] = ("C3",)
    rulings: ClassVar[tuple[str, ...]] = ("pr1530", "pr1536")
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "A spare adapter takes one step on validation tokens before the evaluation",
            script(_BODY.format(tokens="window(val, 0, s.seq_len)")),
            True,
        ),
        Example(
            "A spare adapter takes one step on random tokens",
            script(_BODY.format(tokens="torch.randint(0, s.vocab, (2, 1, s.seq_len))")),
            False,
        ),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One warning for each warm-up."""

        def query(timeline: Timeline) -> Sequence[Finding]:
            headline = timeline.headline
            trained = reaching(timeline, legal=True)
            if headline is None or not trained:
                return []
            counted = scores_of(timeline, headline)
            start = min(score.order for score in counted)
            forward = {(s.place.file, s.place.line) for s in counted} | {
                (s.place.file, s.place.line) for u in trained for s in timeline.scores if s.number in u.atoms
            }
            used = {d.update for r in timeline.reports for d in r.deps}

            def warms_up(update: Update) -> bool:
                passes = {(s.place.file, s.place.line) for s in timeline.scores if s.number in update.atoms}
                return (
                    update.kind == "gradient"
                    and update.number not in used
                    and update.order < start
                    and bool(passes & forward)
                )

            return [
                facts.finding(
                    self,
                    update.applied[0],
                    f"`{update.place.function}` takes a training step on validation tokens before the evaluation; its"
                    " result is thrown away.",
                    [
                        facts.step(update.place, "source: a gradient of a loss on validation tokens"),
                        facts.step(update.applied[0], f"applied to {', '.join(update.states[:3])}"),
                        facts.step(counted[0].place, "later, the evaluation begins with untouched state"),
                    ],
                )
                for update in timeline.updates
                if warms_up(update)
            ][:1]

        return facts.graded(query)
