"""The name, version and rule set that every report carries."""

from __future__ import annotations

from functools import cache
from importlib import metadata

NAME = "pgolf"
RULESET = "2026-05-02"
"""The day up to which rulings are taken into account; equal to `ruleset` in `rulings.toml`."""


@cache
def version() -> str:
    """The installed version, or `0+source` when the package runs uninstalled."""
    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return "0+source"
