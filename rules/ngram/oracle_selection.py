"""The reported score is the better one of several, chosen after the tokens were seen.

What it does
------------
Reports the line where, of several losses of the same token, chunk or document (from several passes, epochs,
temperatures or predictors), the smaller one is kept and counted; or where settings or weights are searched by their
validation score: a loop over candidates, each scored on the same validation tokens, with no training in between. Any
other choice between whole evaluations, or between weights by their validation score, is a warning.

Why it matters
--------------
Which of the candidates is best is known only after the token: a decoder cannot make the choice (conditions C1 and C2),
and the minimum over predictors is no probability. A choice from the prefix alone, such as by the entropy of the model,
is legal.

What helps
----------
Fix the choice before the token is known: by the prefix alone, such as by the entropy of the model, or by weights that
the prefix decides. Search settings on training tokens.

Limits
------
A choice between whole evaluations is followed to the weights that are loaded by it, not through files. No ruling
forbids the choice between two evaluations, or between checkpoints of the training.
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
_SEARCHED = script("""
    def evaluate(s, model, val):
        best, kept = float("inf"), 1.0
        for model.sharpness in (0.9, 1.0, 1.1):
            loss = plain_eval(s, model, val)
            if loss < best:
                best, kept = loss, model.sharpness
        print(f"temperature {1 / kept:.2f}")
        return best
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
        Example("The temperature with the best validation score", _SEARCHED, True),
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
            whole = [
                choice
                for choice in timeline.choices
                if not choice.parts
                and (
                    (headline.chosen_whole and choice.scores & headline.scores)
                    or (choice.loaded and choice.order < headline.order)
                )
            ]
            for choice in whole:
                if _searched(timeline, choice):
                    return [self._finding(facts, choice, headline, searched=True)]
            return [self._finding(facts, choice, headline) for choice in whole[:1]]

        return facts.graded(query)

    def _finding(self, facts: Facts, choice: Choice, headline: ReportEvent, *, searched: bool = False) -> Finding:
        path = [
            facts.step(choice.place, "source: the candidate with the smaller loss is kept"),
            facts.step(headline.place, "sink: the score is reported"),
        ]
        if choice.parts:
            message = "Of several losses of the same tokens the smaller one is kept, and the reported score counts it."
            return facts.finding(self, choice.place, message, path)
        if searched:
            message = "Settings or weights are searched by their score on the validation tokens that are then reported."
            return facts.finding(self, choice.place, message, path)
        message = "Validation scores choose between evaluations or weights, and the reported score is the chosen one's."
        return facts.finding(self, choice.place, message, path, level="warning")


def _searched(timeline: Timeline, choice: Choice) -> bool:
    """Whether the choice is made in a loop that scores the same tokens in every turn and trains nothing in between.

    Weight sets that were made before the loop and are loaded one by one are candidates, not a search: in a search, what
    is loaded hangs on what was chosen before.
    """
    loops = choice.stack & ~timeline.trained_in & (~timeline.restored_in | choice.loaded_in)
    for score in timeline.scores:
        moving = 0
        for region in score.regions:
            moving |= region.loops
        if score.number in choice.scores and score.stack & loops & ~moving:
            return True
    return False
