"""How long to wait before a request is made again, or that it is not worth it.

After GitHub's "Best practices for using the REST API" and "Rate limits for the REST API": one write a second, one
request at a time, honour `Retry-After`, wait for the reset of a used-up limit, a minute at least on a secondary limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

ATTEMPTS = 6
"""Of one request; the waits in between add up to a minute where GitHub does not ask for more."""
WRITE_INTERVAL_S = 1.0
SECONDARY_S = 60.0
"""Least wait on a secondary limit that comes without `Retry-After`."""
LONGEST_S = 900.0
"""Who is asked to wait longer gives up and says so."""


@dataclass(frozen=True)
class Clock:
    """Time, which a test can hold."""

    now: Callable[[], float] = time.time
    """Seconds since 1970."""
    sleep: Callable[[float], None] = time.sleep


def backoff(attempt: int) -> float:
    """Seconds before attempt `attempt + 1`, for attempts from 1: 1, 2, 4, ..., at most 32."""
    return float(min(2 ** (attempt - 1), 32))


def pause(status: int, headers: Mapping[str, str], message: str, attempt: int, now: float) -> float | None:
    """Seconds to wait after an answer that is no success; None when the same request would be refused again.

    `headers` have lower-case names; `message` is the one in the body.
    """
    asked = _retry_after(headers.get("retry-after"), now)
    if status >= 500:
        return backoff(attempt) if asked is None else max(asked, backoff(attempt))
    if status not in (403, 429):
        return None
    if asked is not None:
        return max(asked, backoff(attempt))
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        return max(int(reset) - now + 1, backoff(attempt))  # one more: it is not said when in that second
    if status == 429 or "rate limit" in message.lower() or "abuse" in message.lower():
        return SECONDARY_S * float(2 ** (attempt - 1))
    return None


def _retry_after(value: str | None, now: float) -> float | None:
    """Seconds from now that the header asks for; it holds seconds or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - now, 0.0)
    except ValueError:
        return None
