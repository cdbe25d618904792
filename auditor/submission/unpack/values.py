"""What a packed script's loader computes with: plain Python values, and stand-ins for the few objects it touches.

Plain values (str, bytes, int, list, dict ...) stand for themselves; everything that could not be computed is `Unknown`.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from auditor.submission.unpack.decoders import Meter
from auditor.verdict import PgolfError

How = Literal["exec", "runpy", "import", "importlib", "subprocess"]
Siblings = Mapping[str, bytes] | Callable[[str], bytes | None]

ROOT = "/repository"
"""Where the submission seems to lie for the loader; no such folder is ever touched."""


def shown(text: str, limit: int = 60) -> str:
    """Foreign text for a label or a reason: printable ASCII, short."""
    plain = ascii(text)[1:-1]
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."


@dataclass(frozen=True)
class Unknown:
    """A value that could not be computed; `why` is for the reader."""

    why: str


@dataclass(frozen=True)
class Ref:
    """A library module or function by its dotted name, e.g. `base64.b85decode`."""

    name: str


@dataclass
class Module:
    """A module object that the loader makes (`types.ModuleType`, `importlib`)."""

    name: str
    attributes: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Namespace:
    """The globals of a made module, or of the script itself (None)."""

    module: Module | None


@dataclass(frozen=True)
class FilePath:
    """A `pathlib.Path`."""

    text: str


@dataclass
class File:
    """An open file: `content` to read, or a path of the pretended disk to write to."""

    content: object = b""
    path: str | None = None


@dataclass(frozen=True)
class Code:
    """The result of `compile(...)`."""

    source: object


@dataclass(frozen=True)
class Spec:
    """The result of `importlib.util.spec_from_file_location`."""

    name: str
    path: str


@dataclass(frozen=True)
class Decompressor:
    """A decompressor object; `function` is the one-shot function that does the same."""

    function: str
    options: Mapping[str, object]


@dataclass(frozen=True)
class Archive:
    """An opened zip or tar archive."""

    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Function:
    """A function or lambda of the loader's own."""

    node: ast.FunctionDef | ast.Lambda


@dataclass(frozen=True)
class Run:
    """Source text that the loader executes."""

    how: How
    source: object
    """The text or bytes; `Unknown` when it could not be computed."""
    module: str | None
    """Name of the module it runs in; None for the main program."""
    label: str
    line: int
    index: int
    """Position of the top-level statement that runs it."""
    decoded: bool
    """Whether anything was decoded or read on the way to it."""
    path: str | None = None
    """Sibling file that the source is, byte for byte."""


@dataclass
class Disk:
    """The files that a loader can see: those beside the script, and those it has itself written."""

    script: str
    siblings: Siblings
    written: dict[str, object] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The folder of the script."""
        return posixpath.dirname(self.script)

    def place(self, path: str) -> str:
        """A path in full; relative ones start at the script's folder."""
        return posixpath.normpath(posixpath.join(self.folder, path))

    def sibling(self, path: str) -> str | None:
        """The name under which the submission may hold `path`, relative to the script's folder."""
        place = self.place(path)
        return posixpath.relpath(place, self.folder) if place.startswith(ROOT + "/") else None

    def read(self, path: str) -> object:
        """Bytes or text of a file, else `Unknown`."""
        place = self.place(path)
        if place in self.written:
            return self.written[place]
        name = self.sibling(path)
        if name is None:
            return Unknown(f"it reads {shown(path)}, outside the submission")
        try:
            data = self.siblings(name) if callable(self.siblings) else self.siblings.get(name)
        except (KeyError, FileNotFoundError):
            data = None
        except PgolfError as error:
            return Unknown(f"{shown(name)}: {shown(str(error), 200)}")
        return Unknown(f"it reads {shown(name)}, which the submission does not hold") if data is None else data

    def write(self, path: str, content: object) -> None:
        """Append to a file of the pretended disk."""
        place = self.place(path)
        old = self.written.get(place)
        if not isinstance(content, (str, bytes, Unknown)):
            content = Unknown("it writes something that is not text")
        if isinstance(old, str) and isinstance(content, str):
            content = old + content
        if isinstance(old, bytes) and isinstance(content, bytes):
            content = old + content
        self.written[place] = content

    def module(self, name: str) -> tuple[str, object] | None:
        """The written file that `import name` finds, wherever the loader has put it."""
        tail = "/" + name.replace(".", "/")
        for place in sorted(self.written):
            if place.endswith((tail + ".py", tail + "/__init__.py")):
                return place, self.written[place]
        return None


@dataclass
class State:
    """Everything that a loader's expressions can change."""

    disk: Disk
    meter: Meter
    trail: list[str] = field(default_factory=list)
    """Decoders used since the last run, in order."""
    runs: list[Run] = field(default_factory=list)
    followed: set[str] = field(default_factory=set)
    """Texts that were taken for the main program."""
    line: int = 1
    index: int = 0
    """Line and position of the top-level statement that is being followed."""

    def used(self, step: str) -> None:
        """Remember a decoding step for the label of the layer."""
        if step not in self.trail:
            self.trail.append(step)

    def ran(self, how: How, source: object, module: str | None = None, path: str | None = None) -> None:
        """Record that source text is executed, with the decoders that led to it."""
        opened = "".join(f"({step}" for step in reversed(self.trail))
        label = how + opened + ")" * len(self.trail)
        self.runs.append(Run(how, source, module, label, self.line, self.index, bool(self.trail), path))
        self.trail.clear()
