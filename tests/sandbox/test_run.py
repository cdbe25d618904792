"""What an honest program finds in the sandbox, and how its end is told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from auditor.sandbox import Status

from .conftest import Script


def test_a_program_that_ends_well_is_ok(script: Script) -> None:
    outcome = script("import sys; print('out'); print('err', file=sys.stderr)")
    assert (outcome.status, outcome.exit_code, outcome.reason) == (Status.OK, 0, None)
    assert (outcome.stdout, outcome.stderr, outcome.truncated) == ("out\n", "err\n", False)
    assert 0 < outcome.cpu_s < 5
    assert 0 < outcome.wall_s < 8
    assert 4 < outcome.max_rss_mb < 256


def test_another_exit_code_is_a_runtime_error(script: Script) -> None:
    outcome = script("raise SystemExit(139)")
    assert (outcome.status, outcome.exit_code, outcome.signal) == (Status.RE, 139, None)


def test_a_crash_is_a_signal(script: Script) -> None:
    outcome = script("import ctypes; ctypes.string_at(0)")
    assert (outcome.status, outcome.exit_code, outcome.signal) == (Status.SG, None, 11)


def test_files_are_collected_and_nothing_is_written_back(script: Script, tmp_path: Path) -> None:
    outcome = script("open('made', 'w').write('x'); open('script.py', 'w').write('')", collect=("made", "absent"))
    assert outcome.files == {"made": b"x"}
    assert list(outcome.refused) == ["absent"]
    assert os.listdir(tmp_path / "workspace") == ["script.py"]
    assert (tmp_path / "workspace" / "script.py").read_text() != ""


def test_a_program_that_is_not_there_is_not_the_programs_fault(tmp_path: Path, script: Script) -> None:
    from auditor.sandbox import run

    outcome = run(["/no/such"], workspace=tmp_path)
    assert outcome.status is Status.XX
    assert "/no/such" in (outcome.reason or "")


def test_the_environment_is_the_one_that_is_given(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "1")
    monkeypatch.setenv("LD_PRELOAD", "/nowhere.so")
    outcome = script("import json, os; print(json.dumps(dict(os.environ)))")
    assert set(json.loads(outcome.stdout)) <= {"PATH", "HOME", "TMPDIR", "LANG", "USER", "LC_CTYPE"}
