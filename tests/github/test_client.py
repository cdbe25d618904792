"""Requests against the fake: what is made again, what is not, and what is never seen of the token."""

from __future__ import annotations

import logging
import traceback

import pytest

from auditor.github import client as module
from auditor.github.client import Client, Refused, Unclear
from auditor.token import Token
from auditor.verdict import PgolfError, Unreachable
from tests.github.conftest import SECRET, Time, client_at
from tests.github.fake import Fault, GitHub

PULL = "/repos/golf/course/pulls/7"
COMMENTS = "/repos/golf/course/issues/7/comments"


@pytest.mark.parametrize(
    ("fault", "slept"),
    [
        (Fault(status=500), [1.0]),
        (Fault(status=502, headers={"Retry-After": "9"}), [9.0]),
        (Fault(status=403, headers={"Retry-After": "30"}), [30.0]),
        (Fault(status=429, headers={"Retry-After": "40"}), [40.0]),
        (Fault(status=429), [60.0]),
        (Fault(status=403, body={"message": "You have exceeded a secondary rate limit"}), [60.0]),
        (Fault(cut=True, done=True), [1.0]),
    ],
    ids=["500", "502", "403", "429", "429-bare", "secondary", "cut"],
)
def test_reading_is_repeated_after_the_wait_that_is_asked_for(
    hub: GitHub, client: Client, time: Time, fault: Fault, slept: list[float]
) -> None:
    hub.faults = [fault]
    assert client.get(PULL).data["number"] == 7
    assert time.slept == slept


def test_an_answer_that_does_not_come_is_not_waited_for(hub: GitHub, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 1)
    hub.faults = [Fault(hang_s=1.3)]
    assert client_at(url, Time()).get(PULL).data["number"] == 7


def test_it_gives_up_in_the_end_and_says_so(hub: GitHub, client: Client, time: Time) -> None:
    hub.faults = [Fault(status=503) for _ in range(6)]
    with pytest.raises(Unreachable, match="try again later"):
        client.get(PULL)
    assert time.slept == [1, 2, 4, 8, 16]


def test_too_long_a_wait_is_not_waited(hub: GitHub, client: Client, time: Time) -> None:
    hub.faults = [Fault(status=429, headers={"Retry-After": "3600"})]
    with pytest.raises(Unreachable, match="60 minutes"):
        client.get(PULL)
    assert time.slept == []


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(status=502, done=True), Fault(cut=True, done=True)])
def test_a_post_of_unknown_fate_is_not_repeated(hub: GitHub, client: Client, fault: Fault) -> None:
    hub.faults = [fault]
    with pytest.raises(Unclear):
        client.create(COMMENTS, {"body": "x"})
    assert len(hub.writes()) == 1


def test_a_post_that_a_limit_kept_out_is_repeated(hub: GitHub, client: Client) -> None:
    hub.faults = [Fault(status=403, headers={"Retry-After": "5"})]
    client.create(COMMENTS, {"body": "x"})
    assert len(hub.comments) == 1


def test_writes_are_a_second_apart(hub: GitHub, client: Client, time: Time) -> None:
    for _ in range(3):
        client.create(COMMENTS, {"body": "x"})
        client.get(PULL)
    assert time.slept == [1.0, 1.0]


def test_what_is_refused_is_said_with_the_way_out(hub: GitHub, client: Client) -> None:
    hub.faults = [Fault(status=403, body={"message": "Resource not accessible by integration"})]
    with pytest.raises(Refused, match=r"POST .*comments.*not accessible.*docs/bot\.md"):
        client.create(COMMENTS, {"body": "x"})
    with pytest.raises(Refused) as caught:
        client.get("/repos/golf/course/pulls/99")
    assert caught.value.status == 404


@pytest.mark.parametrize("place", ["http://example.invalid/repos", "https://127.0.0.1/repos"])
def test_the_token_is_not_carried_to_another_server(hub: GitHub, client: Client, place: str) -> None:
    hub.faults = [Fault(status=301, headers={"Location": place})]
    with pytest.raises(Refused, match="another server"):
        client.get(PULL)
    assert len(hub.seen) == 1


def test_a_repository_that_was_renamed_is_found(hub: GitHub, client: Client, url: str) -> None:
    hub.faults = [Fault(status=301, headers={"Location": f"{url}/repos/golf/new/pulls/7"})]
    assert client.get(PULL).data["number"] == 7


def test_what_is_gone_already_is_deleted(client: Client) -> None:
    client.delete("/repos/golf/course/issues/comments/1")


def test_an_unchanged_page_is_not_sent_again(client: Client) -> None:
    first = client.get(PULL)
    again = client.get(PULL, etag=first.headers["etag"])
    assert (again.status, again.data) == (304, None)


def test_a_list_without_end_is_an_error(hub: GitHub, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAGES", 2)
    hub.files[7] = hub.files[7] * 200
    with pytest.raises(PgolfError, match="more than 200 items"):
        client.pages(PULL + "/files")


FAULTS = [
    [Fault(status=401, body={"message": "Bad credentials"})],
    [Fault(status=403, body={"message": "no"})],
    [Fault(status=404)],
    [Fault(status=422, body={"message": "Validation Failed"})],
    [Fault(status=500) for _ in range(6)],
    [Fault(cut=True) for _ in range(6)],
    [Fault(status=301, headers={"Location": "http://example.invalid/"})],
    [Fault(status=200, body={"message": SECRET[:3]})],
]


@pytest.mark.parametrize("faults", FAULTS, ids=["401", "403", "404", "422", "500", "cut", "moved", "fine"])
def test_the_token_is_in_no_message_log_or_traceback(
    hub: GitHub, url: str, faults: list[Fault], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    client = client_at(url, Time())
    hub.faults = list(faults)
    told = repr(client) + repr(vars(client))
    try:
        client.create(COMMENTS, {"body": "x"})
    except Exception as error:
        while error is not None:
            told += repr(error) + "".join(traceback.format_exception(error))
            error = error.__cause__ or error.__context__  # type: ignore[assignment]
    out = capfd.readouterr()
    assert SECRET not in told + caplog.text + out.out + out.err
    assert hub.seen[0].headers["authorization"].endswith(SECRET)


def test_nobody_reads_without_a_token(hub: GitHub, url: str) -> None:
    hub.tokens = set()
    assert Client(None, base_url=url).get(PULL).data["number"] == 7
    assert "authorization" not in hub.seen[0].headers


def test_the_address_of_the_api_may_come_from_the_environment(
    hub: GitHub, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_API_URL", url)
    assert Client(Token(SECRET)).get(PULL).data["number"] == 7
