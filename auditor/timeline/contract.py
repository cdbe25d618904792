"""The floor plan of the interpreter: what its parts ask of each other, and where each answer lives."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from auditor.timeline.values import (
    Obj,
    Taint,
    Val,
)


class Evaluator(ABC):
    """Operations that every part may use; the concrete interpreter has them all."""

    __slots__ = ()

    @abstractmethod
    def ev(self, node: ast.AST) -> Val:
        """Value of an expression (`expressions`)."""

    @abstractmethod
    def run(self, body: Sequence[ast.stmt]) -> None:
        """Execute a block (`statements`)."""

    @abstractmethod
    def assign(self, target: ast.AST, value: Val) -> None:
        """`target = value` (`objects`)."""

    @abstractmethod
    def assign_name(self, name: str, value: Val) -> None:
        """`name = value` (`objects`)."""

    @abstractmethod
    def attribute(self, base: Val, name: str, node: ast.AST) -> Val:
        """`base.name` for reading (`objects`)."""

    @abstractmethod
    def iterate(self, v: Val, node: ast.AST, loops: int) -> Val:
        """One element of an iterable (`objects`)."""

    @abstractmethod
    def literal_elements(self, v: Val) -> list[Val] | None:
        """Elements that are known apart (`objects`)."""

    @abstractmethod
    def note_applied(self, number: int, node: ast.AST, base: Val) -> None:
        """An update takes effect (`objects`)."""

    @abstractmethod
    def load_state(self, base: Val, state: Val, node: ast.AST) -> None:
        """Weights become what a snapshot holds (`modules`)."""

    @abstractmethod
    def lib_object(self, path: str) -> Obj:
        """A name of a library (`expressions`)."""

    @abstractmethod
    def lookup(self, name: str) -> Val | None:
        """Value of a name (`expressions`)."""

    @abstractmethod
    def class_attribute(self, cls: Obj, name: str) -> Val | None:
        """Attribute of a class or its bases (`objects`)."""

    @abstractmethod
    def bind(self, fn: Val, self_val: Val) -> Val:
        """A method bound to its receiver (`objects`)."""

    @abstractmethod
    def path_taint(self, text: Any) -> Taint:
        """What a path says of a file (`files`)."""

    @abstractmethod
    def read_env(self, key: Val, default: Val | None, node: ast.AST) -> Val:
        """A setting (`files`)."""

    @abstractmethod
    def write_env(self, key: Val, value: Val, node: ast.AST, override: bool) -> None:
        """Set a setting (`files`)."""

    @abstractmethod
    def call(self, node: ast.Call) -> Val:
        """A call expression (`calls`)."""

    @abstractmethod
    def call_value(self, fn: Val, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """Call whatever a value may be (`calls`)."""

    @abstractmethod
    def call_method(self, base: Val, name: str, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """`base.name(...)` (`calls`)."""

    @abstractmethod
    def method_value(self, base: Val, name: str, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """What a method of a library type returns (`receivers`)."""

    @abstractmethod
    def call_function(self, fn: Obj, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """Call a function of the script (`summaries`)."""

    @abstractmethod
    def enter_function(self, fn: Obj, definition: Any, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """Interpret a body in a frame of its own (`calls`)."""

    @abstractmethod
    def run_hooks(self, obj: Obj, args: list[Val], result: Val, node: ast.AST) -> None:
        """Forward hooks of a module (`modules`)."""

    @abstractmethod
    def import_module(self, name: str, node: ast.AST) -> Val | None:
        """A sibling module; None for libraries (`interpreter`)."""

    @abstractmethod
    def is_package(self, name: str) -> bool:
        """Whether a sibling module is a package (`interpreter`)."""

    @abstractmethod
    def define_class(self, node: ast.ClassDef) -> None:
        """A class statement (`classes`)."""

    @abstractmethod
    def instantiate(self, cls: Obj, args: list[Val], kwargs: dict[str, Val], node: ast.AST) -> Val:
        """`Cls(...)` (`classes`)."""

    @abstractmethod
    def through_module(self, obj: Obj, value: Val) -> Val:
        """What a module computes depends on its updates (`modules`)."""
