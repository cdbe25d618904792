"""Activations of functions, and what is saved at branches and loops."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from auditor.timeline.events import (
    Loop,
)
from auditor.timeline.values import (
    Carried,
    Obj,
    Region,
    Taint,
    Val,
)

Carrieds = frozenset[Carried]

NO_UPDATES: Carrieds = frozenset()


class BudgetSpent(Exception):
    """The script needs more analysis than the budget allows; the verdict is `hold`."""


class Impure(Exception):
    """A call that is being summarised does what a summary cannot repeat; nothing has been changed by it yet."""

    def __init__(self, born: int) -> None:
        super().__init__()
        self.born = born
        """Calls that began after this many objects were made are not pure."""


class Frame:
    """One activation of a function, class body or module."""

    __slots__ = (
        "vars",
        "parent",
        "globals",
        "node",
        "name",
        "line",
        "ctx",
        "caller",
        "call",
        "returned",
        "yields",
        "nonlocals",
        "owner",
        "file",
        "loop_base",
    )

    def __init__(self, name: str, node: Any, parent: Frame | None, globals_: Frame | None, ctx: int) -> None:
        self.vars: dict[str, Val] = {}
        self.parent = parent
        self.globals: Frame = globals_ or self
        self.node = node
        self.name = name
        self.line = getattr(node, "lineno", 1)
        self.ctx = ctx
        self.caller: Frame | None = None
        self.call: Any = None
        """The node of the call, in the frame of the caller."""
        self.returned: Val | None = None
        self.yields: Val | None = None
        self.nonlocals: frozenset[str] = frozenset()
        self.owner: Obj | None = None
        self.file: str = parent.file if parent is not None else ""
        self.loop_base = 0
        """How many loops lie around the call."""

    @property
    def call_line(self) -> int:
        """Line of the call that made this activation."""
        return getattr(self.call, "lineno", 0)

    @property
    def chain(self) -> list[Frame]:
        """The activations that lead here, outermost first, this one last."""
        frames, frame = [self], self.caller
        while frame is not None:
            frames.append(frame)
            frame = frame.caller
        return frames[::-1]


class Scoring(NamedTuple):
    """A score inside a summarised function, with markers: what every call of the function repeats."""

    mark: int
    """The negative number that stands for the score and for what it depends on."""
    frames: tuple[Frame, ...]
    """Activations between the call and the score."""
    node: ast.AST
    logits: Taint
    target: Taint


@dataclass
class Marking:
    """The call that is being summarised."""

    depth: int
    """Activations around the call."""
    loops: int
    """Loops around the call."""
    births: int
    """Objects made before the call."""
    scores: list[Scoring] = field(default_factory=list)
    asked: dict[Obj, None] = field(default_factory=dict)
    """Objects made before the call, of which it was asked which updates have reached them."""

    def ask(self, objects: Iterable[Obj]) -> None:
        """The result depends on the updates of these objects."""
        for obj in objects:
            if obj.born <= self.births:
                self.asked[obj] = None


@dataclass
class Suspended:
    """The dynamic context of the machine: what is as it was when a call returns. Its fields are those of `Machine`."""

    frame: Frame
    dead: bool
    states: dict[Obj, Carrieds]
    pending: frozenset[int]
    held: frozenset[tuple[object, ...]]
    control: tuple[tuple[int, int], ...]
    loops: list[LoopContext]
    active: int
    weak: int
    unsure: int
    depth: int
    first_iteration: int
    in_training: int
    given: frozenset[Region]
    choosing: int
    gate: Taint
    keeping: bool
    rewritten: tuple[Any, ...]
    stack: list[Any]
    oldest_write: int
    score_depth: int
    marking: Marking | None


@dataclass
class Snapshot:
    """The flow-sensitive part of the state, saved at a branch."""

    vars: dict[str, Val]
    states: dict[Obj, Carrieds]
    pending: frozenset[int]


@dataclass
class LoopContext:
    """A loop being interpreted."""

    loop: Loop
    births: int
    """Objects made before this iteration began."""
    breaks: list[Snapshot] = field(default_factory=list)
    continues: list[Snapshot] = field(default_factory=list)
