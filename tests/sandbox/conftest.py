"""Running hostile scripts: skipped, with the reason, where there is no sandbox."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from auditor.sandbox import Limits, Outcome, Unavailable, availability, run

TIGHT = Limits(cpu_s=5, wall_s=8, memory_mb=256, processes=16, file_mb=8, disk_mb=16, files=500, output_bytes=100_000)

Script = Callable[..., Outcome]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Run the text of a Python script in the sandbox, under tight limits that a test may change."""
    found = availability()
    if isinstance(found, Unavailable):
        pytest.skip(f"no sandbox: {found.reason}; {found.remedy}")

    def execute(text: str, *arguments: str, collect: tuple[str, ...] = (), **limits: Any) -> Outcome:
        workspace = tmp_path / "workspace"
        workspace.mkdir(exist_ok=True)
        (workspace / "script.py").write_text(dedent(text))
        command = [sys.executable, "script.py", *arguments]
        return run(command, workspace=workspace, limits=replace(TIGHT, **limits), collect=collect)

    return execute
