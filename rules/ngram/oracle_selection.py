"""The reported score is the better one of several, chosen after the tokens were seen.

What it does
------------
Reports the line where, of several losses of the same token, chunk or document (from several passes, epochs,
temperatures or predictors), the smaller one is kept and counted. A choice between whole evaluations, or between weights
by their validation score, is a warning.

Why it matters
--------------
Which of the candidates is best is known only after the token: a decoder cannot make the choice (conditions C1 and C2),
and the minimum over predictors is no probability. A choice from the prefix alone, such as by the entropy of the model,
is legal.

What helps
----------
Fix the choice before the token is known: by the prefix alone, such as by the entropy of the model, or by weights that
the prefix decides.

Limits
------
A choice between whole evaluations is followed to the weights that are loaded by it, not through files, and no ruling
forbids it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Choice, ReportEvent, Timeline
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script

_PASSES = """
    def evaluate(s, model, val):
        kept = torch.full((val.numel(),), float("inf"))
        for sharpness in (0.9, 1.0, 1.1):
            for start in range(0, val.numel() - s.seq_len, s.seq_len):
                x, y = window(val, start, s.seq_len)
                with torch.no_grad():
                    logits = model.logits(x)[0]
                nll = F.cross_entropy(logits * sharpness, y[0], reduction="none")
                here = slice(start, start + s.seq_len)
                {keep}
        return kept[: start + s.seq_len].mean().item()
"""
_PER_TOKEN = script(_PASSES.format(keep="kept[here] = torch.minimum(kept[here], nll)"))
_PER_CHUNK = script("""
    def evaluate(s, model, val):
        total, count = 0.0, 0
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            best = float("inf")
            for sharpness in (0.9, 1.0, 1.1):
                with torch.no_grad():
                    loss = F.cross_entropy(model.logits(x)[0] * sharpness, y[0]).item()
                if loss < best:
                    best = loss
            total += best
            count += 1
        return total / count
""")
_BY_ENTROPY = script("""
    def evaluate(s, model, val):
        total, count = torch.zeros(()), 0
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            with torch.no_grad():
                flat, sharp = (torch.log_softmax(model.logits(x)[0] * k, dim=-1) for k in (0.9, 1.1))
            unsure = -(flat.exp() * flat).sum(-1, keepdim=True) > 3.0
            total += F.nll_loss(torch.where(unsure, flat, sharp), y[0], reduction="sum")
            count += y.numel()
        return (total / count).item()
""")


class OracleSelection:
    """The minimum over candidates, after the fact."""

    id: ClassVar[str] = "oracle-selection"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "flag"
    conditions: ClassVar[tuple[str, ...]] = ("C1", "C2")
    rulings: ClassVar[tuple[str, ...]] = ("issue1017",)
    examples: ClassVar[tuple[Example, ...]] = (
        Example("The smaller loss over three temperatures, token by token", _PER_TOKEN, True),
        Example("The best temperature for each chunk", _PER_CHUNK, True),
        Example("The temperature is chosen by the entropy of the model", _BY_ENTROPY, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One finding for the choice that the headline is made of, else a warning for one between evaluations."""

        def query(timeline: Timeline) -> Sequence[Finding]:
            headline = timeline.headline
            if headline is None:
                return []
            for choice in timeline.choices:
                if choice.parts and headline.chosen_parts and choice.scores & headline.scores:
                    return [self._finding(facts, choice, headline)]
            for choice in timeline.choices:
                reaches = headline.chosen_whole and choice.scores & headline.scores
                if not choice.parts and (reaches or (choice.loaded and choice.order < headline.order)):
                    return [self._finding(facts, choice, headline)]
            return []

        return facts.graded(query)

    def _finding(self, facts: Facts, choice: Choice, headline: ReportEvent) -> Finding:
        path = [
            facts.step(choice.place, "source: the candidate with the smaller loss is kept"),
            facts.step(headline.place, "sink: the score is reported"),
        ]
        if choice.parts:
            message = "Of several losses of the same tokens the smaller one is kept, and the reported score counts it."
            return facts.finding(self, choice.place, message, path)
        message = "Validation scores choose between evaluations or weights, and the reported score is the chosen one's."
        return facts.finding(self, choice.place, message, path, level="warning")
