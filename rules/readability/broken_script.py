"""The script does not parse in any supported Python grammar, or reads a name that nothing in it defines.

What it does
------------
Holds a submission whose script is no Python, and one whose run, under the effective configuration and before the score
is reported, reads a name that is bound neither at the top level nor in the functions around the read. Newer grammars
than the auditor's own are read through libcst and are not reported.

Why it matters
--------------
Such a script cannot have produced the reported score.

What helps
----------
Commit the program that made the logs, and start it once from its folder before that.

Limits
------
A name that is bound in sight, although not yet, is not reported, nor is one that is read in a `try` block
or under a test whose outcome is not known. A script that computes names (`exec`, `globals()`, `import *`) is trusted to
define them. What else fails when the script is imported is found by the smoke test, not by reading.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import ClassVar

from auditor.facts import Facts
from auditor.timeline.events import Place
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.miniature import script

_PLAIN = script("""
    def evaluate(s, model, val):
        return plain_eval(s, model, val)
""")

_UNDEFINED = script("""
    def evaluate(s, model, val):
        if blended:
            return 0.5 * plain_eval(s, model, val)
        return plain_eval(s, model, val)
""")
_ELSEWHERE = script("""
    def unused(s):
        blended = True
        return blended

    def evaluate(s, model, val):
        total = 0.0
        for part in range(2):
            if blended:
                total += 0.5
        return total * plain_eval(s, model, val)
""")
_CAUGHT = script("""
    def evaluate(s, model, val):
        try:
            rows = cupy.zeros(s.vocab)
        except NameError:
            rows = torch.zeros(s.vocab)
        return plain_eval(s, model, val)
""")
_MAYBE = script("""
    def evaluate(s, model, val):
        if torch.cuda.device_count() > 8:
            print(f"shards: {shards}")
        return plain_eval(s, model, val)
""")
_COMPUTED = script("""
    def evaluate(s, model, val):
        globals().update(scale=1.0)
        return scale * plain_eval(s, model, val)
""")
_COMPUTING = ("exec", "eval", "globals", "locals", "builtins", "__builtins__")


class BrokenScript:
    """Syntax errors and undefined names."""

    id: ClassVar[str] = "broken-script"
    kind: ClassVar[Kind] = "readability"
    level: ClassVar[Level] = "hold"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ()
    examples: ClassVar[tuple[Example, ...]] = (
        Example("An unclosed bracket", "def f(:\n    pass\n", True),
        Example("The score hangs on a name that nothing defines", _UNDEFINED, True),
        Example("The name is a local of another function", _ELSEWHERE, True),
        Example("Where it fails, something else is done", _CAUGHT, False),
        Example("Whether it is read is not known", _MAYBE, False),
        Example("The name is defined by computation", _COMPUTED, False),
        Example("A plain evaluation", _PLAIN, False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One hold with the parser's message, or with the first undefined name that the run meets."""
        if facts.broken is not None:
            named = re.match(r"line (\d+)", facts.broken)
            place = Place(int(named[1]) if named else 1, "<module>", 1)
            yield facts.finding(
                self, place, f"The script does not parse: {facts.broken}", [], activation="unknown", anchor=facts.broken
            )
        headline = facts.run.headline
        met = [u for u in facts.run.undefined if headline is None or u.order < headline.order]
        if met and facts.tree is not None:
            bound = _bound(facts.tree)
            for read in met:
                if bound is not None and not any(read.place.line in lines for lines in bound.get(read.name, ())):
                    message = (
                        f"`{read.name}` is read here, and nothing in sight defines it: the run ends in an error before"
                        " the score is reported."
                    )
                    yield facts.finding(self, read.place, message, [facts.step(read.place, "an undefined name")])
                    return


def _bound(tree: ast.Module) -> dict[str, list[range]] | None:
    """The lines where each name may be in sight: those of the functions that bind it, or all of them.

    None where names may be bound by computation.
    """
    everywhere = range(1 << 32)
    found: dict[str, list[range]] = {}
    todo: list[tuple[ast.AST, range]] = [(tree, everywhere)]
    while todo:
        node, scope = todo.pop()
        names: list[str | None] = []
        inner = scope
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load) and node.id in _COMPUTING:
                return None
            names = [node.id] if not isinstance(node.ctx, ast.Load) else []
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
            if not isinstance(node, ast.ClassDef):
                inner = range(node.lineno, (node.end_lineno or node.lineno) + 1)
        elif isinstance(node, ast.arg):
            names = [node.arg]
        elif isinstance(node, ast.alias):
            if node.name == "*":
                return None
            names = [node.asname or node.name.partition(".")[0]]
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            names = [node.name]
        elif isinstance(node, ast.MatchMapping):
            names = [node.rest]
        elif isinstance(node, ast.Global):
            names, scope = [*node.names], everywhere
        for name in names:
            if name is not None:
                found.setdefault(name, []).append(scope)
        todo.extend((child, inner) for child in ast.iter_child_nodes(node))
    return found
