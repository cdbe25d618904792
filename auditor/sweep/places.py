"""The two places that a sweep reads pull requests from: a mirror, and GitHub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from auditor.submission.github import open_pull
from auditor.submission.mirror import Mirror
from auditor.submission.model import Pull, State
from auditor.sweep import pulls
from auditor.verdict import PgolfError


class Place(Protocol):
    """Where pull requests come from."""

    absent: set[str]
    """Ids of objects that were asked for in vain; what was made without them is right only as long as that is so."""

    def numbers(self, wanted: Sequence[range] | None) -> list[int]:
        """Which pull requests there are among the wanted, ascending."""
        ...

    def head(self, number: int) -> str | None:
        """Id of the head commit, as far as it is known without reading."""
        ...

    def state(self, number: int) -> State | None:
        """What the pull request is read from; None when that cannot be told."""
        ...

    def lacks(self, oids: Sequence[str]) -> bool:
        """Whether all these objects are still absent."""
        ...

    def open(self, number: int) -> Pull:
        """Read one pull request. In a worker process it is the worker's own connection that reads."""
        ...

    def close(self) -> None:
        """End the connection; the next question opens another one."""
        ...


class MirrorPlace:
    """A clone; its history is read once, before the workers are forked."""

    def __init__(self, gitdir: Path, repo: str) -> None:
        """`PgolfError` when `gitdir` is no clone."""
        self._gitdir = gitdir
        self._repo = repo
        self._mirror = Mirror(gitdir)
        self.absent = self._mirror.absent

    def numbers(self, wanted: Sequence[range] | None) -> list[int]:
        """See `Place.numbers`."""
        held = self._mirror.prs()
        if wanted is None:
            return list(held)
        found = pulls.among(wanted, held)
        if not found:
            raise PgolfError(f"{self._gitdir} holds none of these pull requests; it has {held[0]} to {held[-1]}")
        return found

    def head(self, number: int) -> str | None:
        """See `Place.head`."""
        return self._mirror.head(number)

    def state(self, number: int) -> State | None:
        """See `Place.state`."""
        try:
            return self._mirror.state(number)
        except PgolfError:
            return None

    def lacks(self, oids: Sequence[str]) -> bool:
        """See `Place.lacks`."""
        return not any(self._mirror.holds(oid) for oid in oids)

    def open(self, number: int) -> Pull:
        """See `Place.open`."""
        return self._mirror.open(number, repo=self._repo)

    def close(self) -> None:
        """See `Place.close`."""
        self._mirror.close()


class GitHubPlace:
    """GitHub's API, which tells nothing of a pull request before it is read: nothing is cached."""

    def __init__(self, repo: str) -> None:
        """Nothing is asked yet."""
        self._repo = repo
        self.absent: set[str] = set()

    def numbers(self, wanted: Sequence[range] | None) -> list[int]:
        """See `Place.numbers`; all that are wanted are taken to exist."""
        if wanted is None:
            raise PgolfError("name the pull requests with --prs 1-10,15, or give --mirror GITDIR to read them all")
        return pulls.every(wanted)

    def head(self, number: int) -> str | None:
        """See `Place.head`."""
        return None

    def state(self, number: int) -> State | None:
        """See `Place.state`."""
        return None

    def lacks(self, oids: Sequence[str]) -> bool:
        """See `Place.lacks`."""
        return not oids

    def open(self, number: int) -> Pull:
        """See `Place.open`."""
        return open_pull(self._repo, number)

    def close(self) -> None:
        """See `Place.close`."""
