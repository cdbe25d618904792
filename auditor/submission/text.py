"""From the bytes of a Python file to its text, as Python itself would decode it.

The lowest step of reading a submission: unpacking and parsing both start here.
"""

from __future__ import annotations

import codecs
import io
import re
import tokenize

from auditor.verdict import PgolfError

LIMIT = 8 * 1024 * 1024
"""Largest source that is read, in bytes; the largest in the corpus is 1.6 MB."""

TOKEN_LIMIT = 500_000
"""Largest program, in words and signs; a syntax tree takes about 1 KB for each. The corpus has up to 200,000."""
_UNCOUNTED = 256 * 1024
"""Texts up to this length are not counted."""

_BOMS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_TOKEN = re.compile(r"\w+|[^\w\s]")
_TEXT_ENCODINGS = re.compile(r"utf-8(-sig)?|ascii|iso-8859-\d+|iso8859-\d+|latin-1|cp\d+|windows-\d+|koi8-[ru]")


class UnreadableSource(PgolfError):
    """The bytes or the text are not a Python program that this tool can read.

    `kind` says why, for the rules: `bytes` (not text at all), `broken` (no Python grammar accepts it),
    `grammar` (only a newer Python accepts it, and the fallback could not read it) or `deep` (nested too deeply).
    """

    def __init__(self, message: str, kind: str = "bytes", line: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.line = line


def read_source(data: bytes) -> str:
    """Decode a source file: byte-order mark, coding cookie, universal newlines.

    Raises `UnreadableSource` with one line that names what is wrong.
    """
    if len(data) > LIMIT:
        raise UnreadableSource(f"the source has {len(data):,} bytes; at most {LIMIT:,} are read")
    if not data.strip():
        raise UnreadableSource("the source is empty")
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            raise UnreadableSource(f"the source is {encoding}, which Python does not accept")
    if b"\0" in data:
        wide = data.count(0, 0, 4096) * 4 > min(len(data), 4096)
        reason = "it looks like UTF-16 without a byte-order mark" if wide else "Python does not accept it"
        raise UnreadableSource(f"the source holds a NUL byte at offset {data.index(0):,}; {reason}")
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableSource(f"the source is not valid {encoding}: bad byte in line {line}", line=line) from None
    text = text.removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def check_size(text: str) -> None:
    """Refuse a text whose syntax tree would not fit into memory; raises `UnreadableSource`."""
    if len(text) > LIMIT:
        raise UnreadableSource(f"the source has {len(text):,} characters; at most {LIMIT:,} are read", "deep")
    if len(text) > _UNCOUNTED and sum(1 for _ in _TOKEN.finditer(text)) > TOKEN_LIMIT:
        raise UnreadableSource(f"the program has more than {TOKEN_LIMIT:,} words and signs", "deep")


def _encoding(data: bytes) -> str:
    """The encoding by mark and cookie; only plain text encodings are allowed, no codec that transforms."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError as error:
        if "invalid or missing" in str(error):
            return "utf-8"  # bad bytes within the first two lines: decoding will say where
        raise UnreadableSource(f"the source has a bad coding line: {_plain(error)}", line=1) from None
    if not _TEXT_ENCODINGS.fullmatch(encoding):
        raise UnreadableSource(f"the source declares the encoding {_plain(encoding)}, which is not read", line=1)
    return encoding


def _plain(message: object) -> str:
    """Foreign text for an error line: printable ASCII, short."""
    return ascii(str(message)).strip("'\"")[:100]
