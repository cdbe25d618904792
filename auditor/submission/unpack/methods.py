"""Methods and operators on the values of a loader, bounded before anything large is built."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Sequence

from auditor.submission.unpack.decoders import CannotDecode
from auditor.submission.unpack.files import Keywords, argument, open_file, path_text, read_file, run_file
from auditor.submission.unpack.library import FUNCTIONS, items, text_or_bytes
from auditor.submission.unpack.values import (
    Archive,
    Decompressor,
    File,
    FilePath,
    Module,
    Namespace,
    Ref,
    Spec,
    State,
    Unknown,
)

_TEXT_METHODS = frozenset(
    [
        "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "startswith", "endswith", "lower", "upper",
        "partition", "rpartition", "removeprefix", "removesuffix", "hex", "find", "index", "swapcase", "isdigit",
    ]
)  # fmt: skip


def attribute(value: object, name: str, state: State) -> object:
    """`value.name`."""
    if isinstance(value, Ref):
        return Ref(f"{value.name}.{name}")
    if isinstance(value, FilePath):
        return _path_attribute(value, name)
    if isinstance(value, Module):
        if name == "__dict__":
            return Namespace(value)
        return value.attributes.get(name, value.name if name == "__name__" else Unknown(f"the attribute {name}"))
    if isinstance(value, Spec) and name == "loader":
        return value
    if isinstance(value, File) and name == "name" and value.path is not None:
        return value.path
    return value if isinstance(value, Unknown) else Unknown(f"the attribute {name}")


def _path_attribute(path: FilePath, name: str) -> object:
    match name:
        case "parent":
            return FilePath(posixpath.dirname(path.text) or ".")
        case "parents":
            parents = [FilePath(posixpath.dirname(path.text) or ".")]
            while posixpath.dirname(parents[-1].text) not in ("", parents[-1].text) and len(parents) < 100:
                parents.append(FilePath(posixpath.dirname(parents[-1].text)))
            return parents
        case "name":
            return posixpath.basename(path.text)
        case "stem":
            return posixpath.splitext(posixpath.basename(path.text))[0]
        case "suffix":
            return posixpath.splitext(path.text)[1]
    return Unknown(f"the attribute {name}")


def call_method(value: object, name: str, args: Sequence[object], keywords: Keywords, state: State) -> object:
    """`value.name(*args, **keywords)`; raises `CannotDecode` where the result cannot be computed."""
    match value:
        case str() | bytes() | bytearray():
            return _text_method(bytes(value) if isinstance(value, bytearray) else value, name, args, keywords, state)
        case FilePath():
            return _path_method(value, name, args, keywords, state)
        case File():
            return _file_method(value, name, args, state)
        case Decompressor() if name in ("decompress", "process"):
            return FUNCTIONS[value.function](state, args[:1], value.options)
        case Archive():
            return _archive_method(value, name, args, keywords, state)
        case Spec() if name == "exec_module" and isinstance(args[0], Module):
            renamed = args[0].attributes.get("__name__", args[0].name)
            run_file(state, "importlib", value.path, None if renamed == "__main__" else str(renamed))
            return None
        case Spec() if name == "load_module":
            run_file(state, "importlib", value.path, value.name)
            return Module(value.name)
        case dict():
            return _dict_method(value, name, args)
        case list() if name in ("append", "extend"):
            new = [args[0]] if name == "append" else items(args[0])
            state.meter.take(8 * len(new))
            value.extend(new)
            return None
    raise CannotDecode(f"the method {name}")


def _text_method(value: str | bytes, name: str, args: Sequence[object], keywords: Keywords, state: State) -> object:
    codec = argument(args, keywords, 0, "encoding", "utf-8")
    if name == "encode" and isinstance(value, str):
        return FUNCTIONS["bytes"](state, [value, codec], {})
    if name == "decode" and isinstance(value, bytes):
        return FUNCTIONS["codecs.decode"](state, [value, codec], {})
    if name == "join":
        parts = items(args[0])
        state.meter.take(sum(len(text_or_bytes(part)) for part in parts) + len(value) * len(parts))
        return value.join(parts)  # type: ignore[arg-type]
    if name == "replace":
        old, new = text_or_bytes(args[0]), text_or_bytes(args[1])
        hits = value.count(old)  # type: ignore[arg-type]
        state.meter.take(len(value) + hits * max(0, len(new) - len(old)))
        return value.replace(old, new)  # type: ignore[arg-type]
    if name == "translate":
        table = args[0]
        mapped = table.values() if isinstance(table, dict) else ()
        if any(isinstance(new, str) and len(new) > 1 for new in mapped):
            raise CannotDecode("a translation table that is not read")
        state.meter.take(len(value))
        return value.translate(*args)  # type: ignore[arg-type]
    if name == "maketrans" and all(isinstance(arg, (str, bytes)) for arg in args):
        return value.maketrans(*args)  # type: ignore[call-overload, arg-type]
    if name in _TEXT_METHODS:
        state.meter.take(len(value))
        return getattr(value, name)(*args, **keywords)
    raise CannotDecode(f"the method {name}")


def _path_method(path: FilePath, name: str, args: Sequence[object], keywords: Keywords, state: State) -> object:
    match name:
        case "resolve" | "absolute" | "expanduser":
            return FilePath(state.disk.place(path.text))
        case "joinpath":
            return FilePath(posixpath.join(path.text, *(path_text(arg) for arg in args)))
        case "with_suffix":
            return FilePath(posixpath.splitext(path.text)[0] + str(args[0]))
        case "with_name":
            return FilePath(posixpath.join(posixpath.dirname(path.text), path_text(args[0])))
        case "as_posix":
            return path.text
        case "exists" | "is_file":
            return FUNCTIONS["os.path.exists"](state, [path.text], {})
        case "read_bytes":
            return read_file(state, path.text, False)
        case "read_text":
            return read_file(state, path.text, True)
        case "open":
            return open_file(state, path.text, argument(args, keywords, 0, "mode", "r"))
        case "write_bytes" | "write_text":
            state.disk.written.pop(state.disk.place(path.text), None)
            state.disk.write(path.text, args[0])
            return None
        case "mkdir" | "unlink":
            return None
    raise CannotDecode(f"the method {name}")


def _file_method(file: File, name: str, args: Sequence[object], state: State) -> object:
    if name == "read":
        content, file.content = file.content, b"" if isinstance(file.content, bytes) else ""
        return content
    if name == "write" and file.path is not None:
        state.disk.write(file.path, args[0])
        return None
    if name in ("close", "flush", "seek", "fileno"):
        return None
    raise CannotDecode(f"the method {name}")


def _archive_method(archive: Archive, name: str, args: Sequence[object], keywords: Keywords, state: State) -> object:
    match name:
        case "namelist" | "getnames":
            return list(archive.files)
        case "read" | "open" | "extractfile" if isinstance(args[0], str) and args[0] in archive.files:
            data = archive.files[args[0]]
            return data if name == "read" else File(data)
        case "extractall":
            folder = path_text(argument(args, keywords, 0, "path", "."))
            for member, data in archive.files.items():
                state.disk.written[state.disk.place(posixpath.join(folder, member))] = data
            return None
        case "close":
            return None
    raise CannotDecode(f"the archive method {name}")


def _dict_method(value: dict[object, object], name: str, args: Sequence[object]) -> object:
    match name:
        case "items":
            return [tuple(pair) for pair in value.items()]
        case "keys":
            return list(value)
        case "values":
            return list(value.values())
        case "get" | "pop":
            return value.get(args[0], args[1] if len(args) > 1 else None)
    raise CannotDecode(f"the method {name}")


def operate(op: ast.operator, left: object, right: object, state: State) -> object:
    """A binary operation; raises `CannotDecode` or a plain Python error."""
    match op, left, right:
        case ast.Add(), str(), str():
            state.meter.take(len(left) + len(right))
            return left + right
        case ast.Add(), bytes(), bytes():
            state.meter.take(len(left) + len(right))
            return left + right
        case ast.Add(), list(), list():
            state.meter.take(8 * (len(left) + len(right)))
            return left + right
        case ast.Mult(), str() | bytes(), int():
            state.meter.take(len(left) * max(0, right))
            return left * right
        case ast.Div(), FilePath(), _:
            return FilePath(posixpath.join(left.text, path_text(right)))
        case ast.Mod(), str(), str() | tuple() if "*" not in left and not any(c.isdigit() for c in left):
            values = right if isinstance(right, tuple) else (right,)
            state.meter.take(len(left) + sum(len(v) if isinstance(v, str) else 20 for v in values))
            return left % right
        case _, int(), int() if max(abs(left), abs(right)) < 2**62:
            return _arithmetic(op, left, right)
    raise CannotDecode("an operation that is not read")


def _arithmetic(op: ast.operator, left: int, right: int) -> int:
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.FloorDiv():
            return left // right
        case ast.Mod():
            return left % right
        case ast.BitXor():
            return left ^ right
        case ast.BitAnd():
            return left & right
        case ast.BitOr():
            return left | right
        case ast.RShift() if 0 <= right < 64:
            return left >> right
        case ast.LShift() if 0 <= right < 64:
            return left << right
    raise CannotDecode("an operation that is not read")


def compare(op: ast.cmpop, left: object, right: object) -> object:
    """A comparison of plain values, else `Unknown`."""
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return Unknown("a comparison with an unknown value")
    try:
        match op:
            case ast.Eq():
                return left == right
            case ast.NotEq():
                return left != right
            case ast.Is():
                return left is right
            case ast.IsNot():
                return left is not right
            case ast.In() if isinstance(right, (str, bytes, list, tuple, dict)):
                return left in right
            case ast.NotIn() if isinstance(right, (str, bytes, list, tuple, dict)):
                return left not in right
            case ast.Lt() if isinstance(left, int) and isinstance(right, int):
                return left < right
            case ast.LtE() if isinstance(left, int) and isinstance(right, int):
                return left <= right
            case ast.Gt() if isinstance(left, int) and isinstance(right, int):
                return left > right
            case ast.GtE() if isinstance(left, int) and isinstance(right, int):
                return left >= right
    except TypeError:
        pass
    return Unknown("a comparison that is not read")
