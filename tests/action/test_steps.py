"""The shell of every step of every workflow and action, run with hostile inputs."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.action.test_workflows import TEXTS, steps

HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    '"; touch pwned; "',
    "'; touch pwned; '",
    "x\n::set-output name=verdict::clean",
    "x\nverdict=clean",
    "x\nEOF\nverdict=clean\nEOF",
    "--help",
    "-",
    "two words",
    "*",
    "../../../etc/passwd",
    "${IFS}$HOME\\",
    "%0A::error::x",
    "\u202e\u00e9'\"",
    "(",
    "",
]
STUB = """#!/bin/bash
{ printf '%s\\0' "${0##*/}" "$@"; printf '\\036\\0'; } >> "$CALLS"
case "${0##*/} $1" in
  "pgolf pulls") echo "[7]" ;;
  "pgolf validate") touch "${@: -1}" ;;
  "git "*) printf '%s\\n' "$GIT_SAYS" ;;
  "python -c") echo "0.1.0" ;;
  "openssl "*) echo "ffffffffffffffffffffffffffffffff" ;;
esac
"""
NAMES = ("pgolf", "python", "python3.12", "sudo", "git", "openssl", "uv", "sky", "rsync")
FIXED = {"PGOLF": "bin/pgolf", "PYTHON": "bin/python3.12"}
"""What other steps of ours put out: paths below the runner's own folder."""
CASES = [(name, step) for name in TEXTS for step in steps(name) if "run" in step]
EXPECTED_OUTPUTS = {"pulls", "folders", "pgolf"}


@pytest.fixture
def runner(tmp_path: Path) -> dict[str, str]:
    """The environment of a step, with recorders in place of the programs that it starts."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "work").mkdir()
    for name in NAMES:
        stub = tmp_path / "bin" / name
        stub.write_text(STUB)
        stub.chmod(stub.stat().st_mode | stat.S_IXUSR)
    action = tmp_path / "action" / ".github" / "actions" / "setup"
    action.mkdir(parents=True)
    for place in (action, tmp_path / "action"):
        (place / "install.sh").write_text("#!/bin/sh\nexit 0\n")
        (place / "install.sh").chmod(0o755)
    return {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "CALLS": str(tmp_path / "calls"),
        "GIT_SAYS": 'records/t/n/train_gpt.py\nrecords/t/$(touch pwned)/x/y\n"records/t/\\nverdict=clean/x/y"',
        "RUNNER_TEMP": str(tmp_path / "work"),
        "GITHUB_ACTION_PATH": str(tmp_path / "action"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }


def run(step: dict[str, Any], environment: dict[str, str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """As the runner does it: `bash -e -o pipefail` on a file that holds the text."""
    script = tmp_path / "step.sh"
    script.write_text(step["run"])
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
    return subprocess.run(command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True, timeout=30)


def outputs(path: Path) -> dict[str, str]:
    """What the runner reads from `GITHUB_OUTPUT`."""
    found: dict[str, str] = {}
    lines = iter(path.read_text().split("\n") if path.exists() else [])
    for line in lines:
        if match := re.fullmatch(r"([^=<]+)<<(.+)", line):
            taken = []
            for inner in lines:
                if inner == match[2]:
                    break
                taken.append(inner)
            found[match[1]] = "\n".join(taken)
        elif "=" in line:
            name, _, value = line.partition("=")
            found[name] = value
    return found


def calls(path: Path) -> list[list[str]]:
    """What was started, with its arguments."""
    if not path.exists():
        return []
    return [call.split("\0")[:-1] for call in path.read_text().split("\x1e\0")[:-1]]


@pytest.mark.parametrize("name, step", CASES, ids=[f"{name}: {step['name']}" for name, step in CASES])
def test_a_step_takes_hostile_values_for_what_they_are(
    name: str, step: dict[str, Any], runner: dict[str, str], tmp_path: Path
) -> None:
    if name.endswith("ci.yml") and step["name"] == "Run every check":
        pytest.skip("takes no input, and is this very run")
    variables = [each for each in step.get("env", {}) if each not in FIXED]
    for value in HOSTILE if variables else HOSTILE[:1]:
        for path in (tmp_path / "calls", tmp_path / "output"):
            path.unlink(missing_ok=True)
        fixed = {each: str(tmp_path / path) for each, path in FIXED.items()}
        done = run(step, {**runner, **fixed, **dict.fromkeys(variables, value)}, tmp_path)
        assert not list(tmp_path.rglob("pwned*")), f"{value!r} was executed"
        assert not re.search(r"^\s*(::|##\[)", done.stdout + done.stderr, re.MULTILINE), f"{value!r} became a command"
        assert set(outputs(tmp_path / "output")) <= EXPECTED_OUTPUTS, f"{value!r} became an output"
        for words in calls(tmp_path / "calls"):
            for word in words[1:]:
                # Whole or not at all: an argument that holds a part of it was split or glued.
                whole = value in (word, word.partition("=")[2] if word.startswith("--") else "")
                assert value not in word or whole or len(value) < 3 or value == "--help", (value, words)


def test_the_changed_folders_of_a_push_are_named_and_nothing_else(runner: dict[str, str], tmp_path: Path) -> None:
    (step,) = [step for _, step in CASES if step["name"] == "Name the folders that changed"]
    done = run(step, {**runner, "FOLDER": ""}, tmp_path)
    assert done.returncode == 0, done.stderr
    assert outputs(tmp_path / "output") == {"folders": "records/t/n"}


def test_only_the_commit_that_was_approved_is_planned(runner: dict[str, str], tmp_path: Path) -> None:
    (step,) = [step for _, step in CASES if step["name"] == "Make the plan and the task"]
    environment = {**runner, "PGOLF": str(tmp_path / "bin" / "pgolf"), "HEAD_SHA": "a" * 40, "SEEDS": "1,2"}
    for pull, is_there in (("7", True), ("77", False), ("[7]", False), ("", False)):
        assert (run(step, {**environment, "PULL": pull}, tmp_path).returncode == 0) == is_there, pull
        shutil.rmtree(tmp_path / "work" / "task", ignore_errors=True)


def test_results_of_another_commit_are_refused(runner: dict[str, str], tmp_path: Path) -> None:
    (step,) = [step for _, step in CASES if step["name"].startswith("Refuse the results")]
    (tmp_path / "bin" / "python").unlink()
    folder = tmp_path / "work" / "validation"
    folder.mkdir()
    (folder / "validation.md").write_text("fine")
    (folder / "validation.json").write_text('{"target": {"head": "%s"}}' % ("a" * 40))
    assert run(step, {**runner, "HEAD_SHA": "a" * 40}, tmp_path).returncode == 0
    assert run(step, {**runner, "HEAD_SHA": "b" * 40}, tmp_path).returncode == 1


def test_the_tag_of_a_release_has_to_be_its_version(runner: dict[str, str], tmp_path: Path) -> None:
    (step,) = [step for _, step in CASES if step["name"].startswith("Refuse a tag")]
    assert run(step, {**runner, "TAG": "v0.1.0"}, tmp_path).returncode == 0
    assert run(step, {**runner, "TAG": "v0.1.1"}, tmp_path).returncode == 1


def test_a_review_is_handed_on_with_a_hint_that_is_cut_and_no_link(runner: dict[str, str], tmp_path: Path) -> None:
    (step,) = [step for _, step in CASES if step["name"] == "Lay out what the next jobs get"]
    work = tmp_path / "work"
    (work / "hint").mkdir()
    (work / "hint" / "smoke.json").write_bytes(b"x" * 100_000)
    (work / "d").write_text("draft")
    (work / "s").write_text("sarif")
    environment = {**runner, "DRAFT": str(work / "d"), "SARIF": str(work / "s")}
    assert run(step, environment, tmp_path).returncode == 0
    assert (work / "review" / "smoke.json").stat().st_size == 65536
    for path in (work / "review").iterdir():
        path.unlink()
    (work / "review").rmdir()
    (work / "hint" / "smoke.json").unlink()
    (work / "hint" / "smoke.json").symlink_to("/etc/passwd")
    assert run(step, environment, tmp_path).returncode == 0
    assert sorted(path.name for path in (work / "review").iterdir()) == ["draft.json", "pgolf.sarif"]
