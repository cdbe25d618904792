"""What an untrusted job says of its smoke test and its probe: read as a stranger's word, and told as one.

The job runs the pull request's own workflow file, so anything may be in it. Only a status, the answers on C1 to C4 and
small whole numbers are taken from it; every word is ours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MAX_BYTES = 1 << 16
_STATUS = {"pass": "passes", "fail": "fails", "skipped": "was skipped"}
_NUMBERS = ("dim", "layers", "vocab", "params")
_CONDITIONS = ("C1", "C2", "C3", "C4")
_ANSWERS = {
    "violated": "violated",
    "not-refuted": "not refuted",
    "inconclusive": "inconclusive",
    "could-not-run": "not tried",
}


def sentence(paths: Sequence[Path]) -> str:
    """One sentence of Markdown on what `pgolf smoke` and `pgolf probe`, with `--format json`, reported there."""
    told = [one for path in paths if (one := _told(path)) is not None]
    if not told:
        return "The pull request's own job left no hint that can be read."
    return f"A hint that nobody has verified, from the pull request's own job: {'; '.join(told)}."


def _told(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            return None
        data = json.loads(content)
        return _probe(data["conditions"]) if "conditions" in data else _smoke(data)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _smoke(data: Any) -> str:
    status = _STATUS[data["status"]]
    shown = [f"{name}={value:,}" for name in _NUMBERS if (value := _whole(data.get(name))) is not None]
    numbers = f" ({', '.join(shown)})" if shown else ""
    return f"the smoke test {status}{numbers}"


def _probe(conditions: Any) -> str:
    return "its probe: " + ", ".join(f"{name} {_ANSWERS[conditions[name]['answer']]}" for name in _CONDITIONS)


def _whole(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 10**12 else None
