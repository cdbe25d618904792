"""A position of the model sees later ones.

What it does
------------
Follows the positions of the sequence through the model's forward pass and reports the line where each position comes
to hold later ones, when the reported score depends on it: attention with neither a causal switch nor a mask, a mean,
maximum or softmax over the whole sequence that goes back into every position, a convolution that is padded on both
sides, or the state that a recurrent layer is left with after the last position, when it starts another pass over the
same positions. A model that is given the very tokens it is scored on (masked or denoising objectives) is held: whether
its score bounds a code length is for the reader.

Why it matters
--------------
The probability of a token may depend on the tokens before it only (condition C1). In a model that looks ahead, the
input at the next position is the very token to be predicted.

What helps
----------
Mask later positions on every path that leads to the score. For a masked or denoising objective, show that the score
bounds the length of a code.

Limits
------
Only library operations whose effect on the axes is known are judged; after any other operation nothing is said. A mask
is taken at its word: one that is applied is not checked for being causal. Kernels are taken to be causal, and models to
be in evaluation mode when they are scored. Rounding activations to a grid whose range is the largest value of the whole
tensor is not reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Timeline
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script

_PLAIN = script("""
    def evaluate(s, model, val):
        return plain_eval(s, model, val)
""")
_MIX = "        return x + torch.relu(self.mix(x)).square()"
_ATTENTION = """\
        q, k, v = (self.mix(x).view(x.size(0), x.size(1), 8, -1).transpose(1, 2) for _ in range(3))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + y.transpose(1, 2).reshape(x.shape)"""

_POOL = _PLAIN.replace(_MIX, "        return x + torch.relu(self.mix(x - x.mean(dim=1, keepdim=True))).square()")
_RUNNING = _PLAIN.replace(
    _MIX,
    "        count = torch.arange(1, x.size(1) + 1, device=x.device)[None, :, None]\n"
    "        return x + torch.relu(self.mix(x - x.cumsum(dim=1) / count)).square()",
)
_CAUSAL = _PLAIN.replace(_MIX, _ATTENTION)
_OPEN = _CAUSAL.replace(", is_causal=True", "")
_NEXT = _PLAIN.replace(
    "        x = self.embed(ids)\n",
    "        x = self.embed(ids)\n"
    "        after = torch.zeros_like(x)\n"
    "        after[:, :-1] = x[:, 1:]\n"
    "        x = x + 0.1 * after\n",
)


class NonCausal:
    """Mixing along the sequence without a mask."""

    id: ClassVar[str] = "non-causal"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "flag"
    conditions: ClassVar[tuple[str, ...]] = ("C1",)
    rulings: ClassVar[tuple[str, ...]] = ("pr998", "issue1017")
    examples: ClassVar[tuple[Example, ...]] = (
        Example("Attention without a mask", _OPEN, True),
        Example("Causal attention", _CAUSAL, False),
        Example("The mean over the sequence enters every position", _POOL, True),
        Example("The mean of the positions so far", _RUNNING, False),
        Example("The next position is written into a tensor that is added", _NEXT, True),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One finding for each line that looks ahead."""

        def query(timeline: Timeline) -> Sequence[Finding]:
            headline = timeline.headline
            if headline is None:
                return []
            found: dict[tuple[str, int], Finding] = {}
            for score in timeline.scores:
                if score.number not in headline.scores:
                    continue
                for crossing in (timeline.crossings[n] for n in sorted(score.crossings)):
                    at = (crossing.place.file, crossing.place.line)
                    if crossing.kind == "previous" or at in found:
                        continue
                    message = f"In `{crossing.place.function}`, {crossing.why}; the reported score depends on it."
                    if score.itself:
                        message += " The model is scored on tokens that it is given: a masked or denoising objective."
                    path = [
                        facts.step(crossing.place, f"source: {crossing.why}"),
                        facts.step(score.place, "the predictions are scored"),
                        facts.step(headline.place, "sink: the score is reported"),
                    ]
                    level: Level = "hold" if score.itself else self.level
                    found[at] = facts.finding(self, crossing.place, message, path, level=level)
            return list(found.values())

        return facts.graded(query)
