"""What an untrusted job says of a smoke test: read as a stranger's word, and told as one.

The job runs the pull request's own workflow file, so anything may be in it. Only a status and small whole numbers are
taken from it; every word is ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MAX_BYTES = 1 << 16
_STATUS = {"pass": "passes", "fail": "fails", "skipped": "was skipped"}
_NUMBERS = ("dim", "layers", "vocab", "params")
_NONE = "The pull request's own job left no hint that can be read."


def sentence(path: Path) -> str:
    """One sentence of Markdown on the smoke test, as `pgolf smoke --format json` reported it there."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            return _NONE
        data = json.loads(content)
        status = _STATUS[data["status"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return _NONE
    shown = [f"{name}={value:,}" for name in _NUMBERS if (value := _whole(data.get(name))) is not None]
    numbers = f" ({', '.join(shown)})" if shown else ""
    return f"A hint that nobody has verified, from the pull request's own job: the smoke test {status}{numbers}."


def _whole(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 10**12 else None
