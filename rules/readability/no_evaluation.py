"""The reported score cannot come from this script.

What it does
------------
Holds a submission in which no reported loss over validation tokens was found, whose logs print results that the script
cannot print (and another size of the code), or whose log shows the messages of a function that adapts the model and
that nothing in the script calls. Where a second script scored the saved model, that one is asked. When the claimed
score itself is printed as a literal number, it is a flag. A claim below one bit per byte is held as well when the
model alone was seen to make it and the bytes are counted rightly: no model of this size came near, so the data, a leak
in the model, or a stage that was not read made the score. So is a claim that only a line of another program prints, and
a score of a program of another size that is far better than its model was at the end of training.

Why it matters
--------------
The audit speaks of the committed program. When the number was made by another one, nothing that is read here tells
whether it was made by the rules.

What helps
----------
Commit the program that made the score, together with the log of that run.

Limits
------
A log that was cut or edited so that it fits is not noticed; re-running the script is the test of that. An evaluation
outside of PyTorch, NumPy and MLX may be missed: then the hold says so and nothing more.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

from auditor.facts import Facts
from auditor.program.index import texts
from auditor.submission.model import code_size
from auditor.timeline.events import Place
from auditor.timeline.evidence import Messages
from auditor.timeline.provenance import beyond_its_model, foreign_claim, foreign_results, shown_but_uncalled
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script
from rules.records.byte_accounting import FULL, PER_TOKEN

_NONE = script("""
    def evaluate(s, model, val):
        return 0.75
""")

_PLAIN = script("""
    def evaluate(s, model, val):
        return plain_eval(s, model, val)
""")

_SAME = 1e-3
_REACH = 1.0
"""Bits per byte; the best accepted entry, with legal adaptation, has 1.058."""
_RIGHT = 0.01
_CLOSE = 0.01
_PRINTED = re.compile(r"bpb\W{0,4}([0-3]\.\d{3,})", re.IGNORECASE)


class NoEvaluation:
    """A score without an evaluation."""

    id: ClassVar[str] = "no-evaluation"
    kind: ClassVar[Kind] = "readability"
    level: ClassVar[Level] = "hold"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ()
    examples: ClassVar[tuple[Example, ...]] = (
        Example("The number that is printed depends on no token", _NONE, True),
        Example("A plain evaluation", _PLAIN, False),
        Example(
            "A score that no model of this size has", _PLAIN, True, files=(("submission.json", '{"val_bpb": 0.61}'),)
        ),
        Example("A score within reach", _PLAIN, False, files=(("submission.json", '{"val_bpb": 1.21}'),)),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """At most one finding: a literal score, no score, or the logs of another program."""
        if facts.broken is not None or facts.problem is not None or facts.tree is None:
            return
        if facts.run.headline is None:
            if not facts.run.opaque and facts.submission.evaluator is None:
                yield self._missing(facts)
            return
        for reason, line in _other_program(facts):
            yield self._finding(facts, line, f"Undecided: {reason}.", reason)
            return
        if _out_of_reach(facts):
            reason = (
                f"the claimed {facts.submission.claims.val_bpb} bits per byte are out of reach of the model alone,"
                " which is all that was seen to score; look at the training data, at what positions see, and at stages"
                " that are off by default"
            )
            yield self._finding(facts, facts.run.headline.place.line, f"Undecided: {reason}.", "out of reach")

    def _missing(self, facts: Facts) -> Finding:
        """No loss over validation tokens is reported."""
        for line, number in _literal_scores(facts):
            message = f"The claimed score {number} is printed as a literal; no loss over validation tokens is reported."
            return self._finding(facts, line, message, message, level="flag")
        reason = (
            "no reported loss over validation tokens was found in the run; look at how the score is computed and"
            " printed"
        )
        return self._finding(facts, 1, f"Undecided: {reason}.", reason)

    def _finding(self, facts: Facts, line: int, message: str, anchor: str, level: Level = "hold") -> Finding:
        place = Place(line, "<module>", 1)
        return facts.finding(self, place, message, [], level=level, activation="unknown", anchor=anchor)


def _constants(facts: Facts) -> str:
    """All strings that the script and its modules hold."""
    trees = [facts.tree, *facts.modules.values()]
    return "\n".join(text for tree in trees if tree is not None for text in texts(tree))


def _literal_scores(facts: Facts) -> Iterator[tuple[int, str]]:
    """Where the script prints the claimed score as a number that is written out in a message."""
    claim = facts.submission.claims.val_bpb
    if claim is None:
        return
    for node in ast.walk(facts.tree or ast.Module([], [])):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and len(node.value.args) == 1:
            text = node.value.args[0]
            found = (
                _PRINTED.search(text.value) if isinstance(text, ast.Constant) and isinstance(text.value, str) else None
            )
            if found and abs(float(found[1]) - claim) < _SAME:
                yield node.lineno, found[1]


def _out_of_reach(facts: Facts) -> bool:
    """Whether no model alone can have the claimed score, with bytes counted as they are in the logs."""
    claim, headline = facts.submission.claims.val_bpb, facts.run.headline
    if claim is None or claim >= _REACH or headline is None or headline.counts or headline.copied or headline.filled:
        return False
    if any(not dep.legal or facts.run.updates[dep.update].kind == "counts" for dep in headline.deps):
        return False
    runs = [run for _, run in facts.records.runs if run.score is not None and abs(run.score.val_bpb - claim) < _CLOSE]
    for run in runs:
        per_token = run.score.implied_bytes(1) if run.score is not None else None
        right = [FULL / run.val_tokens.value] if run.val_tokens else PER_TOKEN
        if per_token is None or all(abs(per_token / bytes_of - 1) > _RIGHT for bytes_of in right):
            return False  # another tokenizer or another count of bytes: a question of records
    return bool(runs) or not facts.submission.logs


def _other_program(facts: Facts) -> Iterator[tuple[str, int]]:
    """Why the logs cannot be of this script, and the line that tells."""
    submission = facts.submission
    if not submission.logs or facts.tree is None:
        return
    siblings = [code.decode("utf-8", "replace") for code in submission.modules.values()]
    text = "\n".join([facts.text, *siblings])
    sizes = {len(submission.code), len(facts.text.encode())}
    foreign = foreign_results(text, sizes, [log.text for log in submission.logs])
    if foreign and not facts.unreadable:
        yield f"the logs were written by another program: they print `{foreign[0][:80]}`, which this script does not", 1
    logs = [log.text for log in submission.logs]
    claim, headline = submission.claims.val_bpb, facts.run.headline
    if claim is not None and submission.evaluator is None and not facts.unreadable:
        head = foreign_claim(text, lambda: _constants(facts), claim, logs)
        if head:
            yield f"the claimed score was printed by another program: no text of this one begins `{head[:80]}`", 1
    other = all(size is not None and size not in sizes for size in map(code_size, logs))
    if other and headline is not None and not headline.deps and not headline.counts:
        far = beyond_its_model(logs)
        if far is not None:
            told = f"their score {far[0]} is out of reach of the model, which had {far[1]} when training ended"
            yield f"the logs are of a program of another size, and {told}", headline.place.line
    lines = frozenset(line.strip() for line in submission.logs[0].text.splitlines())
    messages = Messages(facts.index, lines)
    for name, message in shown_but_uncalled(messages, facts.index, text):
        yield f"the log shows `{message.text[:60]}`, which only `{name}` prints, and nothing calls it", message.line
