"""A submission on disk: a folder with `submission.json`, README and logs beside the script, or a script alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from auditor.submission.assemble import MAX_CODE, assemble_choice
from auditor.submission.model import Pull, Submission
from auditor.submission.select import Choice, choose_script
from auditor.verdict import PgolfError, Target

MAX_READ = 64 << 20
MAX_FILES = 20_000
_SKIPPED = {".git", "__pycache__", ".venv", "venv", "node_modules", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


class DiskTree:
    """Plain files below one folder, by path relative to it; links are never followed. See `model.Tree`."""

    def __init__(self, root: Path, files: Mapping[str, Path]) -> None:
        """`files` maps the path that is shown, which begins with the folder's name, to the file."""
        self._root = root
        self._files = files

    def paths(self) -> tuple[str, ...]:
        """Every plain file, sorted."""
        return tuple(sorted(self._files))

    def added(self, path: str) -> bool:
        """On disk everything counts as the submission's own."""
        return path in self._files

    def upstream(self, path: str) -> bool:
        """On disk nothing is known of the default branch."""
        return False

    def folder(self, folder: str) -> tuple[str, ...]:
        """Every plain file below `folder`."""
        prefix = folder + "/" if folder else ""
        return tuple(path for path in self.paths() if path.startswith(prefix))

    def size(self, path: str) -> int:
        """Size in bytes."""
        try:
            return self._file(path).stat(follow_symlinks=False).st_size
        except OSError as error:
            raise PgolfError(f"cannot read {path!r}: {error.strerror}") from error

    def read(self, path: str) -> bytes:
        """Content; `PgolfError` when it is over `MAX_READ`, or cannot be read, or is no plain file any more."""
        if (size := self.size(path)) > MAX_READ:
            raise PgolfError(f"{path!r} is too large to read: {size:,} bytes")
        return read_plain(self._file(path), path)

    def _file(self, path: str) -> Path:
        if path not in self._files:
            raise PgolfError(f"no such file in {str(self._root)!r}: {path!r}")
        return self._files[path]


def open_path(path: Path) -> Submission:
    """The submission at `path`, a folder or a script.

    Raises `PgolfError` when there is nothing to audit: no such path, no script, an empty or oversized one.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise PgolfError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except ValueError as error:
        raise PgolfError(f"not a path: {str(path)!r}") from error
    if stat.S_ISDIR(mode):
        return _open_folder(path)
    if stat.S_ISREG(mode):
        return _open_script(path)
    raise PgolfError(f"{str(path)!r} is neither a folder nor a plain file")


def read_plain(file: Path, shown: str) -> bytes:
    """Content of a file that must not be a link: the check and the reading use one descriptor."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise PgolfError(f"{shown!r} is not a plain file")
            return stream.read(MAX_READ + 1)[:MAX_READ]
    except OSError as error:
        raise PgolfError(f"cannot read {shown!r}: {error.strerror}") from error


def _open_folder(folder: Path) -> Submission:
    root = folder.resolve()
    if (root / "records").is_dir() and (root / "train_gpt.py").is_file():
        raise PgolfError(f"{str(folder)!r} is a whole checkout: name one submission's folder, records/<track>/<name>")
    name = root.name or "submission"
    files, notes = _walk(root, name)
    tree = DiskTree(root, files)
    choice = choose_script(tree, "", home=name)
    if choice.script is None:
        raise PgolfError(f"nothing to audit in {str(folder)!r}: {choice.reason}")
    return assemble_choice(Pull(target=Target(path=str(folder)), tree=tree, notes=notes), choice)


def _open_script(script: Path) -> Submission:
    if (size := script.stat().st_size) > MAX_CODE:
        raise PgolfError(f"{str(script)!r} is too large for a script: {size:,} bytes")
    if script.suffix != ".py":
        raise PgolfError(f"{str(script)!r} is no Python script: name the script or its folder")
    # A link that the user names is the user's own; links inside a folder are the submission's.
    script = script.resolve()
    root = script.parent
    name = root.name or "submission"
    files, notes = _walk(root, name, beside=True)
    tree = DiskTree(root, files)
    pull = Pull(target=Target(path=str(script)), tree=tree, notes=notes)
    return assemble_choice(pull, Choice(script=_shown(name, script.name), folder=name, because="it was named"))


def _walk(root: Path, name: str, beside: bool = False) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Plain files below `root`; with `beside`, only those directly in it or in `logs/`."""
    files: dict[str, Path] = {}
    notes: list[str] = []
    for current, folders, names in os.walk(root, followlinks=False):
        here = Path(current)
        folders[:] = sorted(f for f in folders if f not in _SKIPPED and not (here / f).is_symlink())
        if beside:
            folders[:] = [f for f in folders if here == root and f == "logs"]
        for one in sorted(names):
            file = here / one
            if file.is_symlink():
                notes.append(f"{one!r} is a link and was not followed")
            elif file.is_file():
                files[_shown(name, file.relative_to(root).as_posix())] = file
            if len(files) > MAX_FILES:
                raise PgolfError(f"{str(root)!r} holds more than {MAX_FILES:,} files: name the submission's own folder")
    return files, tuple(notes[:20])


def _shown(name: str, inside: str) -> str:
    """The path that is shown: bytes that are no UTF-8 become visible escapes."""
    return f"{name}/{inside}".encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
