"""The token, and where it is sent.

It comes from the environment, and goes into the `Authorization` header and nowhere else: it is no part of any message,
file or repr, and no option takes it, for arguments are seen by everyone on a machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from auditor.verdict import PgolfError

API = "https://api.github.com"
VARIABLES = ("GITHUB_TOKEN", "GH_TOKEN")
_FORM = re.compile(r"[A-Za-z0-9_.=-]{1,1024}")


class Token:
    """A secret that shows itself only where it is asked for by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """`PgolfError`, without the text, when no token looks like this."""
        if not _FORM.fullmatch(text):  # a line break in a header would be quoted by the HTTP library's error
            raise PgolfError("the token in the environment holds characters that no token has: copy it again")
        self._text = text

    def reveal(self) -> str:
        """The secret, for the header."""
        return self._text

    def __repr__(self) -> str:
        return "Token(***)"

    def __reduce__(self) -> str:
        raise TypeError("a token is not written anywhere")


def find(environment: Mapping[str, str] | None = None) -> Token | None:
    """The first of `VARIABLES` that is set and not empty."""
    found = os.environ if environment is None else environment
    return next((Token(text) for name in VARIABLES if (text := found.get(name, "").strip())), None)


def required() -> Token:
    """The token; `PgolfError` with what to do when there is none."""
    if (token := find()) is None:
        raise PgolfError("posting needs a token in GITHUB_TOKEN or GH_TOKEN; docs/bot.md says with which permissions")
    return token


def api_url() -> str:
    """Where the API is: `GITHUB_API_URL`, which GitHub sets in workflows, else `API`."""
    return os.environ.get("GITHUB_API_URL") or API
