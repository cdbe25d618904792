"""A pull request read from GitHub's API: its changes, and blobs by id. Never a checkout.

Works without a token (60 requests an hour; one audit takes about ten); `GITHUB_TOKEN` or `GH_TOKEN` is used when set.
PyGithub is imported only when it is needed, and the rest of the module sees it through `Api`, which a
test can stand in for.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

from auditor.submission.model import Pull
from auditor.token import api_url, find
from auditor.verdict import PgolfError, Target, Unreachable

MAX_BLOB = 64 << 20
MAX_CHANGES = 3_000
"""GitHub lists no more files of a pull request than this."""
_TIMEOUT_S = 30
_FILE_MODES = ("100644", "100755", "100664")
_URL = re.compile(
    r"(?:https?://)?(?:www\.)?github\.com/([A-Za-z0-9][A-Za-z0-9-]*)/([A-Za-z0-9_.-]+)/pull/(\d{1,7})(?:[/?#].*)?"
)

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One file of a tree at a commit."""

    path: str
    mode: str
    blob: str
    size: int


@dataclass(frozen=True)
class ApiPull:
    """What the API says of a pull request."""

    number: int
    title: str
    head: str
    base_ref: str
    merged: bool
    changed: Mapping[str, bool]
    """Path -> whether the pull request adds it (it changes the others); removed files are left out."""
    body: str = ""


class Api(Protocol):
    """The three questions that are asked of GitHub."""

    def pull(self, number: int) -> ApiPull:
        """The pull request, with its list of files."""
        ...

    def tree(self, ref: str) -> Sequence[Entry]:
        """Every file at a commit or branch."""
        ...

    def blob(self, oid: str) -> bytes:
        """Content of a blob by id."""
        ...


class GitHubTree:
    """What one pull request adds or changes, read blob by blob. See `model.Tree`."""

    def __init__(self, api: Api, pull: ApiPull) -> None:
        self._api = api
        self._pull = pull
        self._head = {entry.path: entry for entry in api.tree(pull.head) if entry.mode in _FILE_MODES}

    def paths(self) -> tuple[str, ...]:
        """Every plain file that the pull request adds or changes, sorted."""
        return tuple(sorted(path for path in self._pull.changed if path in self._head))

    def added(self, path: str) -> bool:
        """Whether the path is new in this pull request."""
        return self._pull.changed.get(path, False)

    def upstream(self, path: str) -> bool:
        """Whether the base branch holds the very same file, though the pull request was never merged."""
        return not self._pull.merged and self._base.get(path) == self._entry(path).blob

    def folder(self, folder: str) -> tuple[str, ...]:
        """Every file below `folder` at head, sorted."""
        prefix = folder + "/" if folder else ""
        return tuple(sorted(path for path in self._head if path.startswith(prefix)))

    def size(self, path: str) -> int:
        """Size in bytes."""
        return self._entry(path).size

    def read(self, path: str) -> bytes:
        """Content; `PgolfError` when it is over `MAX_BLOB` or the network fails."""
        if (size := self.size(path)) > MAX_BLOB:
            raise PgolfError(f"{path!r} is too large to read: {size:,} bytes")
        return self._api.blob(self._entry(path).blob)

    @cached_property
    def _base(self) -> dict[str, str]:
        return {entry.path: entry.blob for entry in self._api.tree(self._pull.base_ref)}

    def _entry(self, path: str) -> Entry:
        if path not in self._head:
            raise PgolfError(f"no such file in the pull request: {path!r}")
        return self._head[path]


def parse_url(target: str) -> tuple[str, int] | None:
    """(owner/name, number) of a pull request's URL; None for anything else."""
    match = _URL.fullmatch(target.strip())
    return (f"{match[1]}/{match[2]}", int(match[3])) if match else None


def open_pull(repo: str, number: int, api: Api | None = None) -> Pull:
    """The pull request `number` of `repo` (`owner/name`), read through `api` or PyGithub.

    Raises `PgolfError` with what to do when GitHub cannot be reached, refuses, or has no such pull request.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9_.-]+", repo):
        raise PgolfError(f"not a repository: {repo!r}; --repo takes OWNER/NAME")
    source = api or PyGithubApi(repo)
    found = source.pull(number)
    notes: tuple[str, ...] = ()
    if len(found.changed) >= MAX_CHANGES:
        notes = (f"GitHub lists only {MAX_CHANGES:,} changed files of a pull request: use --mirror to see all",)
    target = Target(repo=repo, pr=number, head=found.head, title=found.title)
    return Pull(target=target, tree=GitHubTree(source, found), headline=found.title, message=found.body, notes=notes)


class PyGithubApi:
    """`Api` over PyGithub."""

    def __init__(self, repo: str) -> None:
        """Nothing is asked of the network yet. `PgolfError` when PyGithub is not installed."""
        try:
            import github
        except ImportError as error:
            way = "pip install PyGithub, or use --mirror GITDIR"
            raise PgolfError(f"reading from GitHub needs PyGithub: {way}") from error
        token = find()
        auth = github.Auth.Token(token.reveal()) if token else None
        self._errors: tuple[type[Exception], ...] = (github.GithubException, OSError)
        self._repo = repo
        self._with_token = token is not None
        # No retries and no waiting: the answer to a limit is one line that says what to do.
        self._client = github.Github(
            auth=auth,
            base_url=api_url(),
            timeout=_TIMEOUT_S,
            retry=None,
            per_page=100,
            seconds_between_requests=0,
        )

    @cached_property
    def _remote(self) -> Any:
        return self._client.get_repo(self._repo)

    def pull(self, number: int) -> ApiPull:
        """See `Api.pull`."""

        def ask() -> ApiPull:
            pull = self._remote.get_pull(number)
            changed = {}
            for file in pull.get_files():
                if file.status != "removed":
                    changed[file.filename] = file.status in ("added", "renamed", "copied")
            return ApiPull(
                number, pull.title, pull.head.sha, pull.base.ref, bool(pull.merged), changed, pull.body or ""
            )

        return self._asked(f"pull request {number}", ask)

    def tree(self, ref: str) -> Sequence[Entry]:
        """See `Api.tree`."""

        def ask() -> Sequence[Entry]:
            tree = self._remote.get_git_tree(ref, recursive=True)
            return [Entry(e.path, e.mode, e.sha, e.size or 0) for e in tree.tree if e.type == "blob"]

        return self._asked(f"the files at {ref[:12]}", ask)

    def blob(self, oid: str) -> bytes:
        """See `Api.blob`."""
        if not re.fullmatch(r"[0-9a-f]{40}", oid):
            raise PgolfError(f"not an object id: {oid[:80]!r}")

        def ask() -> bytes:
            blob = self._remote.get_git_blob(oid)
            return base64.b64decode(blob.content) if blob.encoding == "base64" else str(blob.content).encode()

        return self._asked(f"blob {oid[:12]}", ask)

    def _asked(self, what: str, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except self._errors as error:
            kind = PgolfError if getattr(error, "status", None) == 404 else Unreachable
            raise kind(explain(error, self._repo, what, self._with_token)) from error


def explain(error: Exception, repo: str, what: str, with_token: bool) -> str:
    """One line on a failed request, with the way out."""
    status = getattr(error, "status", None)
    text = str(getattr(error, "data", "") or error)
    kind = type(error).__name__
    if status == 429 or "RateLimit" in kind or (status == 403 and "rate limit" in text.lower()):
        way = "wait an hour" if with_token else "set GITHUB_TOKEN"
        return f"GitHub's rate limit is used up: {way}, or use --mirror GITDIR"
    if status == 401 or "BadCredentials" in kind:
        return "GitHub refused GITHUB_TOKEN: renew or unset it, or use --mirror GITDIR"
    if status == 404:
        return f"{repo} has no {what}, or it is private: check the number and --repo"
    if status == 403:
        return f"GitHub refused {what} of {repo}: set a GITHUB_TOKEN that may read it, or use --mirror GITDIR"
    if isinstance(status, int) and status >= 500:
        return f"GitHub failed on {what} (HTTP {status}): try again later, or use --mirror GITDIR"
    return f"GitHub could not be reached for {what} ({kind}): check the network, or use --mirror GITDIR"
