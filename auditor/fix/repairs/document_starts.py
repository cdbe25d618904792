"""Mask at the beginning of documents: where a document begins, a position keeps what it held before the blend.

PR 1797 and issue 1988: a gate that adds a share of the position before is to be masked where a document begins, in
every forward of the model. The blend stays as it is and `torch.where` takes the unblended value at those positions.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from auditor.fix.edit import Edit
from auditor.fix.scope import Function, read
from auditor.fix.script import Script, last_name
from auditor.verdict import Finding

_BEGINS = "1"
"""The token that begins a document in the published tokenizers: `<s>` of SentencePiece."""


def document_starts(script: Script, finding: Finding) -> Iterator[Edit]:
    """One edit: every place where the blend is made, or where the module that makes it is called."""
    functions = [f for defined in script.functions.values() for f in defined if f.lineno == finding.function_line]
    torch = _torch(script)
    if finding.rule != "bos-boundary-leak" or not functions or torch is None:
        return
    blends = [_blend(functions[0], finding.line)] if _ids(script, functions[0]) else _calls(script, functions[0])
    replace = {}
    for whole, kept in filter(None, blends):
        ids = _ids(script, script.around(whole))
        if ids is not None:
            text = ast.get_source_segment(script.source, whole)
            replace[script.span(whole)] = f"{torch}.where(({ids} == {_BEGINS}).unsqueeze(-1), {kept}, {text})"
    if replace and len(replace) == len(blends):
        places = " and ".join(str(begin[0]) for begin, _ in replace)
        what = f"keep the unblended value where a document begins (token {_BEGINS}) at line {places}"
        yield Edit(what, replace=replace)


def _torch(script: Script) -> str | None:
    """How the script calls torch."""
    names = [
        alias.asname or alias.name
        for node in ast.walk(script.tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "torch"
    ]
    return names[0] if names else None


def _blend(function: Function, line: int) -> tuple[ast.expr, str] | None:
    """The right side of `x = ... x ...`, and `x`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and node.lineno <= line <= (node.end_lineno or line):
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id in read([node.value]):
                return node.value, target.id
    return None


def _calls(script: Script, forward: Function) -> list[tuple[ast.expr, str] | None]:
    """Calls of the modules of the class that has this `forward`, each with what it is handed; None for other calls."""
    owner = next((n for n in ast.walk(script.tree) if isinstance(n, ast.ClassDef) and forward in n.body), None)
    if owner is None:
        return []
    attributes = _made_by(script, owner.name)
    found: list[tuple[ast.expr, str] | None] = []
    for node in ast.walk(script.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in attributes:
            plain = len(node.args) == 1 and isinstance(node.args[0], ast.Name) and not node.keywords
            found.append((node, ast.unparse(node.args[0])) if plain else None)
    return found


def _made_by(script: Script, name: str) -> set[str]:
    """Attributes that are assigned a call of a class."""
    return {
        target.attr
        for node in ast.walk(script.tree)
        if isinstance(node, ast.Assign)
        if any(isinstance(n, ast.Call) and last_name(n.func) == name for n in ast.walk(node.value))
        for target in node.targets
        if isinstance(target, ast.Attribute)
    }


def _ids(script: Script, function: ast.Module | Function) -> str | None:
    """The token ids of a forward: what it looks up in an embedding."""
    tables = _made_by(script, "Embedding")
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Name):
            attribute = isinstance(node.func, ast.Attribute) and node.func.attr in tables
            if attribute or ast.unparse(node.func) == "F.embedding":
                return node.args[0].id
    return None
