"""Toy sizes: by environment where the script reads a setting, and by rewriting where it is a literal.

A size is asked for by its environment name (`TRAIN_SEQ_LEN`). It is set in the environment when the script mentions
that name in quotes, and replaces the literal where one is assigned to the same name (`train_seq_len = 2048`, as a
class attribute, a module constant or a dataclass field, or as the default of the option `--train-seq-len`). Literals
of few names, which mean one thing wherever they stand, are replaced in functions and in defaults of parameters too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import libcst as cst

STEP = 128
"""Tokens of one sequence of a smoke run."""
ACCUMULATION = 8
"""Sequences of a batch: scripts divide a batch over 8 GPUs, or over as many micro-steps on one."""

SMOKE_SIZES: Mapping[str, int] = {
    **dict.fromkeys(("TRAIN_SEQ_LEN", "EVAL_SEQ_LEN", "SEQ_LEN", "SEQUENCE_LENGTH", "VAL_SEQ_LEN"), STEP),
    **dict.fromkeys(("TRAIN_BATCH_TOKENS", "VAL_BATCH_SIZE", "VAL_BATCH_TOKENS", "BATCH_TOKENS"), STEP * ACCUMULATION),
}
"""Small sequences and batches; the model stays as it is."""

WIDE = 4096
"""Tokens of one micro-step that sequences of any usual length divide."""

WIDE_SIZES: Mapping[str, int] = {name: WIDE * ACCUMULATION for name, size in SMOKE_SIZES.items() if size != STEP}
"""Sequences of the reported run, and batches of few of them."""


@dataclass(frozen=True)
class Shrunk:
    """A script with toy sizes: its text, the environment that goes with it, and the names whose literals changed."""

    text: str
    env: Mapping[str, str]
    rewritten: tuple[str, ...]


def shrink(text: str, sizes: Mapping[str, int], anywhere: Mapping[str, int] | None = None) -> Shrunk:
    """Apply sizes, by environment name, to the text of a script; a name that it does not know changes nothing.

    Those of `anywhere` also go to assignments within functions and to defaults of parameters.
    """
    env = {name: str(value) for name, value in sizes.items() if reads(text, name)}
    if not anywhere and not sizes.keys() & literals(ast.parse(text)):
        return Shrunk(text, env, ())
    changed, done = _rewritten(text, tuple(sizes.items()), tuple((anywhere or {}).items()))
    return Shrunk(changed, env, done)


@lru_cache(maxsize=4)
def _rewritten(
    text: str, sizes: tuple[tuple[str, int], ...], anywhere: tuple[tuple[str, int], ...]
) -> tuple[str, tuple[str, ...]]:
    """The text with toy sizes, and the names that were found: the same for all runs of an experiment."""
    rewriter = _Literals(dict(sizes), dict(anywhere))
    return cst.parse_module(text).visit(rewriter).code, tuple(sorted(rewriter.done))


def reads(text: str, name: str) -> bool:
    """Whether a script mentions a setting by its name in quotes."""
    return re.search(rf"""(["']){re.escape(name)}\1""", text) is not None


def literals(tree: ast.AST) -> set[str]:
    """Names, in capitals, that may be set to a number: found cheaply, as rewriting takes ten times as long."""
    found: set[str] = set()
    todo = [(tree, False)]
    while todo:
        node, inside = todo.pop()
        if isinstance(node, ast.Assign | ast.AnnAssign) and not inside:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant | ast.BinOp):
                found.add(target.id.upper())
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            found.update(option_name(text.value) for text in node.args if isinstance(text, ast.Constant))
        within = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        todo += [(child, within) for child in ast.iter_child_nodes(node)]
    return found


def assigned(text: str, *, everywhere: bool) -> dict[str, int]:
    """The largest whole number that is assigned to each name, in capitals: outside of functions, or `everywhere`.

    Everywhere are functions too, and the defaults of their parameters.
    """
    found: dict[str, int] = {}
    todo: list[ast.AST] = [ast.parse(text)]
    while todo:
        node = todo.pop()
        for name, value in _given(node):
            number = None if value is None else whole(value)
            if number is not None:
                found[name.upper()] = max(number, found.get(name.upper(), number))
        if everywhere or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            todo += ast.iter_child_nodes(node)
    return found


def _given(node: ast.AST) -> list[tuple[str, ast.expr | None]]:
    """The names that a statement gives values to, or the parameters with defaults, each with the expression."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        return [(target.id, node.value)] if isinstance(target, ast.Name) else []
    if isinstance(node, ast.arguments):
        plain = [argument.arg for argument in (*node.posonlyargs, *node.args)]
        named = [argument.arg for argument in node.kwonlyargs]
        return [
            *zip(plain[len(plain) - len(node.defaults) :], node.defaults, strict=True),
            *zip(named, node.kw_defaults, strict=True),
        ]
    return []


def whole(value: ast.expr) -> int | None:
    """The value of an expression of whole numbers alone: `4194304`, `1 << 22`, `4 * 1024`, `2 ** 22`."""
    if isinstance(value, ast.Constant):
        return value.value if type(value.value) is int else None
    if isinstance(value, ast.BinOp) and (operation := _OPERATIONS.get(type(value.op))):
        left, right = whole(value.left), whole(value.right)
        return None if left is None or right is None or not 0 <= right <= _LARGEST else operation(left, right)
    return None


_LARGEST = 1 << 24
_OPERATIONS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Mult: lambda left, right: left * right,
    ast.Add: lambda left, right: left + right,
    ast.LShift: lambda left, right: left << min(right, 64),
    ast.Pow: lambda left, right: left ** min(right, 64),
}


def option_name(option: object) -> str:
    """The setting that a command line option is for: `--train-seq-len` is `TRAIN_SEQ_LEN`."""
    return str(option).lstrip("-").replace("-", "_").upper()


class _Literals(cst.CSTTransformer):
    """Replaces the numbers that are assigned to the wanted names."""

    def __init__(self, sizes: Mapping[str, int], anywhere: Mapping[str, int]) -> None:
        super().__init__()
        self.sizes = sizes
        self.anywhere = anywhere
        self.done: set[str] = set()
        self.functions = 0

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self.functions += 1

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        self.functions -= 1
        return updated_node

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign:
        if len(updated_node.targets) != 1:
            return updated_node
        value = self.small(updated_node.targets[0].target, updated_node.value)
        return updated_node if value is None else updated_node.with_changes(value=value)

    def leave_AnnAssign(self, original_node: cst.AnnAssign, updated_node: cst.AnnAssign) -> cst.AnnAssign:
        if updated_node.value is None:
            return updated_node
        value = self.small(updated_node.target, updated_node.value)
        return updated_node if value is None else updated_node.with_changes(value=value)

    def leave_Param(self, original_node: cst.Param, updated_node: cst.Param) -> cst.Param:
        if updated_node.default is None:
            return updated_node
        value = self.replaced(updated_node.name, updated_node.default, self.anywhere)
        return updated_node if value is None else updated_node.with_changes(default=value)

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        name = self.option(updated_node)
        if name is None:
            return updated_node
        return updated_node.with_changes(args=[self.default(name, argument) for argument in updated_node.args])

    def option(self, call: cst.Call) -> str | None:
        """The wanted name that an `add_argument` call is about."""
        if not (isinstance(call.func, cst.Attribute) and call.func.attr.value == "add_argument"):
            return None
        for argument in call.args:
            if argument.keyword is None and isinstance(argument.value, cst.SimpleString):
                name = option_name(argument.value.evaluated_value)
                if name in self.sizes:
                    return name
        return None

    def default(self, name: str, argument: cst.Arg) -> cst.Arg:
        """The argument, with the toy size when it is `default=` of a number."""
        if argument.keyword is None or argument.keyword.value != "default" or not is_number(argument.value):
            return argument
        self.done.add(name)
        return argument.with_changes(value=cst.Integer(str(self.sizes[name])))

    def small(self, target: cst.BaseExpression, value: cst.BaseExpression) -> cst.Integer | None:
        """The toy size for an assignment; None when it is not one of the wanted."""
        return self.replaced(target, value, self.anywhere if self.functions else {**self.anywhere, **self.sizes})

    def replaced(
        self, target: cst.BaseExpression, value: cst.BaseExpression, sizes: Mapping[str, int]
    ) -> cst.Integer | None:
        """The toy size for a number that is given to a name, if it is among `sizes`."""
        if not isinstance(target, cst.Name) or target.value.upper() not in sizes or not is_number(value):
            return None
        self.done.add(target.value.upper())
        return cst.Integer(str(sizes[target.value.upper()]))


def is_number(value: cst.BaseExpression) -> bool:
    """Whether an expression is made of integers alone: `2048`, `48 * 2048`, `1 << 16`."""
    if isinstance(value, cst.BinaryOperation):
        return is_number(value.left) and is_number(value.right)
    return isinstance(value, cst.Integer)
