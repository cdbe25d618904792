"""The published JSON schema of `pgolf.report/1` (draft 2020-12): `pgolf schema`."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def schema_text() -> str:
    """The schema as it is shipped, byte for byte."""
    return resources.files("auditor.report").joinpath("report.schema.json").read_text(encoding="utf-8")


def schema() -> dict[str, Any]:
    """The schema as data."""
    loaded: dict[str, Any] = json.loads(schema_text())
    return loaded
