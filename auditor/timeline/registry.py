"""Models of library functions and methods, by name; `models`, `copies`, `numerics` and `methods` fill the tables."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from auditor.timeline.values import (
    Val,
)

Args = list[Val]
Kwargs = dict[str, Val]


Handler = Callable[[Any, Args, Kwargs, ast.AST, str], Val | None]
"""(interpreter, arguments, keyword arguments, call, dotted path) -> value; None: no opinion, treat as unknown."""
Method = Callable[[Any, Val, Args, Kwargs, ast.AST], Val | None]
"""(interpreter, receiver, arguments, keyword arguments, call) -> value; None: no opinion."""
PATHS: dict[str, Handler] = {}
"""By full dotted path."""
FUNCTIONS: dict[str, Handler] = {}
"""By the last part of the path."""
METHODS: dict[str, Method] = {}
