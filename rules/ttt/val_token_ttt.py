"""Weights are trained on validation tokens before those tokens are scored.

What it does
------------
Reports every update of parameters, adapters or biases by a gradient of a loss on validation tokens that reaches the
reported score of the same tokens: adaptation over the whole validation set before the evaluation, several epochs of
which the last one is counted, training a chunk and then scoring it.

Why it matters
--------------
A model that has been trained on a token no longer predicts it. The score then measures memory, not compression:
condition C3 (score before update). Training is legal for tokens whose score has been counted already.

What helps
----------
Score each chunk, count that score, and only then update on it. What has to be adapted beforehand may be adapted on
training tokens, within the training budget.

Limits
------
The order is read from the code under the configuration of the reported run. Two chunks are taken for different when
both move with the same loop; an overlap of a few tokens between neighbouring chunks is not seen (the probe sees it).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Timeline
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script
from rules.ttt.order import path_of, reaching, repeats, scored_before

_WRONG = script("""
    def adapt(s, model, val):
        opt = torch.optim.SGD(model.parameters(), lr=0.01)
        for epoch in range(s.epochs):
            for start in range(0, val.numel() - s.seq_len, s.seq_len):
                x, y = window(val, start, s.seq_len)
                opt.zero_grad()
                model(x, y).backward()
                opt.step()

    def evaluate(s, model, val):
        if s.adapt:
            adapt(s, model, val)
        return plain_eval(s, model, val)
""")

_LAST_EPOCH = script("""
    def evaluate(s, model, val):
        opt = torch.optim.SGD(model.parameters(), lr=0.01)
        for epoch in range(s.epochs):
            total, count = torch.zeros(()), 0
            for start in range(0, val.numel() - s.seq_len, s.seq_len):
                x, y = window(val, start, s.seq_len)
                loss = model(x, y)
                total += loss.detach() * y.numel()
                count += y.numel()
                opt.zero_grad()
                loss.backward()
                opt.step()
        return (total / count).item()
""")

_RIGHT = script("""
    def evaluate(s, model, val):
        opt = torch.optim.SGD(model.parameters(), lr=0.01)
        total, count = torch.zeros(()), 0
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            with torch.no_grad():
                total += model(x, y) * y.numel()
            count += y.numel()
            for epoch in range(s.epochs):
                opt.zero_grad()
                model(x, y).backward()
                opt.step()
        return (total / count).item()
""")

_RESTORED = script("""
    def evaluate(s, model, val):
        before = {k: v.clone() for k, v in model.state_dict().items()}
        opt = torch.optim.SGD(model.parameters(), lr=0.01)
        x, y = window(val, 0, s.seq_len)
        model(x, y).backward()
        opt.step()
        model.load_state_dict(before)
        return plain_eval(s, model, val)
""")


class ValTokenTTT:
    """Gradient updates from tokens that are scored later."""

    id: ClassVar[str] = "val-token-ttt"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "flag"
    conditions: ClassVar[tuple[str, ...]] = ("C3",)
    rulings: ClassVar[tuple[str, ...]] = ("issue402", "issue677", "pr771", "pr1972", "readme-fc6332a9c")
    examples: ClassVar[tuple[Example, ...]] = (
        Example("Three epochs over the validation set, then the evaluation", _WRONG, True),
        Example("Each epoch scores first, but only the last epoch is counted", _LAST_EPOCH, True),
        Example("The same adaptation, switched off in the run", _WRONG, False, (("ADAPT", "0"),)),
        Example("Each window is scored and counted before it is trained on", _RIGHT, False),
        Example("A warm-up step on validation tokens, undone before the evaluation", _RESTORED, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """Findings under the reported run; code that the run leaves out becomes a note."""

        def query(timeline: Timeline) -> Sequence[Finding]:
            found = []
            for update in reaching(timeline, legal=False):
                if update.local_state or scored_before(timeline, update) is not None:
                    continue
                epochs = " over several passes" if repeats(update) else ""
                found.append(
                    facts.finding(
                        self,
                        update.applied[0],
                        f"`{update.place.function}` trains {', '.join(update.states[:3])} on validation tokens{epochs}"
                        " before their reported score is computed; no counted score of the same tokens comes first.",
                        path_of(facts, timeline, update),
                    )
                )
            return found

        return facts.graded(query)
