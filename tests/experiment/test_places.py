"""Who may import what: the runtime stands alone, the host leaves torch to it, and scripts find their modules."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import auditor
from auditor.experiment.stage import modules_below

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


def test_modules_in_one_folder_below_the_script_are_found() -> None:
    text = "import extras, other\nif True:\n    from twice import f\nfrom beside import g\n"
    files = {"eval/extras.py": b"1", "a/twice.py": b"2", "b/twice.py": b"3", "beside.py": b"4", "eval/beside.py": b"5"}
    assert modules_below(text, files) == {"extras.py": b"1"}
