"""Who may import what: the runtime stands alone, and the host leaves torch to it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import auditor

RUNTIME = sorted((Path(auditor.__file__).parent / "runtime").rglob("*.py"))
MAY = {*sys.stdlib_module_names, "torch", "numpy", "sentencepiece"}


@pytest.mark.parametrize("path", RUNTIME, ids=lambda path: path.stem)
def test_the_runtime_needs_nothing_of_the_auditor(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    named = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    named += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    assert {name.partition(".")[0] for name in named} <= MAY


def test_the_host_leaves_torch_to_the_sandbox() -> None:
    pytest.importorskip("sentencepiece")
    check = "import sys, auditor.experiment.smoke as s; s.toy_data(512, 9, 9); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
