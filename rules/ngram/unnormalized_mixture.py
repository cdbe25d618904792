"""The scored token's probability is blended with something that is not its share of a whole distribution.

What it does
------------
Reports the line where the probability (or loss) of the scored token is combined with a count that was looked up for
that token only, so that what is scored need not sum to one over the vocabulary; or with what is no probability of that
token at all: the entropy of the predictions as one of several experts, or a constant larger than a uniform share.

Why it matters
--------------
A score is a code length only if the probabilities of all tokens sum to one before the token is known (condition C2).

What helps
----------
Mix two whole distributions, or divide by the sum over the vocabulary; a tilt towards one hinted token has its
normaliser in closed form.

Limits
------
A convex mix of two full distributions, and a closed-form tilt of one hinted token with its normaliser, are legal and
are not reported. Wrong denominators inside a full row are not seen by reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Timeline
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script
from rules.ngram.ngram_target_in_key import _WRONG

_FULL_ROW = script("""
    def evaluate(s, model, val):
        counts = np.ones((s.vocab, s.vocab))
        ids = val.numpy()
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
            np.add.at(counts, (ids[start:start + s.seq_len], target), 1)
        return total / count
""")

_ENTROPY = script("""
    def evaluate(s, model, val):
        weights = torch.tensor([0.9, 0.1])
        total, count = 0.0, 0
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            with torch.no_grad():
                log_p = torch.log_softmax(model.logits(x).float(), dim=-1)
            own = -log_p.gather(-1, y.unsqueeze(-1)).squeeze(-1)
            experts = torch.stack([own, -(log_p.exp() * log_p).sum(-1)], dim=-1)
            total -= (weights.log() - experts).logsumexp(dim=-1).sum().item()
            count += y.numel()
        return total / count
""")


class UnnormalizedMixture:
    """Target-only blends."""

    id: ClassVar[str] = "unnormalized-mixture"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "flag"
    conditions: ClassVar[tuple[str, ...]] = ("C2",)
    rulings: ClassVar[tuple[str, ...]] = ("pr779-c4146407380", "pr1026", "issue1017")
    examples: ClassVar[tuple[Example, ...]] = (
        Example("A count looked up for the target only is mixed in", _WRONG, True),
        Example("The entropy of the predictions is one of the experts", _ENTROPY, True),
        Example("Whole rows over the vocabulary are mixed before the target is looked at", _FULL_ROW, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One finding for each line that blends."""

        def query(timeline: Timeline) -> Sequence[Finding]:
            headline = timeline.headline
            if headline is None:
                return []
            found, seen = [], set()
            for mix in timeline.mixes:
                if mix.alien and mix.scores & headline.scores:
                    path = [
                        facts.step(mix.place, f"source: {mix.alien.rstrip(',')} is added to the token's probability"),
                        facts.step(headline.place, "sink: the score is reported"),
                    ]
                    message = (
                        f"To the probability of the scored token {mix.alien} is added, which is no probability of that"
                        " token; nothing divides by the sum over the vocabulary."
                    )
                    found.append(facts.finding(self, mix.place, message, path))
                    continue
                counts = {n for n in mix.counts & headline.counts if not timeline.count_reads[n].normed}
                if mix.pieces or not counts or not mix.scores & headline.scores or mix.place.line in seen:
                    continue
                seen.add(mix.place.line)
                read = timeline.count_reads[min(counts)]
                path = [
                    facts.step(read.place, "a count is looked up for the scored token only"),
                    facts.step(mix.place, "source: it is blended into the probability of that token"),
                    facts.step(headline.place, "sink: the score is reported"),
                ]
                found.append(
                    facts.finding(
                        self,
                        mix.place,
                        "The probability of the scored token is blended with a count of that token only; nothing"
                        " divides by the sum over the vocabulary.",
                        path,
                    )
                )
            return found[:1]

        return facts.graded(query)
