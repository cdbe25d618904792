"""A pull request read from a local clone that holds `refs/pull/N/head`.

Plumbing only, and nothing is written: one `for-each-ref` and one `rev-list` when the mirror is
opened, then two long-lived `cat-file` processes for every object. Commands take 40-hex ids and
fixed ref names, never a name from the audited side (ANCHORS 3.2: option injection), and tree diffs
are done here on the raw tree objects, so that no hostile file name meets a quoting rule.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO

from auditor.submission.model import Pull, State
from auditor.verdict import PgolfError, Target

MAX_BLOB = 64 << 20
"""A larger file is never read, whoever asks: the pipe would have to be drained of all of it."""
MAX_CHANGES = 50_000
"""A pull request that changes more files than this is refused."""
MAX_MESSAGE = 1 << 16
_MAX_DEPTH = 64
_SMALL = 1 << 20

_NO_GIT = "git could not be started: install it to read a --mirror"
_DAMAGED = "git cat-file ended early: the clone may be damaged (try git fsck)"
_LINK, _SUBMODULE, _DIRECTORY = b"120000", b"160000", b"40000"

_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ALLOW_PROTOCOL": "",  # a partial clone must not fetch what it lacks
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_SETTINGS = ("-c", "safe.directory=*", "-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false")


@dataclass(frozen=True)
class _Entry:
    mode: bytes
    oid: str

    @property
    def is_file(self) -> bool:
        return self.mode not in (_LINK, _SUBMODULE, _DIRECTORY)


class MirrorTree:
    """What one pull request adds or changes, and its folders at head. See `model.Tree`."""

    def __init__(
        self, mirror: Mirror, root: str, changes: Mapping[str, tuple[str, bool]], upstream: str | None
    ) -> None:
        """`changes` maps path -> (blob id, whether the base lacks the path).

        `root` and `upstream` are the trees of the head and of the default branch; None for a merged head.
        """
        self._mirror = mirror
        self._root = root
        self._upstream = upstream
        self._changes = changes
        self._blobs: dict[str, str] = {path: blob for path, (blob, _) in changes.items()}

    def paths(self) -> tuple[str, ...]:
        """Every path that the pull request adds or changes, sorted."""
        return tuple(sorted(self._changes))

    def added(self, path: str) -> bool:
        """Whether the path is new in this pull request."""
        return path in self._changes and self._changes[path][1]

    def upstream(self, path: str) -> bool:
        """Whether the default branch holds the very same file, though the head was never merged."""
        return self._upstream is not None and self._mirror.find(self._upstream, path) == self._changes[path][0]

    def folder(self, folder: str) -> tuple[str, ...]:
        """Every file below `folder` at head, changed or not, sorted."""
        found = self._mirror.files_below(self._root, folder)
        self._blobs.update(found)
        return tuple(sorted(found))

    def size(self, path: str) -> int:
        """Size in bytes; 0 for a file that the clone lacks (it was made without large files)."""
        return self._mirror.size(self.blob(path))

    def read(self, path: str) -> bytes:
        """Content; `PgolfError` when it is over `MAX_BLOB` or absent from the clone."""
        return self._mirror.blob(self.blob(path), path)

    def blob(self, path: str) -> str:
        """Id of a file."""
        if path not in self._blobs:
            raise PgolfError(f"no such file in the pull request: {path!r}")
        return self._blobs[path]


class Mirror:
    """A local clone with `refs/pull/N/head`, open for reading. Use as a context manager or `close()` it."""

    def __init__(self, gitdir: Path) -> None:
        """Open the clone (bare, or the folder that holds `.git`); `PgolfError` when it is none."""
        self._gitdir = _git_directory(gitdir)
        self._contents: subprocess.Popen[bytes] | None = None
        self._sizes: subprocess.Popen[bytes] | None = None
        self._trees: dict[str, dict[str, _Entry]] = {}
        self._described: dict[str, tuple[str, int]] = {}
        self._read: dict[str, bytes] = {}
        """Small files of the pull request that was opened last: they are looked into more than once."""
        self.absent: set[str] = set()
        """Objects that were asked for and that the clone lacks."""

    def __enter__(self) -> Mirror:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the two reader processes."""
        for process in (self._contents, self._sizes):
            if process is not None:
                process.kill()
                process.communicate()
        self._contents = self._sizes = None

    def prs(self) -> tuple[int, ...]:
        """Numbers of the pull requests that the clone holds, ascending."""
        return tuple(sorted(self._heads))

    def open(self, number: int, repo: str | None = None) -> Pull:
        """The pull request as `Pull`: its files against the merge base, and its head commit's subject line.

        Raises `PgolfError` when the clone has no such pull request.
        """
        head = self._heads.get(number)
        if head is None:
            raise PgolfError(
                f"{self._gitdir} has no pull request {number}: "
                "fetch it with git fetch origin '+refs/pull/*/head:refs/pull/*/head'"
            )
        self._described.clear()
        self._read.clear()
        root, message = self._commit(head)
        base = self._history.base_of(head)
        changes = self._changes(self._commit(base)[0] if base else None, root)
        upstream = None if self._history.merged(head) else self._commit(self._history.main)[0]
        target = Target(repo=repo, pr=number, head=head)
        return Pull(
            target=target, tree=MirrorTree(self, root, changes, upstream), headline=_subject(message), message=message
        )

    def head(self, number: int) -> str | None:
        """The head commit of a pull request; None when the clone does not hold it."""
        return self._heads.get(number)

    def state(self, number: int) -> State:
        """All of the clone that the pull request is judged by: equal states are read alike.

        That is its head, the tree it is compared with, and which of its files the default branch holds by now, but
        not what else the default branch gains. No file is read.
        """
        tree = self.open(number).tree
        assert isinstance(tree, MirrorTree)
        base = self._history.base_of(self._heads[number])
        held = "".join("01"[tree.upstream(path)] for path in tree.paths())
        text = f"{self._heads[number]} {self._commit(base)[0] if base else '-'} {held}"
        return State(text, frozenset(tree.blob(path) for path in tree.paths() if path.endswith(".py")))

    def holds(self, oid: str) -> bool:
        """Whether the clone has the object."""
        return self._describe(oid)[0] != "missing"

    def size(self, oid: str) -> int:
        """Size of a blob by id; 0 when the clone lacks it."""
        kind, size = self._describe(oid)
        return size if kind == "blob" else 0

    def blob(self, oid: str, shown: str) -> bytes:
        """Content of a blob by id; `shown` names it in errors."""
        if oid in self._read:
            return self._read[oid]
        if (size := self.size(oid)) > MAX_BLOB:
            raise PgolfError(f"{shown!r} is too large to read: {size:,} bytes")
        kind, data = self._object(oid)
        if kind != "blob":
            raise PgolfError(f"{shown!r} is not in the clone: it was made without this object")
        if size <= _SMALL:
            self._read[oid] = data
        return data

    def find(self, root: str, path: str) -> str | None:
        """Id of the file `path` in the tree `root`."""
        folder, _, name = path.rpartition("/")
        tree = self._folder(root, folder)
        entry = self._tree(tree).get(name) if tree else None
        return entry.oid if entry else None

    def files_below(self, root: str, folder: str) -> dict[str, str]:
        """Path -> blob id of every plain file below `folder` in the tree `root`."""
        tree = self._folder(root, folder)
        if tree is None:
            return {}
        prefix = folder + "/" if folder else ""
        return {prefix + path: new.oid for path, _, new in self._diff(None, tree, "", 0) if new.is_file}

    def _folder(self, root: str, folder: str) -> str | None:
        tree = root
        for name in filter(None, folder.split("/")):
            entry = self._tree(tree).get(name)
            if entry is None or entry.mode != _DIRECTORY:
                return None
            tree = entry.oid
        return tree

    def _changes(self, base: str | None, head: str) -> dict[str, tuple[str, bool]]:
        found: dict[str, tuple[str, bool]] = {}
        for path, old, new in self._diff(base, head, "", 0):
            if new.is_file:
                found[path] = (new.oid, old is None)
                if len(found) > MAX_CHANGES:
                    raise PgolfError(f"the pull request changes more than {MAX_CHANGES:,} files")
        return found

    def _diff(
        self, base: str | None, head: str, prefix: str, depth: int
    ) -> Iterator[tuple[str, _Entry | None, _Entry]]:
        """Files of `head` that `base` lacks or holds with another content; deletions add nothing."""
        if depth > _MAX_DEPTH:
            raise PgolfError(f"folders nested deeper than {_MAX_DEPTH}: {prefix[:80]!r}...")
        before = self._tree(base) if base else {}
        for name, new in self._tree(head).items():
            old = before.get(name)
            if old is not None and old.oid == new.oid:
                continue
            if new.mode == _DIRECTORY:
                below = old.oid if old is not None and old.mode == _DIRECTORY else None
                yield from self._diff(below, new.oid, f"{prefix}{name}/", depth + 1)
            else:
                yield prefix + name, old, new

    def _commit(self, oid: str) -> tuple[str, str]:
        """Root tree and message of a commit."""
        kind, data = self._object(oid)
        header, _, message = data.partition(b"\n\n")
        if kind != "commit" or not header.startswith(b"tree "):
            raise PgolfError(f"{self._gitdir} lacks commit {oid}")
        return header[5:45].decode("ascii", "replace"), message[:MAX_MESSAGE].decode("utf-8", "replace")

    def _tree(self, oid: str) -> dict[str, _Entry]:
        if oid not in self._trees:
            kind, data = self._object(oid)
            if kind != "tree":
                raise PgolfError(f"{self._gitdir} lacks tree {oid}")
            if len(self._trees) > 20_000:
                self._trees.clear()
            self._trees[oid] = _parse_tree(data)
        return self._trees[oid]

    def _describe(self, oid: str) -> tuple[str, int]:
        """Kind and size of an object."""
        if oid not in self._described:
            if self._sizes is None:
                self._sizes = self._reader("--batch-check")
            _, kind, size = _ask(self._sizes, oid)
            if kind == "missing":
                self.absent.add(oid)
            self._described[oid] = kind, size
        return self._described[oid]

    def _object(self, oid: str) -> tuple[str, bytes]:
        if self._contents is None:
            self._contents = self._reader("--batch")
        _, kind, size = _ask(self._contents, oid)
        if kind == "missing":
            self.absent.add(oid)
            return kind, b""
        data = _pipe(self._contents.stdout).read(size + 1)
        if len(data) <= size:
            raise PgolfError(_DAMAGED)
        return kind, data[:-1]

    def _reader(self, mode: str) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self._argv("cat-file", mode),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
        except OSError as error:
            raise PgolfError(_NO_GIT) from error

    def _argv(self, *arguments: str) -> list[str]:
        return ["git", *_SETTINGS, f"--git-dir={self._gitdir}", *arguments]

    def _run(self, *arguments: str) -> str:
        done = _spawn(self._argv(*arguments))
        if done.returncode != 0:
            reason = done.stderr.decode("utf-8", "replace").strip().splitlines()[:1]
            raise PgolfError(
                f"git {arguments[0]} failed in {self._gitdir}: {reason[0] if reason else 'no reason given'}"
            )
        return done.stdout.decode("utf-8", "replace")

    @cached_property
    def _heads(self) -> dict[int, str]:
        """Pull request number -> head commit."""
        listing = self._run("for-each-ref", "--format=%(objectname) %(refname)", "refs/pull/")
        heads = {}
        for line in listing.splitlines():
            oid, _, name = line.partition(" ")
            number = name.removeprefix("refs/pull/").removesuffix("/head")
            if name.endswith("/head") and number.isascii() and number.isdigit():
                heads[int(number)] = oid
        if not heads:
            raise PgolfError(
                f"{self._gitdir} holds no pull requests: "
                "fetch them with git fetch origin '+refs/pull/*/head:refs/pull/*/head'"
            )
        return heads

    @cached_property
    def _history(self) -> _History:
        # A clone with a work tree may stand on any branch; its remote's default branch is the one that counts.
        main = self._resolve("refs/remotes/origin/HEAD") or self._resolve("HEAD")
        if not main:
            raise PgolfError(f"{self._gitdir} has no default branch: HEAD names no commit")
        return _History(self._run("rev-list", "--topo-order", "--parents", "--all"), main)

    def _resolve(self, name: str) -> str:
        """The commit that one of our own fixed names stands for; empty when there is none."""
        done = _spawn(self._argv("rev-parse", "--verify", "--quiet", name + "^{commit}"))
        return done.stdout.decode("ascii", "replace").strip() if done.returncode == 0 else ""


class _History:
    """The commit graph, and for each commit of the default branch the first-parent commit that brought it in."""

    def __init__(self, listing: str, main: str) -> None:
        self.main = main
        self._parents: dict[str, list[str]] = {}
        self._rank: dict[str, int] = {}
        for rank, line in enumerate(listing.splitlines()):
            commit, *parents = line.split(" ")
            self._parents[commit] = parents
            self._rank[commit] = rank
        chain = [main]
        while parents := self._parents.get(chain[-1], []):
            chain.append(parents[0])
        self._chain = chain[::-1]
        self._arrival: dict[str, int] = {}
        for index, commit in enumerate(self._chain):
            todo = [commit]
            while todo:
                seen = todo.pop()
                if seen not in self._arrival:
                    self._arrival[seen] = index
                    todo.extend(self._parents.get(seen, []))

    def merged(self, head: str) -> bool:
        """Whether the default branch contains `head`."""
        return head in self._arrival

    def base_of(self, head: str) -> str | None:
        """The commit that `head` is compared with; None when it shares no history with the default branch.

        A merged head is its own merge base with the default branch, so it is compared with what the
        branch was before the commit that brought the head in.
        """
        arrived = self._arrival.get(head, len(self._chain))
        if arrived < len(self._chain) and self._chain[arrived] == head:
            return next(iter(self._parents.get(head, [])), None)
        return self._best_ancestor(head, before=arrived)

    def _best_ancestor(self, head: str, before: int) -> str | None:
        """The newest ancestor of `head` on the default branch before its `before`-th first-parent commit.

        In topological order children come first, so the lowest rank is no other candidate's ancestor.
        """
        best: str | None = None
        seen, todo = {head}, [head]
        while todo:
            for parent in self._parents.get(todo.pop(), []):
                if parent in seen:
                    continue
                seen.add(parent)
                if self._arrival.get(parent, len(self._chain)) < before:
                    if best is None or self._rank.get(parent, 0) < self._rank.get(best, 0):
                        best = parent
                else:
                    todo.append(parent)
        return best


def _git_directory(path: Path) -> Path:
    """The git directory at `path`, found without looking into the folders above it."""
    try:
        for candidate in (path, path / ".git"):
            if (candidate / "HEAD").is_file() and (candidate / "objects").is_dir():
                return candidate.resolve()
    except OSError as error:
        raise PgolfError(f"cannot read the mirror {path}: {error.strerror}") from error
    raise PgolfError(
        f"{path} is no git repository: give --mirror a clone made with "
        "git clone --mirror https://github.com/openai/parameter-golf"
    )


def _environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return inherited | _ENVIRONMENT


def _spawn(argv: list[str]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(argv, capture_output=True, env=_environment(), check=False)
    except OSError as error:
        raise PgolfError(_NO_GIT) from error


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise PgolfError("git ended early")
    return stream


def _ask(process: subprocess.Popen[bytes], oid: str) -> tuple[str, str, int]:
    """Ask `cat-file` for one object: (id, kind, size); kind is `missing` for an absent one."""
    if len(oid) != 40 or not all(c in "0123456789abcdef" for c in oid):
        raise PgolfError(f"not an object id: {oid[:80]!r}")
    try:
        stdin = _pipe(process.stdin)
        stdin.write(oid.encode() + b"\n")
        stdin.flush()
        reply = _pipe(process.stdout).readline().decode("ascii", "replace").split()
    except OSError as error:
        raise PgolfError(_DAMAGED) from error
    if len(reply) == 3 and reply[2].isdigit():
        return reply[0], reply[1], int(reply[2])
    if len(reply) == 2 and reply[1] == "missing":
        return reply[0], "missing", 0
    raise PgolfError(_DAMAGED)


def _subject(message: str) -> str:
    """The first line of a commit's message."""
    return message.lstrip().split("\n", 1)[0][:500]


def _parse_tree(data: bytes) -> dict[str, _Entry]:
    """Entries of a raw tree object: `mode SP name NUL 20-byte id`, over and over.

    Bytes that are no UTF-8 become visible escapes, as a name is only ever shown or looked up.
    """
    entries = {}
    at = 0
    while at < len(data):
        space = data.index(b" ", at)
        end = data.index(b"\0", space)
        mode, name = data[at:space], data[space + 1 : end].decode("utf-8", "backslashreplace")
        at = end + 21
        entries[name] = _Entry(mode, data[end + 1 : at].hex())
    return entries
