"""A cache takes in a token before that token is scored with it.

What it does
------------
Reports a table of counts (or any running statistic keyed by tokens) that holds validation tokens before their reported
score is computed from it: counts of the whole validation set, updates a batch ahead. Where each chunk was scored before
it was counted, and is scored again with the full table, it is `two-pass-rescoring`.

Why it matters
--------------
The token counts itself (condition C3): the more often it is looked at, the more probable it becomes.

What helps
----------
Score the window first, count that score, and only then add its tokens to the cache.

Limits
------
The order is read from the code; entries that are written and then subtracted again are not recognised.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Timeline
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script
from rules.ngram.unnormalized_mixture import _FULL_ROW
from rules.ttt.order import path_of, reaching, scored_before

_WHOLE_SET = script("""
    def evaluate(s, model, val):
        ids = val.numpy()
        counts = np.ones((s.vocab, s.vocab))
        np.add.at(counts, (ids[:-1], ids[1:]), 1)
        total, count = 0.0, 0
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            with torch.no_grad():
                p = torch.softmax(model.logits(x)[0], dim=-1).numpy()
            row = counts[ids[start:start + s.seq_len]]
            mixed = 0.9 * p + 0.1 * row / row.sum(axis=1, keepdims=True)
            target = ids[start + 1:start + s.seq_len + 1]
            total += -np.log(np.take_along_axis(mixed, target[:, None], axis=1)).sum()
            count += s.seq_len
        return total / count
""")


class CacheBeforeScore:
    """Counts that hold the token being scored."""

    id: ClassVar[str] = "cache-before-score"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "flag"
    conditions: ClassVar[tuple[str, ...]] = ("C3",)
    rulings: ClassVar[tuple[str, ...]] = ("pr846", "pr959", "issue1017")
    examples: ClassVar[tuple[Example, ...]] = (
        Example("Bigram counts of the whole validation set", _WHOLE_SET, True),
        Example("Counts of tokens already scored", _FULL_ROW, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One finding for each write that comes too early."""

        def query(timeline: Timeline) -> Sequence[Finding]:
            return [
                facts.finding(
                    self,
                    update.applied[0],
                    f"`{update.place.function}` counts validation tokens before the reported score of the same tokens"
                    " is computed from the counts.",
                    path_of(facts, timeline, update),
                )
                for update in reaching(timeline, legal=False, kind="counts")
                if scored_before(timeline, update) is None
            ][:1]

        return facts.graded(query)
