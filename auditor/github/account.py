"""Which account a token writes as: what is posted is ours only if that account wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from auditor.github.client import Client, Refused
from auditor.verdict import PgolfError

_BOT = "[bot]"


@dataclass(frozen=True)
class Account:
    """An account; its id never changes, its name may."""

    id: int
    login: str

    @property
    def app(self) -> str | None:
        """Slug of the GitHub App whose bot this is; None for a person, whose token cannot write check runs."""
        return self.login.removesuffix(_BOT) if self.login.endswith(_BOT) else None


def own(client: Client, login: str | None = None) -> Account:
    """The account that the token writes as.

    A token of an app, that of a workflow included, may not ask who it is: then `login` has to say so, such as
    `github-actions[bot]`. That it is true is seen at the first comment (see `comment.settle`).
    """
    if login is not None:
        found = client.get(f"/users/{quote(login, safe='')}").data
    else:
        try:
            found = client.get("/user").data
        except Refused as error:
            if error.status != 403:
                raise
            raise PgolfError("this token is an app's: name the account it writes as, --as 'NAME[bot]'") from None
    return Account(found["id"], found["login"])
