"""Packages that are not installed: stubs that can be imported, decorated with and passed around, and fail when used.

A package that the script imports within `try` is left out instead: such a script knows what to do without it.
"""

from __future__ import annotations

import ast
import importlib.machinery
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from types import ModuleType
from typing import Any, NoReturn

from .job import Absent


class Stub:
    """Anything of an absent package. Attributes, calls and subscripts give further stubs; values are refused."""

    _name: str

    def __init__(self, name: str) -> None:
        self.__dict__["_name"] = name

    def __getattr__(self, name: str) -> Stub:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Stub(f"{self._name}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """A decorated function when it is called with one, else a further stub."""
        if len(args) == 1 and not kwargs and callable(args[0]) and not isinstance(args[0], Stub):
            return Decorated(self._name, args[0])
        return Stub(f"{self._name}()")

    def __getitem__(self, key: Any) -> Stub:
        return self

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        return (type(self._name.rpartition(".")[2], (), {"__init__": refusal(self._name)}),)

    def __enter__(self) -> Stub:
        return self

    def __exit__(self, *args: Any) -> None:
        pass

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> NoReturn:
        refuse(next(stubs([args, kwargs]))._name)


class Decorated(Stub):
    """A function under a decorator of an absent package."""

    def __init__(self, by: str, function: Callable[..., Any]) -> None:
        super().__init__(f"{by} on {getattr(function, '__name__', 'a function')!r}")
        self.__dict__["__wrapped__"] = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refused."""
        refuse(self._name)


def stubs(value: Any) -> Iterator[Stub]:
    """The stubs among arguments, and in lists, tuples and dictionaries among them."""
    if isinstance(value, Stub):
        yield value
    elif isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from stubs(part)


def refuse(name: str) -> NoReturn:
    """Say which package would be needed."""
    raise Absent(f"{name} was used, and the package {name.partition('.')[0]!r} is not installed")


def refusal(name: str) -> Callable[..., NoReturn]:
    """A method that refuses whatever it is called with."""
    return lambda self, *args, **kwargs: refuse(name)


VALUES = (
    "bool", "int", "float", "index", "len", "iter", "next", "contains", "add", "radd", "sub", "rsub", "mul", "rmul",
    "truediv", "rtruediv", "floordiv", "rfloordiv", "mod", "rmod", "pow", "rpow", "neg", "abs", "matmul", "rmatmul",
    "lt", "le", "gt", "ge", "and", "rand", "or", "ror", "xor", "rxor", "lshift", "rshift", "invert", "array",
)  # fmt: skip
for _operation in VALUES:
    setattr(Stub, f"__{_operation}__", lambda self, *args, **kwargs: refuse(self._name))


class StubModule(ModuleType):
    """A module of an absent package."""

    __version__ = "0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Stub(f"{self.__name__}.{name}")


class StubLoader(Loader):
    """Makes stub modules."""

    def create_module(self, spec: Any) -> ModuleType:
        """A stub of that name."""
        module = StubModule(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


class StubFinder(MetaPathFinder):
    """Finds the given packages after every other finder has failed; remembers which were asked for."""

    def __init__(self, packages: frozenset[str]) -> None:
        self.packages = packages
        self.stubbed: list[str] = []

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> Any:
        """A spec for a module of one of the packages."""
        package = fullname.partition(".")[0]
        if package not in self.packages:
            return None
        if package not in self.stubbed:
            self.stubbed.append(package)
        return importlib.machinery.ModuleSpec(fullname, StubLoader(), is_package=True)


def unguarded(source: str) -> frozenset[str]:
    """Packages that a source imports somewhere outside of `try`, and nowhere within it."""
    bare: set[str] = set()
    guarded: set[str] = set()
    for node, inside in imports(ast.parse(source), False):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        (guarded if inside else bare).update(name.partition(".")[0] for name in names)
    return frozenset(bare - guarded - {""})


def imports(node: ast.AST, guarded: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """The import statements below a node, each with whether it stands within a `try` that has handlers."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node, guarded
    for name, value in ast.iter_fields(node):
        within = guarded or (isinstance(node, ast.Try) and name == "body" and bool(node.handlers))
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from imports(child, within)


def install(source: str) -> StubFinder:
    """Stub what the script imports unguarded and nothing else finds."""
    finder = StubFinder(unguarded(source))
    sys.meta_path.append(finder)
    return finder
