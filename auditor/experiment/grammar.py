"""Source for Python 3.12, written so that the Python that runs it compiles it.

Only f-strings differ: from 3.12 on the expression in a replacement field may hold the enclosing quote, backslashes,
comments and line breaks (PEP 701). Where the source as it stands does not compile, f-strings become calls of `format`
and the text is printed from the tree; its lines are then not those of the original.
"""

from __future__ import annotations

import ast

from auditor.program import fstrings


def runnable(text: str) -> str:
    """The text itself where this Python reads it, else a rewritten one; raises `SyntaxError` where neither helps."""
    try:
        ast.parse(text)
    except SyntaxError:
        tree = fstrings.parse(text)
        return ast.unparse(ast.fix_missing_locations(_Joined().visit(tree)))
    return text


class _Joined(ast.NodeTransformer):
    """Replaces each f-string by `"".join((...))` of its parts."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        self.generic_visit(node)
        parts = ast.Tuple(node.values, ast.Load())
        return ast.Call(ast.Attribute(ast.Constant(""), "join", ast.Load()), [parts], [])

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.expr:
        self.generic_visit(node)
        value = node.value
        if node.conversion != -1:
            name = {ord("r"): "repr", ord("s"): "str", ord("a"): "ascii"}[node.conversion]
            value = ast.Call(ast.Name(name, ast.Load()), [value], [])
        spec = [node.format_spec] if node.format_spec is not None else []
        return ast.Call(ast.Name("format", ast.Load()), [value, *spec], [])
