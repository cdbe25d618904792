"""Where all that a script scores of the validation set are batches drawn at random, read from its text.

Names of functions decide nothing: a function draws random positions and is told by a literal which split to read; it is
called for the validation split in a loop, and no other place in the source names files of that split.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from rules.records.byte_table import Trees

_DRAWS = frozenset(("randint", "randperm", "randrange", "choice", "choices", "integers", "sample"))
_SPLIT = re.compile(r"val(?:id(?:ation)?)?")
_FILES = re.compile(r"(?<![a-z])val(?:id|idation)?(?:_|\.|/|\*).*(?:bin|npy|parquet|\*)")


def random_batches(trees: Trees) -> tuple[str, ast.Call] | None:
    """The module and the call that reads a random batch of the validation split, where nothing else reads any of it."""
    for module, tree in trees.items():
        for function in _drawing(tree):
            calls = list(_validation_calls(tree, function.name))
            looped = {id(node) for loop in ast.walk(tree) if isinstance(loop, ast.For) for node in ast.walk(loop)}
            if calls and all(id(call) in looped for call in calls) and not _read_elsewhere(trees, function):
                return module, calls[0]
    return None


def _drawing(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Functions that take something of a table at positions they have drawn."""
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        drawn = {
            name.id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and any(_draws(part) for part in ast.walk(node.value))
            for target in node.targets
            for name in ast.walk(target)
            if isinstance(name, ast.Name)
        }
        positions = [node.iter for node in ast.walk(function) if isinstance(node, ast.comprehension | ast.For)]
        positions += [node.slice for node in ast.walk(function) if isinstance(node, ast.Subscript)]
        if any(isinstance(part, ast.Name) and part.id in drawn for each in positions for part in ast.walk(each)):
            yield function


def _draws(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in _DRAWS


def _validation_calls(tree: ast.Module, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            if any(
                isinstance(v, ast.Constant) and isinstance(v.value, str) and _SPLIT.fullmatch(v.value) for v in given
            ):
                yield node


def _read_elsewhere(trees: Trees, function: ast.FunctionDef) -> bool:
    """Whether a text outside the function names files of the validation split."""
    inside = {id(node) for node in ast.walk(function)}
    return any(
        isinstance(node, ast.Constant) and isinstance(node.value, str) and _FILES.search(node.value.lower())
        for tree in trees.values()
        for node in ast.walk(tree)
        if id(node) not in inside
    )
