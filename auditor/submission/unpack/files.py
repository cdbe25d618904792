"""Files, paths and the ways in which a loader executes text: all on a pretended disk, nothing is opened or run."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence

from auditor.submission.unpack.decoders import CannotDecode
from auditor.submission.unpack.values import (
    Code,
    File,
    FilePath,
    How,
    Module,
    Namespace,
    Ref,
    Spec,
    State,
    Unknown,
    shown,
)

Keywords = Mapping[str, object]
Call = Callable[[State, Sequence[object], Keywords], object]


def argument(args: Sequence[object], keywords: Keywords, index: int, name: str, default: object = None) -> object:
    """One argument, by position or by name."""
    return args[index] if len(args) > index else keywords.get(name, default)


def path_text(value: object) -> str:
    """The text of a path argument; raises `CannotDecode` when it is none."""
    if isinstance(value, FilePath):
        return value.text
    if isinstance(value, str) and "\0" not in value:
        return value
    raise CannotDecode("a file name that could not be computed")


# Files and paths


def _open(state: State, args: Sequence[object], keywords: Keywords) -> object:
    path = path_text(argument(args, keywords, 0, "file"))
    return open_file(state, path, argument(args, keywords, 1, "mode", "r"))


def open_file(state: State, path: str, mode: object) -> object:
    """Open a file of the pretended disk."""
    if not isinstance(mode, str):
        raise CannotDecode("a file mode that could not be computed")
    if set(mode) & set("wxa+"):
        if "a" not in mode:
            state.disk.written[state.disk.place(path)] = b"" if "b" in mode else ""
        return File(path=path)
    return File(read_file(state, path, "b" not in mode), path)


def read_file(state: State, path: str, as_text: bool) -> object:
    """Content of a file, as text or bytes, or `Unknown`."""
    content = state.disk.read(path)
    if isinstance(content, Unknown):
        return content
    name = state.disk.sibling(path)
    inside = state.disk.place(path) not in state.disk.written and name is not None
    state.used(f"open({shown(posixpath.basename(path), 40)})" if inside else "file")
    if as_text and isinstance(content, bytes):
        return content.decode("utf-8-sig")
    if not as_text and isinstance(content, str):
        return content.encode()
    return content


def _pure_path(function: Callable[..., object]) -> Call:
    def call(state: State, args: Sequence[object], keywords: Keywords) -> object:
        return function(*(path_text(arg) for arg in args))

    return call


def _exists(state: State, args: Sequence[object], keywords: Keywords) -> object:
    found = not isinstance(state.disk.read(path_text(args[0])), Unknown)
    return True if found else Unknown("whether a file exists depends on the machine")


def _temporary_folder(state: State, args: Sequence[object], keywords: Keywords) -> object:
    return "/temporary"


def _named_file(state: State, args: Sequence[object], keywords: Keywords) -> object:
    suffix = keywords.get("suffix", "")
    path = f"/temporary/file-{len(state.disk.written)}{suffix if isinstance(suffix, str) else ''}"
    mode = argument(args, keywords, 0, "mode", "w+b")
    state.disk.written[path] = b"" if "b" in str(mode) else ""
    return File(path=path)


def _bytes_io(state: State, args: Sequence[object], keywords: Keywords) -> object:
    return File(args[0] if args else b"")


# Running


def _exec(state: State, args: Sequence[object], keywords: Keywords) -> object:
    source = args[0].source if isinstance(args[0], Code) else args[0]
    target = args[1] if len(args) > 1 else None
    module = target.module.name if isinstance(target, Namespace) and target.module is not None else None
    state.ran("exec", source, None if module == "__main__" else module)
    return None


def _compile(state: State, args: Sequence[object], keywords: Keywords) -> object:
    return Code(argument(args, keywords, 0, "source"))


def _run_path(state: State, args: Sequence[object], keywords: Keywords) -> object:
    run_file(state, "runpy", path_text(argument(args, keywords, 0, "path_name")), None)
    return None


def _run_module(state: State, args: Sequence[object], keywords: Keywords) -> object:
    name = argument(args, keywords, 0, "mod_name")
    if not isinstance(name, str):
        raise CannotDecode("it runs a module whose name could not be computed")
    found = state.disk.module(name)
    run_file(state, "runpy", found[0] if found else name.replace(".", "/") + ".py", None)
    return None


def run_file(state: State, how: How, path: str, module: str | None) -> None:
    """Record that a file is executed; a sibling's own name is kept, since its lines are then its own."""
    verbatim = None if state.disk.place(path) in state.disk.written else state.disk.sibling(path)
    content = read_file(state, path, False)
    state.ran(how, content, module, verbatim)


def _spec(state: State, args: Sequence[object], keywords: Keywords) -> object:
    name, path = argument(args, keywords, 0, "name"), argument(args, keywords, 1, "location")
    return Spec(name if isinstance(name, str) else "module", path_text(path))


def _module_from_spec(state: State, args: Sequence[object], keywords: Keywords) -> object:
    return Module(args[0].name if isinstance(args[0], Spec) else "module")


def _module_type(state: State, args: Sequence[object], keywords: Keywords) -> object:
    return Module(str(argument(args, keywords, 0, "name", "module")))


def _import(state: State, args: Sequence[object], keywords: Keywords) -> object:
    name = args[0]
    if not isinstance(name, str):
        raise CannotDecode("it imports a module whose name could not be computed")
    return import_module(state, name)


def import_module(state: State, name: str) -> object:
    """Import by name: a module that the loader wrote is a run, all others are library references."""
    found = state.disk.module(name)
    if found is None:
        return Ref(name)
    state.used("file")
    state.ran("import", found[1], name)
    return Module(name)


def _process(state: State, args: Sequence[object], keywords: Keywords) -> object:
    """A child process: only a file that the loader itself has written is followed."""
    command = args[-1] if isinstance(args[-1], list) else args[0]
    words = command if isinstance(command, (list, tuple)) else ()
    if not any(word == Ref("sys.executable") or (isinstance(word, str) and "python" in word) for word in words):
        return Unknown("the result of another process")
    for word in words:
        if isinstance(word, (str, FilePath)) and state.disk.place(path_text(word)) in state.disk.written:
            run_file(state, "subprocess", path_text(word), None)
            break
    return Unknown("the result of another process")


def _replace_process(state: State, args: Sequence[object], keywords: Keywords) -> object:
    words = [word for arg in args for word in (arg if isinstance(arg, (list, tuple)) else [arg])]
    return _process(state, [words], {})


FILE_FUNCTIONS: dict[str, Call] = {
    "open": _open,
    "io.open": _open,
    "io.BytesIO": _bytes_io,
    "io.StringIO": _bytes_io,
    "os.path.join": _pure_path(posixpath.join),
    "os.path.dirname": _pure_path(posixpath.dirname),
    "os.path.basename": _pure_path(posixpath.basename),
    "os.path.abspath": _pure_path(lambda path: posixpath.normpath(path)),
    "os.path.realpath": _pure_path(lambda path: posixpath.normpath(path)),
    "os.path.normpath": _pure_path(posixpath.normpath),
    "os.path.splitext": _pure_path(posixpath.splitext),
    "os.path.split": _pure_path(posixpath.split),
    "os.path.exists": _exists,
    "os.path.isfile": _exists,
    "os.fspath": _pure_path(lambda path: path),
    "pathlib.Path": _pure_path(lambda *parts: FilePath(posixpath.join(*parts) if parts else ".")),
    "pathlib.PurePath": _pure_path(lambda *parts: FilePath(posixpath.join(*parts) if parts else ".")),
    "tempfile.mkdtemp": _temporary_folder,
    "tempfile.gettempdir": _temporary_folder,
    "tempfile.TemporaryDirectory": _temporary_folder,
    "tempfile.NamedTemporaryFile": _named_file,
    "exec": _exec,
    "compile": _compile,
    "runpy.run_path": _run_path,
    "runpy.run_module": _run_module,
    "importlib.util.spec_from_file_location": _spec,
    "importlib.util.module_from_spec": _module_from_spec,
    "importlib.import_module": _import,
    "__import__": _import,
    "types.ModuleType": _module_type,
    **{f"subprocess.{name}": _process for name in ("run", "call", "check_call", "check_output", "Popen")},
    **{f"os.{name}": _replace_process for name in ("execv", "execve", "execvp", "execl", "execlp", "execvpe")},
}
"""Dotted name of a function on files, paths and programs -> how it is followed."""
