"""The two halves of the repository know nothing of each other, and the command line needs no torch to start."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def importers(package, of):
    """Files of a package that import one of the packages `of`."""
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] in of for name in names):
                found.add(path.relative_to(ROOT).as_posix())
    return found


def test_only_the_command_line_joins_them():
    assert importers("reference_impl", {"auditor", "rules"}) == set()
    assert importers("auditor", {"reference_impl"}) | importers("rules", {"reference_impl"}) == {
        "auditor/cli/__init__.py"
    }


def test_the_command_line_starts_without_torch():
    code = "import sys, auditor.cli; print(sorted({'torch', 'numpy', 'sentencepiece'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
