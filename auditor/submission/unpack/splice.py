"""What a packed script does of its own beside unpacking: such statements belong to the program and are kept.

A wrapper may set environment variables before the packed program, or change it afterwards; an audit of the packed
text alone would miss both.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from auditor.submission.unpack.library import HARMLESS

_METHODS = frozenset(
    [
        "decode", "encode", "replace", "join", "strip", "split", "splitlines", "translate", "read", "write",
        "close", "flush", "get", "items", "keys", "values", "append", "read_text", "read_bytes", "write_text",
        "write_bytes", "resolve", "absolute", "with_suffix", "with_name", "joinpath", "mkdir", "exists",
        "is_file", "exec_module", "load_module", "rpartition", "partition", "decompress", "process", "format",
        "namelist", "extractall", "startswith", "endswith", "unlink", "seek",
    ]
)  # fmt: skip
_ATTRIBUTES = frozenset(("argv", "__name__", "__file__", "__package__", "__path__", "__spec__", "__loader__"))
_TABLES = frozenset(("linecache.cache", "sys.modules", "sys.argv"))
_COMPOUND = re.compile(r"\s|class\b|def\b|async\b|@|if\b|for\b|while\b|with\b|try\b|match\b")
_BLOB = 4096
_BINDINGS = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Import, ast.ImportFrom)


def own_statements(tree: ast.Module, at: int, payload: str) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """The wrapper's own statements before and after the one at index `at`, which runs the payload."""
    aliases = _aliases(tree)
    loading: set[str] = set()
    settings: dict[int, list[ast.stmt]] = {}
    for index, node in enumerate(tree.body):
        if isinstance(node, ast.FunctionDef):
            rest = [part for part in node.body if not _only_loads(part, aliases, loading)]
            if all(_is_setting(part) for part in rest):
                loading.add(node.name)
                settings[index] = rest
    before: list[ast.stmt] = []
    after: list[ast.stmt] = []
    for index, node in enumerate(tree.body):
        if index == at:
            continue
        if index in settings:
            before += settings[index]
        elif index > at and isinstance(node, _BINDINGS):
            after.append(node)  # After the payload has run, a binding can replace a part of it.
        elif not _only_loads(node, aliases, loading):
            (before if index < at else after).append(node)
    return _with_definitions(tree.body[:at], before, payload), after


def _is_setting(node: ast.stmt) -> bool:
    """A call or an assignment of constants, such as `os.environ.setdefault("A", "1")`: it needs no local name."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call = node.value
        return all(isinstance(part, ast.Constant) for part in (*call.args, *(k.value for k in call.keywords)))
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        return isinstance(node.value, ast.Constant) and isinstance(node.targets[0].slice, ast.Constant)
    return False


def _with_definitions(body: Sequence[ast.stmt], own: list[ast.stmt], payload: str) -> list[ast.stmt]:
    """The own statements after those assignments and imports of `body` whose names they or the payload use."""
    needed = _used(own)
    kept: list[ast.stmt] = []
    for node in reversed(body):
        if node in own or isinstance(node, ast.FunctionDef) or _is_large(node):
            continue
        bound = _bound(node)
        if bound & needed or (isinstance(node, (ast.Assign, ast.AnnAssign)) and _mentions(payload, bound)):
            kept.append(node)
            needed |= _used([node])
    order = {id(node): place for place, node in enumerate(body)}
    return sorted(kept + own, key=lambda node: order.get(id(node), len(body)))


def _used(nodes: Sequence[ast.stmt]) -> set[str]:
    walked = (n for node in nodes for n in ast.walk(node))
    return {n.id for n in walked if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _is_large(node: ast.stmt) -> bool:
    constants = (n.value for n in ast.walk(node) if isinstance(n, ast.Constant))
    return sum(len(value) for value in constants if isinstance(value, (str, bytes))) > _BLOB


def _mentions(text: str, names: set[str]) -> bool:
    return any(len(name) > 2 and re.search(rf"\b{re.escape(name)}\b", text) for name in names)


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    if isinstance(node, ast.FunctionDef):
        return {node.name}
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _aliases(tree: ast.Module) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _dotted(node: ast.expr, aliases: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value, aliases)
        return owner and f"{owner}.{node.attr}"
    return None


def _only_loads(statement: ast.stmt, aliases: dict[str, str], functions: set[str]) -> bool:
    """Whether a statement does nothing but read, decode, write and run source text."""
    imported = set(aliases.values())
    for node in ast.walk(statement):
        if isinstance(node, (ast.ClassDef, ast.AsyncFunctionDef, ast.Delete, ast.Await)):
            return False
        if isinstance(node, ast.Call):
            name = _dotted(node.func, aliases)
            if name in HARMLESS or name in functions:
                continue
            is_method = isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS
            if not is_method or (name is not None and name.split(".")[0] in imported):
                return False
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if node.attr not in _ATTRIBUTES:
                return False
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and not _is_table(node, aliases):
            return False
    return True


def _is_table(node: ast.Subscript, aliases: dict[str, str]) -> bool:
    """`sys.modules[...]` and the like, and `globals()["__file__"]`."""
    if isinstance(node.value, ast.Call):
        special = isinstance(node.slice, ast.Constant) and node.slice.value in _ATTRIBUTES
        return special and _dotted(node.value.func, aliases) == "globals"
    return _dotted(node.value, aliases) in _TABLES


def splice(before: Sequence[ast.stmt], payload: str, after: Sequence[ast.stmt]) -> str:
    """The whole program; simple statements go into a line of the payload, so that its lines keep their numbers."""
    simple = all(not hasattr(node, "body") for node in before)
    head = [ast.unparse(node) for node in before]
    opening, rest = _opening(payload) if head else ("", payload)
    if simple and not any("\n" in line for line in head) and (opening or not _COMPOUND.match(rest)):
        text = opening + ("".join(f"; {line}" for line in head) if opening else "".join(f"{line}; " for line in head))
    else:
        text = opening + "\n" * bool(opening) + "".join(f"{line}\n" for line in head)
    tail = "\n".join(ast.unparse(node) for node in after)
    return f"{text}{rest}\n{tail}\n" if tail else text + rest


def _opening(payload: str) -> tuple[str, str]:
    """The payload up to its last `from __future__` import, which nothing may come before, and the rest."""
    try:
        body = ast.parse(payload).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "", payload
    future = [node for node in body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    if not future:
        return "", payload
    lines = payload.split("\n")
    last = (future[-1].end_lineno or 1) - 1
    end = len(lines[last].encode()[: future[-1].end_col_offset].decode())
    opening = "\n".join([*lines[:last], lines[last][:end]])
    return opening, payload[len(opening) :]
