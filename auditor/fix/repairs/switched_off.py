"""Switch it off: the default of the setting that leads to what is flagged becomes false.

What a script can do and the run does not is no violation (a rule whose code is off in the run gives a note). Where the
reported run set the switch itself, the default has no say, and this is no repair.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from auditor.fix.edit import Edit
from auditor.fix.repairs.other_branch import ways
from auditor.fix.script import Script, last_name
from auditor.verdict import Finding

_OFF = {repr("1"): '"0"', repr(1): "0", repr(True): "False", repr("true"): '"false"', repr("True"): '"False"'}


def switched_off(script: Script, finding: Finding) -> Iterator[Edit]:
    """Settings that are on by default, of the tests on the way to the finding, the innermost test first."""
    seen: set[str] = set()
    for test in ways(script, finding):
        for name in (last_name(n) for n in ast.walk(test.test) if isinstance(n, ast.Name | ast.Attribute)):
            if name in seen:
                continue
            seen.add(name)
            for statement, default in _defaults(script, name):
                text = _OFF[repr(default.value)]
                what = f"switch `{name}` off by default at line {statement.lineno}"
                yield Edit(what, replace={script.span(default): text})


def _defaults(script: Script, name: str) -> Iterator[tuple[ast.stmt, ast.Constant]]:
    """Assignments of a setting and the constant that it is by default: `x = True`, `x = bool(int(get("X", "1")))`."""
    for node in ast.walk(script.tree):
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        (target, *more) = node.targets if isinstance(node, ast.Assign) else [node.target]
        if more or not isinstance(target, ast.Name) or target.id != name:
            continue
        value = node.value
        while isinstance(value, ast.Call) and value.args:
            value = value.args[-1]
        if isinstance(value, ast.Constant) and repr(value.value) in _OFF:
            yield node, value
