"""What one audit leaves to the next: pull requests often repeat one another's scripts, and even their settings."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memory:
    """Results by all that they are made from. Nothing is forgotten: whoever keeps a memory bounds its life."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, or gave for the same key before; `key` names the kind of result as well."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made
