"""Decoders for packed source, each bounded in output, ratio and memory.

Nothing here trusts a size that the data declares: output is produced in slices, and counted before the next one.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import importlib
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

OUTPUT_LIMIT = 32 * 1024 * 1024
"""Bytes that all decoders together may put out for one script."""
RATIO_LIMIT = 200
"""Source code packs 3:1 to 10:1; far above that it is a bomb."""
RATIO_FREE = 1024 * 1024
"""Outputs up to this size are not held against the ratio."""
DICTIONARY_LIMIT = 64 * 1024 * 1024
"""Largest LZMA dictionary; preset 9 asks for 64 MiB."""
MEMBER_LIMIT = 4096
"""Files in one archive."""
_SLICE = 256 * 1024
_DIRECTORY_LIMIT = 1024 * 1024
_PRESET_DICTIONARY = (18, 20, 21, 22, 22, 23, 23, 24, 25, 26)


class CannotDecode(Exception):
    """The data is damaged, or a bound was hit; the message says which."""


@dataclass
class Meter:
    """What one script may still cost: bytes put out by decoders, and steps of the evaluator."""

    output: int = OUTPUT_LIMIT
    steps: int = 400_000

    @property
    def spent(self) -> bool:
        """Whether nothing more can be computed."""
        return self.output < 0 or self.steps < 0

    def take(self, size: int) -> None:
        """Count `size` bytes of output; raises `CannotDecode` at the limit."""
        self.output -= size
        if self.output < 0:
            raise CannotDecode(f"unpacks to more than {OUTPUT_LIMIT // 2**20} MiB")

    def step(self) -> None:
        """Count one evaluated expression; raises `CannotDecode` at the limit."""
        self.steps -= 1
        if self.steps < 0:
            raise CannotDecode("its unpacking code takes too many steps")


def _collect(slices: Iterator[bytes], packed: int, meter: Meter) -> bytes:
    """Join the slices of one decoder while they stay within the bounds."""
    parts: list[bytes] = []
    size = 0
    for part in slices:
        size += len(part)
        meter.take(len(part))
        if size > RATIO_FREE and size > RATIO_LIMIT * packed:
            raise CannotDecode(f"unpacks to more than {RATIO_LIMIT} times its size")
        parts.append(part)
    return b"".join(parts)


def _slices(handle: IO[bytes]) -> Iterator[bytes]:
    while part := handle.read(_SLICE):
        yield part


def unlzma(data: bytes, meter: Meter, format: int = lzma.FORMAT_AUTO, filters: object = None) -> bytes:
    """`lzma.decompress`, bounded. Raw streams have no memory limit of their own, so their dictionary is capped."""
    if format not in (lzma.FORMAT_AUTO, lzma.FORMAT_XZ, lzma.FORMAT_ALONE, lzma.FORMAT_RAW):
        raise CannotDecode("lzma: unknown format")
    raw = format == lzma.FORMAT_RAW
    chain = _filters(filters) if raw else None

    def start() -> lzma.LZMADecompressor:
        if raw:
            return lzma.LZMADecompressor(format=format, filters=chain)
        return lzma.LZMADecompressor(format=format, memlimit=DICTIONARY_LIMIT + 2**22)

    def slices() -> Iterator[bytes]:
        rest, streams = data, 0
        while rest:
            decoder = start()
            try:
                yield decoder.decompress(rest, _SLICE)
                while not decoder.eof:
                    part = decoder.decompress(b"", _SLICE)
                    if not part and decoder.needs_input:
                        raise CannotDecode("lzma: the data ends too early")
                    yield part
            except lzma.LZMAError as error:
                if streams:  # Python ignores what follows a complete stream.
                    return
                raise CannotDecode(f"lzma: {error}") from None
            rest, streams = decoder.unused_data, streams + 1
            if streams > MEMBER_LIMIT:
                raise CannotDecode("lzma: too many streams")

    if not data:
        raise CannotDecode("lzma: the data ends too early")
    try:
        return _collect(slices(), len(data), meter)
    except (ValueError, TypeError, OverflowError) as error:
        raise CannotDecode(f"lzma: {error}") from None


def _filters(filters: object) -> list[dict[str, int]]:
    """A raw filter chain as plain data; raises `CannotDecode` when it is none or asks for a huge dictionary."""
    if not isinstance(filters, Sequence) or isinstance(filters, (str, bytes)) or not 1 <= len(filters) <= 4:
        raise CannotDecode("lzma: raw data without a filter chain")
    chain: list[dict[str, int]] = []
    for item in filters:
        if not isinstance(item, Mapping) or not all(isinstance(k, str) and isinstance(v, int) for k, v in item.items()):
            raise CannotDecode("lzma: a filter chain that is not plain data")
        preset = item.get("preset", lzma.PRESET_DEFAULT) & 0x1F
        dictionary = item.get("dict_size", 2 ** _PRESET_DICTIONARY[preset] if preset < 10 else 0)
        if not 0 < dictionary <= DICTIONARY_LIMIT:
            raise CannotDecode(f"lzma: a dictionary of more than {DICTIONARY_LIMIT // 2**20} MiB")
        chain.append(dict(item))
    return chain


def inflate(data: bytes, meter: Meter, wbits: int = zlib.MAX_WBITS) -> bytes:
    """`zlib.decompress`; with `wbits` 31 also `gzip.decompress` over all members."""

    def slices() -> Iterator[bytes]:
        rest, members = data, 0
        while True:
            decoder = zlib.decompressobj(wbits)
            pending = rest
            while not decoder.eof:
                part = decoder.decompress(pending, _SLICE)
                pending = decoder.unconsumed_tail
                if not part and not pending and not decoder.eof:
                    raise CannotDecode("zlib: the data ends too early")
                yield part
            rest, members = decoder.unused_data.lstrip(b"\0"), members + 1
            if wbits < 16 or not rest:
                return
            if members > MEMBER_LIMIT:
                raise CannotDecode("gzip: too many members")

    try:
        return _collect(slices(), len(data), meter)
    except (zlib.error, ValueError, OverflowError) as error:
        raise CannotDecode(f"zlib: {error}") from None


def unbz2(data: bytes, meter: Meter) -> bytes:
    """`bz2.decompress` over all streams, bounded."""

    def slices() -> Iterator[bytes]:
        rest, streams = data, 0
        while rest:
            decoder = bz2.BZ2Decompressor()
            try:
                yield decoder.decompress(rest, _SLICE)
                while not decoder.eof:
                    if decoder.needs_input:
                        raise CannotDecode("bz2: the data ends too early")
                    yield decoder.decompress(b"", _SLICE)
            except OSError as error:
                if streams:
                    return
                raise CannotDecode(f"bz2: {error}") from None
            rest, streams = decoder.unused_data, streams + 1
            if streams > MEMBER_LIMIT:
                raise CannotDecode("bz2: too many streams")

    if not data:
        raise CannotDecode("bz2: the data ends too early")
    return _collect(slices(), len(data), meter)


def unbrotli(data: bytes, meter: Meter) -> bytes:
    """`brotli.decompress`, bounded; needs the optional package `brotli` (1.2 or later, for its output limit)."""
    try:
        import brotli
    except ImportError:
        raise CannotDecode("brotli: the package `brotli` is not installed here") from None

    def slices() -> Iterator[bytes]:
        decoder = brotli.Decompressor()
        yield decoder.process(data, output_buffer_limit=_SLICE)
        while not decoder.is_finished():
            part = decoder.process(b"", output_buffer_limit=_SLICE)
            if not part and decoder.can_accept_more_data():
                raise CannotDecode("brotli: the data ends too early")
            yield part

    try:
        return _collect(slices(), len(data), meter)
    except (brotli.error, TypeError) as error:
        raise CannotDecode(f"brotli: {error}") from None


def unzstd(data: bytes, meter: Meter) -> bytes:
    """`zstandard` decompression, bounded; needs the optional package `zstandard`."""
    try:
        zstandard: Any = importlib.import_module("zstandard")
    except ImportError:
        raise CannotDecode("zstd: the package `zstandard` is not installed here") from None

    def slices() -> Iterator[bytes]:
        decoder = zstandard.ZstdDecompressor(max_window_size=DICTIONARY_LIMIT)
        with decoder.stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
            while part := reader.read(_SLICE):
                yield part

    try:
        return _collect(slices(), len(data), meter)
    except zstandard.ZstdError as error:
        raise CannotDecode(f"zstd: {error}") from None


def from_text(codec: str, data: str | bytes, meter: Meter, *options: object) -> bytes:
    """The text codecs of `base64` and `binascii`, by the name of the function."""
    try:
        raw = data.encode("ascii") if isinstance(data, str) else data
        out: bytes
        match codec:
            case "b85":
                out = base64.b85decode(raw)
            case "a85":
                adobe, foldspaces = bool(options[0]), bool(options[1])
                out = base64.a85decode(raw, adobe=adobe, foldspaces=foldspaces)
            case "b64":
                out = base64.b64decode(raw)
            case "urlsafe_b64":
                out = base64.urlsafe_b64decode(raw)
            case "b32":
                out = base64.b32decode(raw)
            case "b16":
                out = base64.b16decode(raw, casefold=True)
            case _:
                out = bytes.fromhex(raw.decode("ascii"))
    except (ValueError, binascii.Error, UnicodeError) as error:
        raise CannotDecode(f"{codec}: {error}") from None
    meter.take(len(out))
    return out


def unzip(data: bytes, meter: Meter) -> dict[str, bytes]:
    """The files of a zip archive by name; stored, deflate and bzip2 members."""
    end = data.rfind(b"PK\x05\x06")
    directory = int.from_bytes(data[end + 12 : end + 16], "little") if end >= 0 else 0
    if end < 0 or directory > _DIRECTORY_LIMIT or b"PK\x06\x07" in data[max(0, end - 64) : end]:
        raise CannotDecode("zip: no readable directory")
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            if len(members) > MEMBER_LIMIT:
                raise CannotDecode("zip: too many files")
            for info in members:
                # LZMA members choose their own dictionary size, which zipfile does not bound.
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
                    raise CannotDecode("zip: a compression method that is not read")
                with archive.open(info) as member:
                    files[info.filename] = _collect(_slices(member), len(data), meter)
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError, EOFError) as error:
        raise CannotDecode(f"zip: {error}") from None
    return files


def untar(data: bytes, meter: Meter) -> dict[str, bytes]:
    """The files of a tar archive by name; compressed archives are told by their first bytes."""
    if data.startswith(b"\x1f\x8b"):
        data = inflate(data, meter, 31)
    elif data.startswith(b"\xfd7zXZ"):
        data = unlzma(data, meter)
    elif data.startswith(b"BZh"):
        data = unbz2(data, meter)
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            while member := archive.next():
                if len(files) >= MEMBER_LIMIT:
                    raise CannotDecode("tar: too many files")
                handle = archive.extractfile(member) if member.isreg() else None
                if handle is not None:
                    files[member.name] = _collect(_slices(handle), len(data), meter)
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise CannotDecode(f"tar: {error}") from None
    return files
