"""The library functions that loaders of packed scripts call, computed here under bounds.

Each takes the evaluated arguments; what is not in the tables is not computed.
"""

from __future__ import annotations

import ast
import json
import lzma
from collections.abc import Callable, Sequence

from auditor.submission.unpack import decoders
from auditor.submission.unpack.decoders import CannotDecode
from auditor.submission.unpack.files import FILE_FUNCTIONS, Call, Keywords, argument, path_text, read_file
from auditor.submission.unpack.values import Archive, Decompressor, File, FilePath, State, Unknown, shown

_PARSE_LIMIT = 8 * 1024 * 1024
"""JSON and literals beyond this size cost too much memory once parsed."""
_ITEMS = 100_000


def binary(value: object) -> bytes:
    """A bytes argument; raises `CannotDecode` when it is none."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    raise CannotDecode("it decodes something that is not bytes")


def text_or_bytes(value: object) -> str | bytes:
    """A str or bytes argument; raises `CannotDecode` when it is neither."""
    return value if isinstance(value, str) else binary(value)


def _integer(value: object) -> int:
    if isinstance(value, int) and abs(value) < 2**31:
        return value
    raise CannotDecode("a number that could not be computed")


# Decoders


def _text_codec(codec: str) -> Call:
    def call(state: State, args: Sequence[object], keywords: Keywords) -> object:
        state.used(codec)
        options = (keywords.get("adobe", False), keywords.get("foldspaces", False))
        return decoders.from_text(codec, text_or_bytes(argument(args, keywords, 0, "s")), state.meter, *options)

    return call


def _unlzma(state: State, args: Sequence[object], keywords: Keywords) -> object:
    format = _integer(argument(args, keywords, 1, "format", lzma.FORMAT_AUTO))
    state.used("lzma-raw" if format == lzma.FORMAT_RAW else "lzma")
    return decoders.unlzma(binary(argument(args, keywords, 0, "data")), state.meter, format, keywords.get("filters"))


def _inflate(state: State, args: Sequence[object], keywords: Keywords) -> object:
    state.used("zlib")
    return decoders.inflate(binary(args[0]), state.meter, _integer(argument(args, keywords, 1, "wbits", 15)))


def _gunzip(state: State, args: Sequence[object], keywords: Keywords) -> object:
    state.used("gzip")
    return decoders.inflate(binary(argument(args, keywords, 0, "data")), state.meter, 31)


def _plain_decoder(name: str, decode: Callable[[bytes, decoders.Meter], bytes]) -> Call:
    def call(state: State, args: Sequence[object], keywords: Keywords) -> object:
        state.used(name)
        return decode(binary(argument(args, keywords, 0, "data")), state.meter)

    return call


def _decompressor(function: str) -> Call:
    def call(state: State, args: Sequence[object], keywords: Keywords) -> object:
        names = {"lzma.decompress": "format", "zlib.decompress": "wbits"}
        options = dict(keywords) | ({names[function]: args[0]} if args and function in names else {})
        return Decompressor(function, options)

    return call


def _marshal(state: State, args: Sequence[object], keywords: Keywords) -> object:
    raise CannotDecode("it loads compiled code with marshal, which is not read")


def _codecs(state: State, args: Sequence[object], keywords: Keywords) -> object:
    codec = argument(args, keywords, 1, "encoding", "utf-8")
    names = {"hex": "binascii.unhexlify", "base64": "base64.b64decode", "zlib": "zlib.decompress",
             "bz2": "bz2.decompress"}  # fmt: skip
    name = str(codec).replace("_codec", "").replace("-", "")
    if name in names:
        return FUNCTIONS[names[name]](state, [args[0]], {})
    if name == "rot13" and isinstance(args[0], str):
        state.used("rot13")
        shifted = {i: (i - b + 13) % 26 + b for b in (65, 97) for i in range(b, b + 26)}
        return args[0].translate(shifted)
    return binary(args[0]).decode(_text_encoding(codec))


def _text_encoding(codec: object) -> str:
    name = str(codec).lower().replace("_", "-")
    if name not in ("utf-8", "utf8", "ascii", "latin-1", "latin1", "iso-8859-1", "utf-8-sig", "utf-16", "utf-32"):
        raise CannotDecode(f"the codec {shown(name)} is not read")
    return name


# Parsing of bundles


def _json(state: State, args: Sequence[object], keywords: Keywords) -> object:
    data = text_or_bytes(args[0])
    if len(data) > _PARSE_LIMIT:
        raise CannotDecode("json: too large")
    state.used("json")
    return json.loads(data)


def _json_load(state: State, args: Sequence[object], keywords: Keywords) -> object:
    if isinstance(args[0], File):
        return _json(state, [args[0].content], {})
    raise CannotDecode("json: an unknown file")


def _literal(state: State, args: Sequence[object], keywords: Keywords) -> object:
    data = args[0]
    if not isinstance(data, str) or len(data) > _PARSE_LIMIT // 8:
        raise CannotDecode("literal_eval: not a short text")
    state.used("literal")
    return ast.literal_eval(data)


def _archive(name: str, decode: Callable[[bytes, decoders.Meter], dict[str, bytes]]) -> Call:
    def call(state: State, args: Sequence[object], keywords: Keywords) -> object:
        source = keywords.get("fileobj", argument(args, keywords, 0, "file"))
        data = source.content if isinstance(source, File) else state.disk.read(path_text(source))
        if isinstance(data, Unknown):
            return data
        state.used(name)
        return Archive(decode(binary(data), state.meter))

    return call


def _compressed_open(decode: Call) -> Call:
    def call(state: State, args: Sequence[object], keywords: Keywords) -> object:
        source = keywords.get("fileobj", argument(args, keywords, 0, "filename"))
        mode = argument(args, keywords, 1, "mode", "rb")
        data = source.content if isinstance(source, File) else read_file(state, path_text(source), False)
        if isinstance(data, Unknown):
            return File(data)
        options = {key: value for key, value in keywords.items() if key in ("format", "filters")}
        content = decode(state, [data], options)
        return File(content.decode() if isinstance(content, bytes) and "t" in str(mode) else content)

    return call


# Plain values


def _bytes(state: State, args: Sequence[object], keywords: Keywords) -> object:
    value = argument(args, keywords, 0, "source", b"")
    if isinstance(value, str):
        return value.encode(_text_encoding(argument(args, keywords, 1, "encoding", "utf-8")))
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, (list, tuple)) and len(value) <= decoders.OUTPUT_LIMIT:
        return bytes(value)
    raise CannotDecode("it builds bytes in a way that is not read")


def _string(state: State, args: Sequence[object], keywords: Keywords) -> object:
    value = args[0] if args else ""
    if isinstance(value, (bytes, bytearray)) and len(args) + len(keywords) > 1:
        return value.decode(_text_encoding(argument(args, keywords, 1, "encoding")))
    if isinstance(value, FilePath):
        return value.text
    if isinstance(value, (str, bool, float)) or (isinstance(value, int) and abs(value) < 2**63):
        return str(value)
    raise CannotDecode("it prints a value that is not read")


def _range(state: State, args: Sequence[object], keywords: Keywords) -> object:
    numbers = range(*(_integer(arg) for arg in args))
    if len(numbers) > _ITEMS:
        raise CannotDecode("its unpacking code takes too many steps")
    return list(numbers)


def _over_items(function: Callable[..., object]) -> Call:
    def call(state: State, args: Sequence[object], keywords: Keywords) -> object:
        lists = [items(arg) for arg in args]
        for values in lists:
            state.meter.take(len(values))
        return function(*lists)

    return call


def items(value: object) -> list[object]:
    """The items of something that can be iterated over, bounded."""
    if isinstance(value, dict):
        value = list(value)
    if not isinstance(value, (str, bytes, bytearray, list, tuple)):
        raise CannotDecode("a loop over something that could not be computed")
    if len(value) > 8 * _ITEMS:
        raise CannotDecode("its unpacking code takes too many steps")
    return list(value)


def _ignored(state: State, args: Sequence[object], keywords: Keywords) -> object:
    return None


def _arguments(state: State, args: Sequence[object], keywords: Keywords) -> object:
    value = args[0]
    if isinstance(value, (str, bytes, list, tuple, dict)):
        return len(value)
    raise CannotDecode("a length that could not be computed")


FUNCTIONS: dict[str, Call] = {
    **{f"base64.{name}decode": _text_codec(name) for name in ("b85", "a85", "b64", "urlsafe_b64", "b32", "b16")},
    "base64.standard_b64decode": _text_codec("b64"),
    "base64.decodebytes": _text_codec("b64"),
    "binascii.a2b_base64": _text_codec("b64"),
    "binascii.unhexlify": _text_codec("hex"),
    "binascii.a2b_hex": _text_codec("hex"),
    "bytes.fromhex": _text_codec("hex"),
    "lzma.decompress": _unlzma,
    "zlib.decompress": _inflate,
    "gzip.decompress": _gunzip,
    "bz2.decompress": _plain_decoder("bz2", decoders.unbz2),
    "brotli.decompress": _plain_decoder("brotli", decoders.unbrotli),
    "zstandard.decompress": _plain_decoder("zstd", decoders.unzstd),
    "zstd.decompress": _plain_decoder("zstd", decoders.unzstd),
    "compression.zstd.decompress": _plain_decoder("zstd", decoders.unzstd),
    "lzma.LZMADecompressor": _decompressor("lzma.decompress"),
    "zlib.decompressobj": _decompressor("zlib.decompress"),
    "bz2.BZ2Decompressor": _decompressor("bz2.decompress"),
    "brotli.Decompressor": _decompressor("brotli.decompress"),
    "zstandard.ZstdDecompressor": _decompressor("zstandard.decompress"),
    "marshal.loads": _marshal,
    "marshal.load": _marshal,
    "codecs.decode": _codecs,
    "json.loads": _json,
    "json.load": _json_load,
    "ast.literal_eval": _literal,
    "zipfile.ZipFile": _archive("zip", decoders.unzip),
    "tarfile.open": _archive("tar", decoders.untar),
    **FILE_FUNCTIONS,
    "lzma.open": _compressed_open(_unlzma),
    "lzma.LZMAFile": _compressed_open(_unlzma),
    "gzip.open": _compressed_open(_gunzip),
    "gzip.GzipFile": _compressed_open(_gunzip),
    "bz2.open": _compressed_open(_plain_decoder("bz2", decoders.unbz2)),
    "bytes": _bytes,
    "bytearray": _bytes,
    "str": _string,
    "len": _arguments,
    "range": _range,
    "list": _over_items(list),
    "tuple": _over_items(tuple),
    "zip": _over_items(lambda *lists: list(zip(*lists, strict=False))),
    "enumerate": _over_items(lambda values: list(enumerate(values))),
    "reversed": _over_items(lambda values: values[::-1]),
    "sorted": _over_items(sorted),
    "dict": _over_items(dict),
    **dict.fromkeys(
        (
            "print", "os.makedirs", "os.mkdir", "fcntl.flock", "sys.path.insert", "sys.path.append", "sys.exit",
            "os.chdir", "os.remove", "os.unlink", "linecache.lazycache", "linecache.checkcache",
            "warnings.filterwarnings",
        ),
        _ignored,
    ),
}  # fmt: skip
"""Dotted name of a library function -> how it is computed."""

CONSTANTS: dict[str, object] = {
    name: getattr(lzma, name.removeprefix("lzma."))
    for name in ("lzma.FORMAT_AUTO", "lzma.FORMAT_XZ", "lzma.FORMAT_ALONE", "lzma.FORMAT_RAW", "lzma.FILTER_LZMA1",
                 "lzma.FILTER_LZMA2", "lzma.FILTER_DELTA", "lzma.PRESET_EXTREME", "lzma.PRESET_DEFAULT",
                 "lzma.FILTER_X86", "lzma.MODE_NORMAL", "lzma.MODE_FAST", "lzma.MF_BT4", "lzma.MF_BT3",
                 "lzma.MF_BT2", "lzma.MF_HC3", "lzma.MF_HC4")
} | {"zlib.MAX_WBITS": 15, "os.sep": "/", "os.linesep": "\n", "__name__": "__main__"}  # fmt: skip
"""Library values that a decoding expression may name."""

HARMLESS = frozenset(FUNCTIONS) | {"sys.modules.get", "setattr", "getattr", "globals", "isinstance", "os.path.getsize",
                                  "SystemExit", "RuntimeError", "FileNotFoundError"}  # fmt: skip
"""Calls that belong to a loader: they leave nothing behind but what was run."""
