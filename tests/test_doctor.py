"""`pgolf doctor`: honest about what is missing, and about how to get it."""

from __future__ import annotations

import shutil
from importlib import metadata

import pytest
from typer.testing import CliRunner

from auditor.cli import app
from auditor.sandbox import Available, Unavailable

REQUIRED = [
    "typer>=0.15",
    "torch>=2.6; extra == 'probe'",
    "flash-attn>=2.7 ; extra == 'gpu'",
    "ruff>=1; extra == 'dev'",
]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Distributions that the doctor finds; a test may change them."""
    found = {"pgolf": "0.1.0", "typer": "0.29.2", "torch": "2.13.0"}

    def version(name: str) -> str:
        if name not in found:
            raise metadata.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "requires", lambda _: REQUIRED)
    monkeypatch.setattr("auditor.doctor.availability", lambda: Available("/usr/bin/bwrap", "0.8.0"))
    return found


def doctor() -> tuple[int, list[list[str]], str]:
    result = CliRunner().invoke(app, ["doctor"])
    return result.exit_code, [line.split() for line in result.stdout.splitlines()], result.stderr


def test_what_is_there_has_its_version_and_what_is_not_has_a_command(installed: dict[str, str]) -> None:
    code, lines, _ = doctor()
    assert code == 0
    assert ["torch", "2.13.0"] in lines
    missing = next(line for line in lines if line[:1] == ["flash-attn"])
    assert missing[1] == "missing"
    assert missing[-4:] == ["-m", "pip", "install", "'flash-attn>=2.7'"]


def test_tools_for_developing_pgolf_are_not_a_users_business(installed: dict[str, str]) -> None:
    assert not [line for line in doctor()[1] if line[:1] == ["ruff"]]


def test_a_missing_requirement_of_the_audit_is_a_failure(installed: dict[str, str]) -> None:
    del installed["typer"]
    assert doctor()[0] == 2


def test_missing_git_is_a_failure(installed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    code, lines, _ = doctor()
    assert code == 2
    assert ["git", "(for", "--mirror)", "missing", "apt-get", "install", "git"] in lines


def test_a_sandbox_that_works_has_its_version(installed: dict[str, str]) -> None:
    assert ["sandbox", "(bubblewrap)", "0.8.0"] in doctor()[1]


def test_a_sandbox_that_does_not_work_has_a_remedy_and_is_no_failure(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = Unavailable("bwrap: setting up uid map: Permission denied", "sudo sysctl -w x=0")
    monkeypatch.setattr("auditor.doctor.availability", lambda: blocked)
    code, lines, _ = doctor()
    assert code == 0
    line = next(line for line in lines if line[:1] == ["sandbox"])
    assert " ".join(line[1:4] + line[-3:]) == "(bubblewrap) missing sudo map: Permission denied)"


def test_gpus_and_torchrun_are_named_or_missing_and_are_no_failure(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditor.doctor.gpus", lambda: ("NVIDIA H100 80GB HBM3",) * 8)
    assert ["GPUs", "8", "x", "NVIDIA", "H100", "80GB", "HBM3"] in doctor()[1]
    assert ["torchrun", "(torch)", "2.13.0"] in doctor()[1]
    monkeypatch.setattr("auditor.doctor.gpus", lambda: ())
    code, lines, _ = doctor()
    assert code == 0
    assert next(line for line in lines if line[:1] == ["GPUs"])[-2:] == ["--emit", "sky"]


def test_an_uninstalled_checkout_is_told_what_to_type(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    code, _, complaint = doctor()
    assert code == 2
    assert "pip install ." in complaint
