"""Activations of functions, and what is saved at branches and loops."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from auditor.timeline.events import (
    Loop,
)
from auditor.timeline.values import (
    Carried,
    Obj,
    Val,
)

Carrieds = frozenset[Carried]

NO_UPDATES: Carrieds = frozenset()


class BudgetSpent(Exception):
    """The script needs more analysis than the budget allows; the verdict is `hold`."""


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
        "call_line",
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
        self.call_line = 0
        self.returned: Val | None = None
        self.yields: Val | None = None
        self.nonlocals: frozenset[str] = frozenset()
        self.owner: Obj | None = None
        self.file: str = parent.file if parent is not None else ""
        self.loop_base = 0
        """How many loops lie around the call."""


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
    breaks: list[Snapshot] = field(default_factory=list)
    continues: list[Snapshot] = field(default_factory=list)
