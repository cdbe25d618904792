"""Documents are scored in a sorted order while another state follows the order of the stream.

What it does
------------
Reports a run that scores documents in the order of a sorted list (longest first, say) and trains on them as it goes,
when the same score also depends on a table or on arrays that were filled from the whole stream, in its own order,
before.

Why it matters
--------------
Each order is causal by itself. Together no decoder can follow them: the weights for a document need the longer ones
that come later in the stream, and the table for those needs the document. The score is then not the length of any code
(condition C1). Found by analysis; no ruling says so, and a row with both was accepted, so this is a warning.

What helps
----------
Let both states follow one order: that of the stream, or that of the sorted documents.

Limits
------
Only lists that are sorted by a key are known to leave the stream's order, not shuffled indices. That state is reset
for each document only under a condition counts as not reset. What native code makes of tokens it is given is taken to
follow the stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from auditor.facts import Facts
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script

_SCRIPT = script("""
    def evaluate(s, model, val):
        counts = np.zeros(s.vocab * s.vocab)
        best = torch.zeros(val.numel(), s.vocab)
        for t in range(1, val.numel() - 1):
            best[t] = torch.from_numpy(counts[val[t - 1] * s.vocab : (val[t - 1] + 1) * s.vocab])
            counts[val[t - 1] * s.vocab + val[t]] += 1
        starts = (val == 1).nonzero().flatten().tolist()
        documents = [(a, b - a) for a, b in zip(starts, starts[1:])]
        documents = sorted(documents, key=lambda document: -document[1])
        opt = torch.optim.SGD(model.parameters(), lr=0.01)
        total, count = torch.zeros(()), 0
        for start, length in documents:
            x, y = window(val, start, length)
            with torch.no_grad():
                logits = model.logits(x)[0] + best[start + 1 : start + 1 + length]
                total += F.cross_entropy(logits, y[0], reduction="sum")
            count += y.numel()
            opt.zero_grad()
            model(x, y).backward()
            opt.step()
        return (total / count).item()
""")
_STREAM = _SCRIPT.replace("    documents = sorted(documents, key=lambda document: -document[1])\n", "")


class UndecodableOrder:
    """Two orders that no decoder can follow together."""

    id: ClassVar[str] = "undecodable-order"
    kind: ClassVar[Kind] = "violation"
    level: ClassVar[Level] = "warning"
    conditions: ClassVar[tuple[str, ...]] = ("C1",)
    rulings: ClassVar[tuple[str, ...]] = ("pr2135",)
    examples: ClassVar[tuple[Example, ...]] = (
        Example("Trained longest first, beside counts in the order of the stream", _SCRIPT, True),
        Example("Both in the order of the stream", _STREAM, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One warning for the first training step in the sorted order."""
        run, headline = facts.run, facts.run.headline
        if headline is None or not run.sorted_loops:
            return
        used = sorted({(d.update, d.loops) for d in headline.deps if d.legal})
        trained = [
            run.updates[n] for n, loops in used if run.updates[n].kind == "gradient" and loops & run.sorted_loops
        ]
        tables = [run.updates[n] for n, _ in used if run.updates[n].kind == "counts"]
        in_stream = [table for table in tables if not table.stack & run.sorted_loops]
        filled = headline.filled and not run.filled_in & run.sorted_loops
        if not trained or not (in_stream or filled):
            return
        update = trained[-1]
        steps = [facts.step(table.place, "counted in the order of the stream") for table in in_stream[:1]]
        walks = [loop for loop in update.loops if loop.bit & run.sorted_loops]
        steps += [facts.step(loop.place, "the loop goes through a sorted list") for loop in walks]
        steps.append(facts.step(update.place, "trained on in that order"))
        steps.append(facts.step(headline.place, "the score depends on both"))
        state = "a table that follows" if in_stream else "arrays that native code filled in"
        yield facts.finding(
            self,
            update.place,
            f"`{update.place.function}` scores and trains in the order of a sorted list, and the score also depends on"
            f" {state} the order of the stream: no decoder can follow both.",
            steps,
        )
