"""Without a working sandbox nothing runs, and the refusal says what to do."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest

from auditor.sandbox import NoSandbox, availability, launch, run

UID_MAP = "bwrap: setting up uid map: Permission denied"


@pytest.fixture
def bwrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for another bubblewrap, the only one that there is; empty at first."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(launch, "availability", availability.__wrapped__)
    return tmp_path / "bwrap"


def refusal(tmp_path: Path) -> str:
    """What is said when a program is to be run that would leave a trace."""
    trace = tmp_path / "trace"
    with pytest.raises(NoSandbox) as refused:
        run([sys.executable, "-c", f"open({str(trace)!r}, 'w')"], workspace=tmp_path)
    assert not trace.exists()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def fake(bwrap: Path, script: str) -> None:
    bwrap.write_text(f"#!/bin/sh\n{script}\n")
    bwrap.chmod(0o755)


def test_without_bubblewrap_it_says_how_to_install_it(bwrap: Path, tmp_path: Path) -> None:
    said = refusal(tmp_path)
    assert said == "no sandbox: bubblewrap is not installed; remedy: sudo apt-get install bubblewrap"


@pytest.mark.parametrize("name, value, free", [(name, *values) for name, values in launch.SWITCHES.items()])
def test_blocked_namespaces_have_their_switch_named(
    bwrap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, free: str
) -> None:
    fake(bwrap, f"echo '{UID_MAP}' >&2; exit 1")
    read = Path.read_text
    settings = {setting: read(path) for setting in launch.SWITCHES if (path := switch(setting)).exists()}
    settings |= dict.fromkeys(launch.SWITCHES, "9") | {name: value}
    by_path = {switch(setting): text for setting, text in settings.items()}
    monkeypatch.setattr(Path, "read_text", lambda self, **_: by_path.get(self) or read(self))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refusal(tmp_path) == f"no sandbox: {UID_MAP}; remedy: sudo sysctl -w {name}={free}"


def switch(name: str) -> Path:
    return Path("/proc/sys", name.replace(".", "/"))


@pytest.mark.parametrize(
    "script, reason",
    [
        ("echo 'bwrap: Unknown option --size' >&2; exit 1", "Unknown option --size"),
        ("exit 0", "it does not start"),
        ("kill -9 $$", "it does not start"),
        ("exec >&- 2>&-; exit 1", "it does not start"),
    ],
)
def test_another_failure_is_told(bwrap: Path, tmp_path: Path, script: str, reason: str) -> None:
    fake(bwrap, script)
    said = refusal(tmp_path)
    assert reason in said
    assert "remedy: " in said


def test_a_bubblewrap_that_is_no_program_is_told(bwrap: Path, tmp_path: Path) -> None:
    bwrap.write_bytes(b"\0")
    bwrap.chmod(0o755)
    assert "cannot be started: Exec format error" in refusal(tmp_path)


def test_other_systems_and_processors_are_refused(bwrap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert "no system call filter for riscv64" in refusal(tmp_path)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "it needs Linux" in refusal(tmp_path)


def test_it_is_tried_once() -> None:
    assert availability() is availability()
