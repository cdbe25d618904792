"""Something kept for scoring is computed from validation tokens that are not yet scored.

What it does
------------
Reports weights that are written with a statistic of validation tokens (Hessians for quantisation, clip ranges, scales,
means) before those tokens are scored with them.

Why it matters
--------------
Calibration is training by another name: maintainers ruled that quantisers may not look at unscored validation tokens.

What helps
----------
Calibrate on training batches within the training budget, or on text that the model generates itself.

Limits
------
Calibration on training data inside the training budget, and on text that the model makes itself, is legal.
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
    def collect(model, tokens, s):
        stats = {{}}
        def hook(module, inputs, output):
            x = inputs[0].flatten(0, 1)
            stats[id(module)] = stats.get(id(module), 0) + x.T @ x
        handles = [layer.mix.register_forward_hook(hook) for layer in model.layers]
        for start in range(0, 8 * s.seq_len, s.seq_len):
            x, y = window(tokens, start, s.seq_len)
            with torch.no_grad():
                model.logits(x)
        for handle in handles:
            handle.remove()
        return stats

    def evaluate(s, model, val):
        stats = collect(model, {tokens}, s)
        quantised = {{}}
        for name, weight in model.state_dict().items():
            quantised[name] = torch.round(weight * stats.get(name, 1.0)) / stats.get(name, 1.0)
        model.load_state_dict(quantised)
        return plain_eval(s, model, val)
"""


class ValCalibration:
    """Statistics of unscored validation tokens."""

    id: ClassVar[str] = "val-calibration"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "flag"
    conditions: ClassVar[tuple[str, ...]] = ("C3",)
    rulings: ClassVar[tuple[str, ...]] = ("pr728", "issue1017")
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "Hessians of the quantiser are collected on validation tokens", script(_BODY.format(tokens="val")), True
        ),
        Example(
            "Hessians are collected on training tokens",
            script(_BODY.format(tokens="read_shards(s.train_files)")),
            False,
        ),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One finding for each statistic that reaches the weights."""

        def query(timeline: Timeline) -> Sequence[Finding]:
            return [
                facts.finding(
                    self,
                    update.applied[0],
                    f"`{update.place.function}` writes {', '.join(update.states[:3])} with a statistic of validation"
                    " tokens before those tokens are scored.",
                    path_of(facts, timeline, update),
                )
                for update in reaching(timeline, legal=False, kind="statistic")
            ][:1]

        return facts.graded(query)
