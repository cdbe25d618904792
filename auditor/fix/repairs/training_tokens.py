"""Calibrate on training batches: a statistic that is kept for scoring is taken from training tokens.

PR 728 and issue 1017, condition C3: quantisers may not look at validation tokens that are not scored yet. The same
function that reads the validation shards reads the first training shard, and what calibrates is handed that; the
calibration counts to the 600 seconds of training.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from auditor.fix.edit import Edit
from auditor.fix.scope import Block, blocks, bound, read, spans
from auditor.fix.script import Script
from auditor.timeline.files import names_split
from auditor.verdict import Finding

_NAME = "calibration_tokens"
_MAX_LINES = 60
"""What is longer is the training itself, with its own evaluations."""


def training_tokens(script: Script, finding: Finding) -> Iterator[Edit]:
    """What reads validation tokens before the finding, in the innermost blocks and nearest to it first."""
    if finding.rule != "val-calibration" or "glob" not in bound(script.tree.body) or _NAME in script.source:
        return
    for function in script.functions.get(finding.function or "", []):
        known = bound([function, *script.tree.body]) | {n.arg for n in ast.walk(function) if isinstance(n, ast.arg)}
        for tokens, code in _loaders(script, known):
            for run in _runs(function, tokens, finding.line):
                outside = next((loop for loop in _loops(function) if spans(loop, run[0].lineno)), run[0])
                names = [n for each in run for n in ast.walk(each) if isinstance(n, ast.Name) and n.id == tokens]
                yield Edit(
                    f"calibrate on training tokens at line {run[0].lineno}",
                    insert={script.begin(outside): f"{_NAME} = {code}\n"},
                    replace={script.span(name): _NAME for name in names},
                )


def _loaders(script: Script, known: set[str]) -> Iterator[tuple[str, str]]:
    """Names that validation tokens are read to, and the same read of the first training shard."""
    val, train = (_settings(script, split) for split in ("val", "train"))
    for node in ast.walk(script.tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        call = node.value
        if not isinstance(call, ast.Call) or not call.args or not read([call]) <= known | set(script.functions):
            continue
        pattern = call.args[0]
        if isinstance(pattern, ast.Attribute) and pattern.attr in val and len(train) == 1:
            owner = ast.unparse(pattern.value)
            first = f"sorted({_glob(script)}({owner}.{min(train)}))[0]"
            rest = [ast.unparse(each) for each in call.args[1:]] + [ast.unparse(each) for each in call.keywords]
            yield node.targets[0].id, f"{ast.unparse(call.func)}({', '.join([first, *rest])})"


def _settings(script: Script, split: str) -> set[str]:
    """Attributes of classes whose value holds the pattern of a split's files."""
    return {
        target.id
        for owner in ast.walk(script.tree)
        if isinstance(owner, ast.ClassDef)
        for node in owner.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        if any(isinstance(c, ast.Constant) and _is_pattern(c.value, split) for c in ast.walk(node.value))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }


def _is_pattern(value: object, split: str) -> bool:
    return isinstance(value, str) and value.endswith(".bin") and names_split(value) == split


def _glob(script: Script) -> str:
    """How the script calls `glob.glob`."""
    imported = any(isinstance(n, ast.ImportFrom) and n.module == "glob" for n in script.tree.body)
    return "glob" if imported else "glob.glob"


def _loops(function: ast.AST) -> list[ast.For | ast.While]:
    """Loops, the outer ones first."""
    return [node for node in ast.walk(function) if isinstance(node, ast.For | ast.While)]


def _runs(function: ast.AST, tokens: str, line: int) -> list[Block]:
    """Statements next to each other that read the tokens before a line: the nearest first, but long ones last."""
    found = []
    for block in blocks(function):
        run: Block = []
        for statement in [*block, None]:
            if statement is not None and tokens in read([statement]) and statement.lineno < line:
                run.append(statement)
            elif run:
                found.append(run)
                run = []
    return sorted(found, key=lambda run: ((run[-1].end_lineno or 0) - run[0].lineno > _MAX_LINES, line - run[0].lineno))
