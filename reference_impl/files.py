"""Files that are written whole, or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file; a kill at any moment leaves what was there, or the new one."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def write_json(path: Path, value: object) -> None:
    """Write a value whole, as readable JSON."""
    write_whole(path, (json.dumps(value, indent=1) + "\n").encode())
