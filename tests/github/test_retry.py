from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from auditor.github.retry import SECONDARY_S, pause

NOW = 1_777_000_000.0


def test_seconds_that_github_asks_for_are_waited() -> None:
    assert pause(403, {"retry-after": "17"}, "", 1, NOW) == 17
    assert pause(429, {"retry-after": "17"}, "", 1, NOW) == 17
    assert pause(503, {"retry-after": "17"}, "", 1, NOW) == 17


def test_a_date_in_retry_after() -> None:
    assert pause(429, {"retry-after": "Fri, 24 Apr 2026 03:07:10 GMT"}, "", 1, NOW) == 30


def test_a_retry_after_that_is_neither_counts_as_none() -> None:
    assert pause(429, {"retry-after": "soon"}, "", 1, NOW) == SECONDARY_S


def test_a_used_up_limit_is_waited_out() -> None:
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 100)}
    assert pause(403, headers, "API rate limit exceeded", 1, NOW) == 101


def test_a_secondary_limit_without_a_header_takes_a_minute_and_then_more() -> None:
    message = "You have exceeded a secondary rate limit"
    assert [pause(403, {}, message, attempt, NOW) for attempt in (1, 2, 3)] == [60, 120, 240]


def test_failures_of_the_server_back_off() -> None:
    assert [pause(502, {}, "", attempt, NOW) for attempt in (1, 2, 3, 4)] == [1, 2, 4, 8]


def test_what_would_be_refused_again_is_not_tried_again() -> None:
    for status in (400, 401, 403, 404, 409, 410, 422):
        assert pause(status, {}, "Resource not accessible by integration", 1, NOW) is None


@given(
    st.integers(400, 599),
    st.dictionaries(
        st.sampled_from(["retry-after", "x-ratelimit-remaining", "x-ratelimit-reset"]), st.text(max_size=12)
    ),
    st.text(max_size=30),
    st.integers(1, 6),
)
def test_any_answer_gives_a_wait_or_none(status: int, headers: dict[str, str], message: str, attempt: int) -> None:
    wait = pause(status, headers, message, attempt, NOW)
    assert wait is None or wait >= 0
