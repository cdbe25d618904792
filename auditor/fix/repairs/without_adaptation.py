"""Leave out the adaptation: the call that starts it, or the loop that it is.

What helps where adaptation comes before the score of the same tokens (C3) or the score is a second one (C4), and no
other order can be had by moving lines: the score of the model that was trained on training tokens alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from auditor.fix.edit import Edit
from auditor.fix.removal import removals
from auditor.fix.scope import blocks, spans
from auditor.fix.script import Script
from auditor.verdict import Finding


def without_adaptation(script: Script, finding: Finding) -> Iterator[Edit]:
    """Each call of the adaptation, then each loop that it may be.

    Callers come before what they call, so that no empty shell of the adaptation stays. What holds a line at which
    something is scored or reported afterwards is left alone: without it there would be no score.
    """
    steps = script.steps(finding)
    update = steps.index(finding.line) if finding.line in steps else len(steps)
    afterwards = [line for line in steps[update:] if line != finding.line]

    def spared(node: ast.stmt) -> bool:
        return any(spans(node, line) for line in afterwards)

    for name in script.callers(finding.function):
        if name not in script.functions or any(map(spared, script.functions[name])):
            continue
        for block, statement in script.calls(name):
            yield from removals(script, block, statement, f"leave out the call of `{name}`")
    inside: Sequence[ast.AST] = script.functions.get(finding.function or "", []) or [script.tree]
    for block in (block for function in inside for block in blocks(function)):
        for statement in block:
            compound = isinstance(statement, ast.For | ast.While | ast.If | ast.With)
            if compound and spans(statement, finding.line) and not spared(statement):
                what = f"leave out lines {statement.lineno} to {statement.end_lineno}"
                yield from removals(script, block, statement, what)
