"""Requests to GitHub's REST API through PyGithub, one at a time: read again until answered, written with care.

PyGithub makes the connection, the headers and the checks of where they go. Its own retries are switched off, for they
repeat a POST of which it is not known whether it arrived: that is how bots come to comment twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from auditor.github.retry import ATTEMPTS, LONGEST_S, WRITE_INTERVAL_S, Clock, backoff, pause
from auditor.token import Token, api_url
from auditor.verdict import PgolfError, Unreachable

API_VERSION = "2022-11-28"
PER_PAGE = 100
MAX_PAGES = 100
TIMEOUT_S = 30

Verb = Literal["GET", "POST", "PATCH", "DELETE"]


class Refused(PgolfError):
    """GitHub says no, and would again."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Unclear(Unreachable):
    """A write got no answer: it may have been carried out or not. Read, compare, and write the difference."""


@dataclass(frozen=True)
class Answer:
    """Status below 400, headers with lower-case names, and the body read as JSON (None when there is none)."""

    status: int
    headers: Mapping[str, str]
    data: Any


class Client:
    """A connection as one account, or as nobody when `token` is None (which can read what is public)."""

    def __init__(self, token: Token | None, *, base_url: str | None = None, clock: Clock | None = None) -> None:
        """Nothing is asked of the network yet.

        `base_url` is the API's; see `api_url` for what it is otherwise.
        """
        import github

        self._clock = clock or Clock()
        self._last_write: float | None = None
        self._requester = github.Github(
            auth=github.Auth.Token(token.reveal()) if token else None,
            base_url=base_url or api_url(),
            timeout=TIMEOUT_S,
            retry=None,
            seconds_between_requests=0,
            seconds_between_writes=0,  # done here, by our clock
        ).requester
        self._failures: tuple[type[Exception], ...] = (OSError, ValueError)  # requests' errors are OSErrors

    def get(self, path: str, parameters: Mapping[str, Any] | None = None, *, etag: str | None = None) -> Answer:
        """Read; asked again after failures and limits. With `etag`, an answer of status 304 has no data."""
        headers = {"If-None-Match": etag} if etag else {}
        return self._patiently("GET", path, dict(parameters or {}), headers, None, repeat=True)

    def pages(self, path: str, parameters: Mapping[str, Any] | None = None, *, key: str | None = None) -> list[Any]:
        """Every item of a list, or of the list under `key` of an object. `PgolfError` when it does not end."""
        found: list[Any] = []
        for page in range(1, MAX_PAGES + 1):
            data = self.get(path, {**(parameters or {}), "per_page": PER_PAGE, "page": page}).data
            items = data if key is None else data[key]
            found += items
            if len(items) < PER_PAGE:
                return found
        raise PgolfError(f"GitHub lists more than {MAX_PAGES * PER_PAGE:,} items at {path}")

    def create(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST, once. `Unclear` when it is not known whether it was carried out: call it inside `settle`."""
        return self._patiently("POST", path, {}, {}, body, repeat=False).data

    def change(self, path: str, body: Mapping[str, Any], *, repeat: bool = True) -> Any:
        """PATCH; `repeat` says that doing it twice is as good as once. Otherwise as `create`."""
        return self._patiently("PATCH", path, {}, {}, body, repeat=repeat).data

    def delete(self, path: str) -> None:
        """DELETE; what is gone already is no error."""
        try:
            self._patiently("DELETE", path, {}, {}, None, repeat=True)
        except Refused as error:
            if error.status not in (404, 410):
                raise

    def settle(self, step: Callable[[], None]) -> None:
        """Take a step that reads, compares and writes the difference, until all that it wrote was answered.

        After a write that was `Unclear` it is taken once more than needed: that write may come into effect late.
        """
        doubtful = False
        for attempt in range(1, ATTEMPTS + 1):
            try:
                step()
                if not doubtful:
                    return
                doubtful = False
            except Unclear:
                if attempt == ATTEMPTS:
                    raise
                doubtful = True
                self._clock.sleep(backoff(attempt))

    def _patiently(
        self,
        verb: Verb,
        path: str,
        parameters: dict[str, Any],
        headers: dict[str, str],
        body: Mapping[str, Any] | None,
        *,
        repeat: bool,
    ) -> Answer:
        for attempt in range(1, ATTEMPTS + 1):
            status, answered, text = self._once(verb, path, parameters, headers, body)
            if status is not None and status < 400:
                try:
                    return Answer(status, answered, json.loads(text) if text else None)
                except ValueError:  # cut off, or from something in between
                    status = None
            if status is None:
                wait: float | None = backoff(attempt)
                failure: PgolfError = Unreachable(f"GitHub did not answer {verb} {path}: check the network, try again")
            else:
                wait = pause(status, answered, _message(text), attempt, self._clock.now())
                failure = _refused(status, verb, path, _message(text))
            if (status is None or status >= 500) and not repeat:
                raise Unclear(str(failure))
            if wait is None or attempt == ATTEMPTS:
                raise failure
            if wait > LONGEST_S:
                raise Unreachable(f"GitHub asks to wait for {wait / 60:.0f} minutes: do it again then")
            self._clock.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _once(
        self, verb: Verb, path: str, parameters: dict[str, Any], headers: dict[str, str], body: Mapping[str, Any] | None
    ) -> tuple[int | None, Mapping[str, str], str]:
        """One request: status (None when there was no whole answer), headers, body."""
        if verb != "GET":
            if self._last_write is not None:
                # Never longer than the interval, whatever a clock that was set back says.
                left = self._last_write + WRITE_INTERVAL_S - self._clock.now()
                if left > 0:
                    self._clock.sleep(min(left, WRITE_INTERVAL_S))
            self._last_write = self._clock.now()
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION, **headers}
        try:
            return self._requester.requestJson(verb, path, parameters, headers, body)
        except self._failures:
            return None, {}, ""
        except RuntimeError:  # so PyGithub refuses to carry the token to another host or scheme
            raise Refused(301, f"{verb} {path} leads to another server: check GITHUB_API_URL and --repo") from None


def _message(text: str) -> str:
    """The message in the body of an error, which is GitHub's own; at most a line of it."""
    try:
        return str(json.loads(text)["message"])[:200]
    except (ValueError, KeyError, TypeError):
        return ""


def _refused(status: int, verb: str, path: str, message: str) -> PgolfError:
    what = f"{verb} {path}"
    if status >= 500:
        return Unreachable(f"GitHub failed on {what} (HTTP {status}): try again later")
    if status == 401:
        return Refused(status, "GitHub refused the token: renew GITHUB_TOKEN")
    if status == 429 or (status == 403 and "rate limit" in message.lower()):
        return Unreachable(f"GitHub's rate limit stands in the way of {what}: try again in an hour")
    if status in (403, 404):
        return Refused(
            status, f"GitHub does not let this token do {what} ({message or status}); docs/bot.md lists the permissions"
        )
    return Refused(status, f"GitHub refused {what} (HTTP {status}): {message}")
