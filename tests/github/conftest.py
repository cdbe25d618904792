"""A server, a client on it whose waits take no time, and reviews to post."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from auditor.github.client import Client
from auditor.github.draft import Draft
from auditor.github.retry import Clock
from auditor.review import Annotation, Marker, Review
from auditor.token import Token
from tests.github.fake import GitHub, serving

HEAD = "a" * 40
NEXT = "b" * 40
SECRET = "ghp_0123456789secret"


@dataclass
class Time:
    """A clock that goes only when somebody sleeps."""

    at: float = 1_777_000_000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@pytest.fixture
def hub() -> GitHub:
    hub = GitHub()
    hub.tokens = {SECRET}
    hub.pull(7, HEAD, {"records/track/run/train_gpt.py": b"a = 1\nb = 2\nc = 3\n"})
    return hub


@pytest.fixture
def url(hub: GitHub) -> Iterator[str]:
    with serving(hub) as url:
        yield url


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def client(url: str, time: Time) -> Client:
    return client_at(url, time)


@pytest.fixture
def connect(url: str) -> Callable[[], Client]:
    """A new client each time, as every run of pgolf is one."""
    return lambda: client_at(url, Time())


def client_at(url: str, time: Time) -> Client:
    return Client(Token(SECRET), base_url=url, clock=Clock(lambda: time.at, time.sleep))


def review(text: str = "It obeys.", head: str = HEAD, lines: tuple[int, ...] = ()) -> Review:
    """A review with `text` in it and annotations at `lines`, as `auditor.review.render` would make it."""
    digest = hashlib.sha256(f"{head}{text}{lines}".encode()).hexdigest()[:16]
    path = "records/track/run/train_gpt.py"
    notes = tuple(Annotation(path, line, "failure", "a-rule", f"at {line}") for line in lines)
    return Review("flag: a-rule", f"{Marker(head, digest)}\n\n{text}", digest, f"Summary: {text}", notes)


def draft(text: str = "It obeys.", head: str = HEAD, lines: tuple[int, ...] = (), number: int = 7) -> Draft:
    return Draft("golf/course", number, head, "flag", review(text, head, lines))
