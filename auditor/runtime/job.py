"""What is to be run, and the result that is written in the end: plain JSON both ways.

The host writes `job.json` (`auditor.experiment.stage.Job`), the child reads it here and writes `result.json`:

    {"ended": "returned" | "stopped" | "raised" | "exited",   how the run came to its end
     "fault": null | "script" | "environment" | "runtime",    whose fault a "raised" is
     "reason": null | "one line",
     "import_s": 0.04,                                        seconds of the module body, torch imported before
     "taps": {name: what that tap measured}}

There is no result when the process was killed or ran out of time; the sandbox then says so.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

RESULT_BYTES = 8 << 20
"""A longer result is refused on both sides."""

Fault = Literal["script", "environment", "runtime"]
Ended = Literal["returned", "stopped", "raised", "exited"]


@dataclass(frozen=True)
class Job:
    """One run of one script.

    `entry` is "main" for the whole program or "import" for the module body without its `__main__` part. `taps` names
    modules of `taps`, each with its options. Paths are those that the sandbox shows.
    """

    script: str
    result: str
    data: str
    argv: tuple[str, ...] = ()
    entry: Literal["main", "import"] = "main"
    taps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seed: int = 0
    liven: float = 0.0
    """Standard deviation of the noise that replaces weights of zero; 0 leaves them."""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    """Seconds after which the run ends and says where it is; 0 is no limit."""


class RuntimeLimit(RuntimeError):
    """The script asked for something that this runtime does not do: neither its fault nor that of the machine."""


class Absent(ImportError):
    """The script really used a package that is not installed here."""


def read_job(path: str) -> Job:
    """Read a job that the host wrote; raises `TypeError` on unknown fields."""
    with open(path, encoding="utf-8") as file:
        fields = json.load(file)
    return Job(**{**fields, "argv": tuple(fields.get("argv", ()))})


def finite(value: Any) -> Any:
    """The same data with null for every number that is none, which JSON cannot say."""
    if isinstance(value, Mapping):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_result(path: str, result: Mapping[str, Any]) -> None:
    """Write the result, all of it or nothing; one that is too long becomes a fault of the runtime."""
    result = finite(result)
    text = json.dumps(result, allow_nan=False)
    if len(text) > RESULT_BYTES:
        kept = {**result, "taps": {}, "ended": "raised", "fault": "runtime"}
        text = json.dumps({**kept, "reason": f"the result has {len(text):,} bytes; {RESULT_BYTES:,} are allowed"})
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".part", path)
