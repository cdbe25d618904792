"""Legal test-time training: every chunk is scored, and its score counted, before it is trained on.

What it does
------------
Names the function, the scoring line, the update line, the optimiser and whether the last chunk is left untrained.
This is a positive class, not a violation.

Why it matters
--------------
This is the pattern that maintainers accepted: several epochs on a chunk are fine once its score is frozen.

Limits
------
An overlap of a few tokens between the trained chunk and the next scored one is not seen by reading; the probe sees it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Timeline, Update
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script
from rules.ttt.order import reaching, scores_of

_RIGHT = script("""
    def evaluate(s, model, val):
        opt = torch.optim.AdamW(model.parameters(), lr=1e-4)
        total, count = torch.zeros(()), 0
        chunks = (val.numel() - 1) // s.seq_len
        for ci in range(chunks):
            x, y = window(val, ci * s.seq_len, s.seq_len)
            with torch.inference_mode():
                nll = F.cross_entropy(model.logits(x).flatten(0, 1), y.flatten(), reduction="none")
            total += nll.sum()
            count += y.numel()
            if ci < chunks - 1:
                for epoch in range(s.epochs):
                    opt.zero_grad()
                    model(x, y).backward()
                    opt.step()
        return (total / count).item()
""")
_PLAIN = script("""
    def evaluate(s, model, val):
        return plain_eval(s, model, val)
""")


class ScoreFirstTTT:
    """Test-time training in the legal order."""

    id: ClassVar[str] = "score-first-ttt"
    kind: ClassVar[Kind] = "positive"
    level: ClassVar[Level] = "note"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ("pr549", "readme-fc6332a9c", "issue402")
    examples: ClassVar[tuple[Example, ...]] = (
        Example("Chunks are scored, counted, then trained on; the last one is left untrained", _RIGHT, True),
        Example("No adaptation at all", _PLAIN, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One note for each updating stage that the headline depends on in the legal order."""

        def query(timeline: Timeline) -> Sequence[Finding]:
            headline = timeline.headline
            if headline is None:
                return []
            found = []
            for update in reaching(timeline, legal=True):
                scores = scores_of(timeline, headline)
                near = [s for s in scores if s.stack & update.stack] or scores
                score = near[0]
                steps = [facts.step(score.place, "the chunk is scored")]
                steps.append(facts.step(update.place, "then a gradient of the same chunk is taken"))
                steps.extend(
                    facts.step(p, f"and applied to {', '.join(update.states[:3])}") for p in update.applied[:1]
                )
                steps.append(facts.step(headline.place, "the first score is the one reported"))
                last = (
                    "the last chunk is left untrained"
                    if spares_last(facts, update)
                    else "no guard for the last chunk was found (harmless)"
                )
                optimiser = f" with {update.optimizer}" if update.optimizer else ""
                message = (
                    f"`{update.place.function}` scores each chunk at line {score.place.line} before it trains on it at"
                    f" line {update.applied[0].line}{optimiser}; {last}."
                )
                place = update.place.at(
                    score.place.line if score.place.function_line == update.place.function_line else update.place.line
                )
                found.append(facts.finding(self, place, message, steps))
            return found[:3]

        return query(facts.run)


def spares_last(facts: Facts, update: Update) -> bool:
    """Whether the update stands under a test that fails for the last chunk (`ci < n - 1`, `not is_last`)."""
    line = update.applied[0].line
    tests: list[ast.expr] = []
    assigned: dict[str, ast.expr] = {}
    for node, _ in facts.index.statements:
        if (isinstance(node, ast.If) and node.body[0].lineno <= line <= (node.body[-1].end_lineno or 0)) or (
            isinstance(node, ast.If)
            and node.lineno <= line
            and any(isinstance(s, ast.Continue | ast.Break) for s in node.body)
        ):
            tests.append(node.test)
        elif (
            isinstance(node, ast.Assign)
            and len(node.targets) == 1
            and isinstance(node.targets[0], ast.Name)
            and node.lineno <= line
        ):
            assigned[node.targets[0].id] = node.value
    counters = {name for loop in update.loops for name in _names(loop.text)}
    for test in tests:
        parts = [*ast.walk(test)]
        parts += [p for n in parts if isinstance(n, ast.Name) and n.id in assigned for p in ast.walk(assigned[n.id])]
        for part in parts:
            if isinstance(part, ast.Compare) and _mentions(part, counters) and _minus_one(part):
                return True
    return False


def _names(text: str) -> set[str]:
    try:
        return {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
    except SyntaxError:
        return set()


def _mentions(node: ast.AST, names: set[str]) -> bool:
    return any(isinstance(n, ast.Name) and n.id in names for n in ast.walk(node))


def _minus_one(node: ast.AST) -> bool:
    return any(
        isinstance(n, ast.BinOp)
        and isinstance(n.op, ast.Sub | ast.Add)
        and isinstance(n.right, ast.Constant)
        and n.right.value == 1
        for n in ast.walk(node)
    )
