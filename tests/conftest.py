"""What every test stands on: fixed seeds, no network, no settings leaking in from the caller's shell."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

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
    """Make any attempt to reach the network a failure that says so."""

    def refuse(self: socket.socket, address: object) -> None:
        raise AssertionError(f"a test tried to connect to {address!r}: tests run without network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket.socket, "connect_ex", refuse)
        yield


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove what would change output between machines: colours, widths, tokens."""
    for name in LEAKS:
        monkeypatch.delenv(name, raising=False)
