"""What is audited: one `Submission`, whichever of the three places it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from auditor.verdict import Claims, Target


class Tree(Protocol):
    """Files by posix path, read lazily; names and contents are hostile."""

    def paths(self) -> tuple[str, ...]:
        """Every path that the submission adds or changes, sorted."""
        ...

    def added(self, path: str) -> bool:
        """Whether the path is new, not an edit of a file that the base already has."""
        ...

    def upstream(self, path: str) -> bool:
        """Whether the default branch holds the very same file by now, though not through this submission."""
        ...

    def folder(self, folder: str) -> tuple[str, ...]:
        """Every plain file below `folder` ("" is the root) at head, changed or not, sorted."""
        ...

    def size(self, path: str) -> int:
        """Size in bytes, without reading the content."""
        ...

    def read(self, path: str) -> bytes:
        """Content; raises `PgolfError` when it is larger than the reader's limit."""
        ...


@dataclass(frozen=True)
class Pull:
    """What one of the three places hands over, before anything in it is chosen or read."""

    target: Target
    tree: Tree
    headline: str = ""
    """The pull request's title, else the subject line of its head commit."""
    message: str = ""
    """What the pull request says below its title, else the message of its head commit."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Log:
    """One training log, decoded; `text` starts after any echo of the source."""

    path: str
    text: str
    config: Mapping[str, str] = field(default_factory=dict)
    """Settings that the log prints (`NAME=value`, `name: value`), keys as printed, first value wins."""
    numbers: tuple[int, ...] = ()
    """For each line of `text` its number in the file; empty where nothing was left out."""

    @property
    def code_size(self) -> int | None:
        """Bytes of code that the program printed; None when it printed none."""
        return code_size(self.text)


class State(NamedTuple):
    """What a pull request is read from, without reading it."""

    text: str
    """Changes whenever the pull request would be read otherwise."""
    scripts: frozenset[str]
    """Ids of the Python files that it adds or changes."""


def code_size(log: str) -> int | None:
    """Bytes of code that a log gives (`Code size: 94098 bytes`): a log of another size is of another program."""
    found = re.search(r"[Cc]ode size[^0-9\n]{0,20}([0-9][0-9,]{2,8})", log)
    return int(found[1].replace(",", "")) if found else None


@dataclass(frozen=True)
class RunCommand:
    """How the README says that the reported run is started."""

    env: Mapping[str, str] = field(default_factory=dict)
    argv: tuple[str, ...] = ()
    nproc: int | None = None
    """`--nproc_per_node` when the command is a `torchrun`."""
    source: str = "README.md"
    script: str = ""
    """Base name of the script that the command starts."""
    chosen_because: str = ""
    """Which of several commands this is, and why."""


@dataclass(frozen=True)
class Submission:
    """Everything the audit may look at.

    `script` is None when the pull request holds no submission; `reason` then says why.
    """

    target: Target
    tree: Tree
    script: str | None = None
    folder: str | None = None
    track: str | None = None
    chosen_because: str | None = None
    reason: str | None = None
    other_folders: tuple[str, ...] = ()
    code: bytes = b""
    modules: Mapping[str, bytes] = field(default_factory=dict)
    """Sibling Python modules of the script: module name -> bytes (read when small enough)."""
    data_files: Mapping[str, int] = field(default_factory=dict)
    """Other files of the folder: path relative to the folder -> size."""
    readme: str | None = None
    submission_json: Mapping[str, object] | None = None
    logs: tuple[Log, ...] = ()
    command: RunCommand = field(default_factory=RunCommand)
    claims: Claims = field(default_factory=Claims)
    notes: tuple[str, ...] = ()
    """What could not be read and why (oversized log, broken submission.json), one line each."""
    evaluator: Submission | None = None
    """The same with the script that scored the headline, where another one trained; both are audited."""
