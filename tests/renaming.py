"""Rewrites a script so that it does the same under other names and without comments: names must decide nothing."""

from __future__ import annotations

import ast

KEPT = {"forward", "split", "count", "vocab_size", "layers", "norm", "norm_a", "norm_b", "norm_out"}
"""Attributes with a meaning outside the script: called by torch, also methods of libraries, keys of a saved state."""


def renamed(source: str) -> str:
    """The same program with every name of its own replaced, and no comments or docstrings."""
    tree = ast.parse(source)
    variables, attributes = own_names(tree)
    table = {name: f"zz{number}" for number, name in enumerate(sorted(variables | attributes))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.name = table.get(node.name, node.name)
        elif isinstance(node, ast.arg) and node.arg in variables:
            node.arg = table[node.arg]
        elif isinstance(node, ast.Name) and node.id in variables:
            node.id = table[node.id]
        elif isinstance(node, ast.Attribute) and node.attr in attributes:
            node.attr = table[node.attr]
    return ast.unparse(tree) + "\n"


def own_names(tree: ast.Module) -> tuple[set[str], set[str]]:
    """The names that the script gives: to variables, functions and classes; to attributes and methods."""
    variables: set[str] = set()
    attributes: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            variables.add(node.name)
            fields = {
                n.id
                for each in node.body
                for n in ast.walk(each)
                if isinstance(each, ast.Assign) and isinstance(n, ast.Name) and stored(n)
            }
            attributes |= fields | {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef):
            variables.add(node.name)
        elif isinstance(node, ast.arg):
            variables.add(node.arg)
        elif isinstance(node, ast.Name) and stored(node):
            variables.add(node.id)
        elif isinstance(node, ast.Attribute) and stored(node):
            attributes.add(node.attr)
    attributes = {name for name in attributes if not name.startswith("__")} - KEPT
    return {name for name in variables if not name.startswith("__")} - KEPT, attributes


def stored(node: ast.AST) -> bool:
    """Whether the node assigns to a name or an attribute."""
    return isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store)
