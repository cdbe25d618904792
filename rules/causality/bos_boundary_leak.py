"""Each position is blended with the one before it, across the boundaries of documents.

What it does
------------
Reports the line where the model adds to each position what the one before holds (a previous-token gate), when the
reported score depends on it and nothing that was made by comparing token ids masks the first position of a document.

Why it matters
--------------
Validation documents are packed into one stream: unmasked, the last token of a document goes into the first of the next
one. A maintainer asked for a mask in both the normal and the test-time-training forward; another row was accepted
without one. Causality is intact, so this is a warning and never decides a verdict.

What helps
----------
Multiply the gate by a mask that is zero where a document begins, in every forward of the model.

Limits
------
Attention and convolutions cross document boundaries too, and are not reported. A mask that is made elsewhere and
handed to the model is taken at its word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Timeline
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.causality.non_causal import _PLAIN

_EMBEDDED = "        x = self.embed(ids)\n"
_GATE = _PLAIN.replace(
    _EMBEDDED,
    _EMBEDDED + "        x = torch.cat([x[:, :1], x[:, 1:] + 0.1 * x[:, :-1]], dim=1)\n",
)
_MASKED = _PLAIN.replace(
    _EMBEDDED,
    _EMBEDDED
    + "        inside = (ids[:, 1:] != 1).unsqueeze(-1).float()\n"
    + "        x = torch.cat([x[:, :1], x[:, 1:] + 0.1 * inside * x[:, :-1]], dim=1)\n",
)
_STORED = _PLAIN.replace(
    _EMBEDDED,
    _EMBEDDED
    + "        before = torch.zeros_like(x)\n"
    + "        before[:, 1:] = x[:, :-1]\n"
    + "        x = x + 0.1 * before\n",
)
_CHOSEN = _GATE.replace("x = torch.cat(", "x = torch.where((ids == 1).unsqueeze(-1), x, torch.cat(").replace(
    "x[:, :-1]], dim=1)\n", "x[:, :-1]], dim=1))\n"
)


class BosBoundaryLeak:
    """A previous-token gate that is not masked where documents begin."""

    id: ClassVar[str] = "bos-boundary-leak"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "warning"
    conditions: ClassVar[tuple[str, ...]] = ("C1",)
    rulings: ClassVar[tuple[str, ...]] = ("pr1797", "issue1988")
    examples: ClassVar[tuple[Example, ...]] = (
        Example("Every position takes a share of the one before", _GATE, True),
        Example("The one before is written into a tensor of its own", _STORED, True),
        Example("The first position of a document takes none", _MASKED, False),
        Example("The first position of a document is put back as it was", _CHOSEN, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One finding for each unmasked gate."""

        def query(timeline: Timeline) -> Sequence[Finding]:
            headline = timeline.headline
            if headline is None:
                return []
            scored = [s for s in timeline.scores if s.number in headline.scores]
            found: dict[tuple[str, int], Finding] = {}
            for crossing in timeline.crossings:
                place = crossing.place
                score = next((s for s in scored if crossing.number in s.crossings), None)
                if crossing.kind != "previous" or score is None or (place.file, place.line) in found:
                    continue
                path = [
                    facts.step(place, "source: each position takes a share of the one before"),
                    facts.step(score.place, "the predictions are scored"),
                    facts.step(headline.place, "sink: the score is reported"),
                ]
                found[place.file, place.line] = facts.finding(
                    self,
                    place,
                    f"`{place.function}` blends each position with the one before, also where a document begins.",
                    path,
                )
            return list(found.values())

        return facts.graded(query)
