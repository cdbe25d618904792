"""A cache is looked up with the scored token in its key, and the count changes that token's probability.

What it does
------------
Reports every look-up that feeds the reported score and whose key folds the token being scored together with its
context (a hash, a product, an exclusive or, a tuple), found in one of three ways: the key holds the token at the very
position that is scored; it holds the target side of the input/target pair; or the count is divided by a count whose
key holds everything but that token.

Why it matters
--------------
Only the right token is looked up, so only its probability rises; nothing is taken from the others. With few buckets
the ratio of the two counts goes to one whatever the data (conditions C1 and C2). A legal cache looks up the context
and mixes a whole row over the vocabulary.

What helps
----------
Take the scored token out of the look-up, reweight the whole vocabulary from the context alone, and normalise.

Limits
------
A hashed embedding inside the network (its table is a parameter, its key the input tokens) is not a cache. A table that
is only ever filled in other processes or in C is not followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import CountRead, Timeline
from auditor.verdict import Finding, Level, Step
from rules.base import Example, Kind
from rules.miniature import script

_CACHE = """
    def evaluate(s, model, val):
        ids = val.numpy()
        seen = np.zeros(1 << 22, dtype=np.int64)
        seen_next = np.zeros(1 << 22, dtype=np.int64)
        total, count = 0.0, 0
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            with torch.no_grad():
                nll = F.cross_entropy(model.logits(x).flatten(0, 1), y.flatten(), reduction="none")
            p = np.exp(-nll.numpy())
            at = np.arange(start + 1, start + s.seq_len + 1)
            context = (ids[at - 1] * 36313) ^ (ids[at - 2] * 27191)
            row = context & ((1 << 22) - 1)
            {key}
            p = 0.7 * p + 0.3 * guess
            total += -np.log(p).sum()
            count += y.numel()
            np.add.at(seen, row, 1)
            np.add.at(seen_next, pair, 1)
        return total / count
"""
_WRONG = script(
    _CACHE.format(
        key="pair = (context ^ (ids[at] * 51647)) & ((1 << 22) - 1); guess = seen_next[pair] / np.maximum(seen[row], 1)"
    )
)
_HASHED_INPUT = script("""
    class Hashed(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.table = nn.Embedding(4096, dim)
        def forward(self, ids):
            previous = F.pad(ids[:, :-1], (1, 0))
            return self.table((ids * 36313 ^ previous * 27191) % 4096)

    def evaluate(s, model, val):
        model.embed = Hashed(s.dim)
        return plain_eval(s, model, val)
""")


class NgramTargetInKey:
    """Look-ups keyed with the token that is being scored."""

    id: ClassVar[str] = "ngram-target-in-key"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "flag"
    conditions: ClassVar[tuple[str, ...]] = ("C1", "C2")
    rulings: ClassVar[tuple[str, ...]] = ("pr779-c4145781641", "pr779-c4146407380", "pr993", "issue1017")
    examples: ClassVar[tuple[Example, ...]] = (
        Example("The key of the numerator holds the target", _WRONG, True),
        Example("A hashed embedding of the input tokens inside the network", _HASHED_INPUT, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One finding for each look-up, at the line where its key is made."""

        def query(timeline: Timeline) -> Sequence[Finding]:
            headline = timeline.headline
            if headline is None:
                return []
            found, seen = [], set()
            for read in timeline.count_reads:
                if read.number not in headline.counts or not read.target_in_key or read.key_line in seen:
                    continue
                seen.add(read.key_line)
                place = read.place.at(read.key_line)
                found.append(
                    facts.finding(
                        self,
                        place,
                        f"The look-up at line {read.place.line} that feeds the reported score is keyed with the scored"
                        f" token: {read.why}.",
                        _path(facts, timeline, read),
                    )
                )
            return found

        return facts.graded(query)


def _path(facts: Facts, timeline: Timeline, read: CountRead) -> list[Step]:
    steps = [facts.step_at(line, read.place, "token ids are read for the key") for line in read.key_sites]
    steps.append(facts.step_at(read.key_line, read.place, "source: the key is made, scored token included"))
    steps.append(facts.step(read.place, "the count is looked up"))
    for mix in timeline.mixes:
        if read.number in mix.counts:
            steps.append(facts.step(mix.place, "and mixed into the probability of that token only"))
            break
    if timeline.headline is not None:
        steps.append(facts.step(timeline.headline.place, "sink: the score is reported"))
    return steps
