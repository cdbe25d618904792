"""What a watch knows, in SQLite: every open pull request with its head, and where its review stands.

```
new ──audit──> draft ──a person──> approved ──post──> posted
 │                                                      │
 ├──> skipped  (not a submission)                       └── head moves: new again, and the comment is marked stale
 └──> failed   (three times, then left until the head moves)
```
A closed pull request is `closed` from any state, and a moved head is `new` from any other.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from auditor.verdict import PgolfError

State = Literal["new", "draft", "approved", "posted", "skipped", "failed", "closed"]
MAX_TRIES = 3
_VERSION = 1
_TABLES = f"""
CREATE TABLE pulls (
  number INTEGER PRIMARY KEY,
  head TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN {get_args(State)!r}),
  tool TEXT,            -- what read this head: a new version or rule set reads it again
  verdict TEXT,
  class TEXT,
  digest TEXT,          -- of the draft
  reason TEXT,          -- why failed or skipped
  tries INTEGER NOT NULL DEFAULT 0,
  posted_head TEXT,     -- the commit that our comment speaks of
  stale_head TEXT       -- the commit that our comment says has come since
) STRICT;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
PRAGMA user_version = {_VERSION};
"""


@dataclass(frozen=True)
class Seen:
    """What GitHub's list says of a pull request."""

    number: int
    head: str
    open: bool


@dataclass(frozen=True)
class Row:
    """A pull request as the store has it."""

    number: int
    head: str
    state: State
    verdict: str | None
    cls: str | None
    digest: str | None
    reason: str | None
    posted_head: str | None


class Store:
    """The database of one folder; use as a context manager. Every method is one transaction."""

    def __init__(self, folder: Path, repo: str) -> None:
        """Open or make it; `PgolfError` when it is of another repository or version, or cannot be written."""
        path = folder / "queue.sqlite"
        try:
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._db.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
        except sqlite3.Error as error:
            raise PgolfError(f"{path}: {error}; name another folder") from None
        if version not in (0, _VERSION):
            raise PgolfError(f"{path} was written by another version of pgolf; name another folder")
        with self._db:
            self._db.execute("INSERT OR IGNORE INTO facts VALUES ('repo', ?)", (repo,))
        if self.fact("repo") != repo:
            raise PgolfError(f"{folder} watches {self.fact('repo')}; type: --repo {self.fact('repo')}")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def fact(self, name: str) -> str | None:
        """One remembered value: `repo`, `etag`, `until`."""
        found = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return found[0] if found else None

    def saw(self, pulls: Iterable[Seen], facts: dict[str, str]) -> None:
        """Take in what moved, and up to where the list was read, together."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for pull in pulls:
                if not pull.open:
                    self._db.execute("UPDATE pulls SET state = 'closed' WHERE number = ?", (pull.number,))
                    continue
                self._db.execute(
                    "INSERT INTO pulls (number, head, state) VALUES (?1, ?2, 'new') ON CONFLICT (number) DO UPDATE SET"
                    " head = ?2, state = 'new', tries = 0, digest = NULL, reason = NULL"
                    " WHERE head != ?2 OR state = 'closed'",
                    (pull.number, pull.head),
                )
            for name, value in facts.items():
                self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def outdate(self, tool: str) -> None:
        """Have everything read again that another tool has read, but for what a person has approved."""
        with self._db:
            self._db.execute(
                "UPDATE pulls SET state = 'new', tries = 0, digest = NULL"
                " WHERE state IN ('draft', 'skipped', 'failed') AND tool IS NOT ?",
                (tool,),
            )

    def unread(self) -> list[int]:
        """Numbers whose head is to be read, those that failed included until they have failed for good."""
        found = self._db.execute(
            "SELECT number FROM pulls WHERE state = 'new' OR (state = 'failed' AND tries < ?) ORDER BY number",
            (MAX_TRIES,),
        )
        return [number for (number,) in found]

    def rows(self, *states: State) -> list[Row]:
        """Those in one of these states, by number; all of them when none is named."""
        chosen = states or get_args(State)
        return self._rows(f"state IN ({', '.join('?' * len(chosen))})", *chosen)

    def outlived(self) -> list[Row]:
        """Open pull requests whose comment speaks of an older commit and does not say so yet."""
        return self._rows("state != 'closed' AND posted_head != head AND stale_head IS NOT head")

    def drafted(self, number: int, head: str, tool: str, verdict: str, cls: str, digest: str) -> None:
        """A draft of the review of `head` lies in the folder."""
        self._set(number, "state = 'draft', head = ?, tool = ?, verdict = ?, class = ?, digest = ?, reason = NULL",
                  head, tool, verdict, cls, digest)  # fmt: skip

    def skipped(self, number: int, head: str, tool: str, reason: str) -> None:
        """There is nothing to review at `head`."""
        self._set(number, "state = 'skipped', head = ?, tool = ?, digest = NULL, reason = ?", head, tool, reason)

    def failed(self, number: int, tool: str, reason: str) -> None:
        """The head could not be read this time."""
        self._set(number, "state = 'failed', tool = ?, reason = ?, tries = tries + 1", tool, reason)

    def approve(self, number: int, digest: str) -> Row | None:
        """Approve the draft of that digest; the row when it is now approved, None when that draft is not there."""
        with self._db:
            self._db.execute(
                "UPDATE pulls SET state = 'approved' WHERE number = ? AND state = 'draft' AND digest = ?",
                (number, digest),
            )
        return next((row for row in self.rows("approved") if (row.number, row.digest) == (number, digest)), None)

    def posted(self, number: int, head: str) -> None:
        """Our comment now speaks of `head`."""
        self._set(number, "state = 'posted', posted_head = ?, stale_head = NULL", head)

    def moved(self, number: int, head: str) -> None:
        """The pull request was found at another head when its review was to be posted; its comment says so."""
        self._set(number, "state = 'new', head = ?1, tries = 0, digest = NULL, stale_head = ?1", head)

    def marked(self, number: int, head: str) -> None:
        """Our comment says that `head` has come since."""
        self._set(number, "stale_head = ?", head)

    def _rows(self, which: str, *values: str) -> list[Row]:
        columns = "number, head, state, verdict, class, digest, reason, posted_head"
        return [
            Row(*row) for row in self._db.execute(f"SELECT {columns} FROM pulls WHERE {which} ORDER BY number", values)
        ]

    def _set(self, number: int, what: str, *values: str) -> None:
        with self._db:
            self._db.execute(f"UPDATE pulls SET {what} WHERE number = ?{len(values) + 1}", (*values, number))


class Lock:
    """One watch a folder: held as long as this is open, and gone with the process. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        """`PgolfError` when another watch holds it."""
        try:
            self._file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PgolfError(f"{folder}: {error.strerror}") from None
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise PgolfError(f"another pgolf watch is at work in {folder}; end it first") from None

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
