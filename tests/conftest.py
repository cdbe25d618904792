"""What every test stands on: fixed seeds, no network, no settings leaking in from the caller's shell."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.forge import Forge

settings.register_profile(
    "fixed",
    derandomize=True,
    deadline=None,  # a shared machine is slow now and then; slowness is the benchmarks' business
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fixed")

LEAKS = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "COLUMNS", "LINES", "GITHUB_TOKEN", "GH_TOKEN", "PGOLF_DEBUG")


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Make any attempt to reach the network, but for this machine itself, a failure that says so."""
    connect = socket.socket.connect

    def local(self: socket.socket, address: tuple[str, int]) -> None:
        if address[0] != "127.0.0.1":
            refuse(self, address)
        connect(self, address)

    def refuse(self: socket.socket, address: object) -> None:
        raise AssertionError(f"a test tried to connect to {address!r}: tests run without network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", local)
        patch.setattr(socket.socket, "connect_ex", refuse)
        yield


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Remove what would change output between machines: colours, widths, tokens, results of earlier runs."""
    for name in LEAKS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path / "mirror.git")
