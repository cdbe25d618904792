"""The effective configuration: every layer that sets a value, and which one won.

script defaults (the interpreter meets them as it runs) < run command in the README < what the logs print < `--env`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from auditor.submission.logs import of_one_run
from auditor.submission.model import Submission

Settings = dict[str, tuple[str, str]]
"""Name -> (value, source)."""

_QUOTED_NAME = re.compile(r"""["']([A-Z][A-Z0-9_]{1,60})["']""")
_ATTRIBUTE = re.compile(r"^[ \t]{4,}([a-z][a-z0-9_]{2,60})\s*(?::[^=\n]+)?=\s*[^=]", re.MULTILINE)

_PROCESS = ("WORLD_SIZE", "RANK", "LOCAL_RANK")
"""What the launcher gives each process; a log is the first one's, and another `rank` in it is no process."""


def settings(submission: Submission, code: str, overrides: Mapping[str, str]) -> Settings:
    """The layers above the script's defaults, merged; `code` tells which names the script knows."""
    known = set(_QUOTED_NAME.findall(code)) | {name.upper() for name in _ATTRIBUTE.findall(code)}
    merged: Settings = {}
    command = submission.command
    if command.nproc is not None:
        merged["WORLD_SIZE"] = (str(command.nproc), "command")
    for name, value in command.env.items():
        merged[name] = (value, "command")
    for log in reversed(of_one_run(submission.logs)):
        for name, value in log.config.items():
            upper = name.upper()
            if upper in known and upper not in _PROCESS:
                merged[upper] = (_plain(value), f"log:{log.path.rpartition('/')[2]}")
            elif upper == "WORLD_SIZE" and value.isdigit():
                merged[upper] = (value, f"log:{log.path.rpartition('/')[2]}")
    for name, value in overrides.items():
        merged[name] = (value, "--env")
    return merged


def _plain(value: str) -> str:
    """A printed value as it would be set: `True` is 1."""
    text = value.strip().strip("'\"")
    return {"True": "1", "False": "0", "None": "", "enabled": "1", "disabled": "0"}.get(text, text)
