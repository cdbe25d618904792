"""Source that a script executes itself, out of a string: compiled with its caller's `__future__` flags, lines kept.

Most packed scripts are unpacked before they are staged; this serves what is decoded while the script runs. Each text is
given to `linecache` under a name of its own, so that tracebacks and taps see its lines.
"""

from __future__ import annotations
import __future__

import builtins
import linecache
import sys
from functools import reduce
from typing import Any

FUTURE = reduce(lambda flags, name: flags | getattr(__future__, name).compiler_flag, __future__.all_feature_names, 0)
"""All bits of compiler flags that a `__future__` import sets."""

real_compile = builtins.compile
real_exec = builtins.exec
_count = 0


def remember(text: str) -> str:
    """Keep a text for tracebacks; gives the file name that it goes by."""
    global _count
    _count += 1
    name = f"<packed {_count}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    return name


def as_text(source: Any) -> Any:
    """Source as text; byte-order marks are dropped, anything else stays as it is."""
    if isinstance(source, bytes | bytearray | memoryview):
        source = bytes(source).decode("utf-8", "surrogateescape")
    return source.removeprefix("\ufeff") if isinstance(source, str) else source


def install() -> None:
    """Replace `exec` and `compile`."""

    def compile_(source: Any, filename: Any, mode: str, flags: int = 0, dont_inherit: bool = False,
                 optimize: int = -1, **options: Any) -> Any:  # fmt: skip
        if not dont_inherit:
            flags |= sys._getframe(1).f_code.co_flags & FUTURE
        text = as_text(source)
        if mode == "exec" and isinstance(text, str) and "\n" in text:
            name = str(filename)
            filename = remember(text) if name.startswith("<") else filename
        return real_compile(text, filename, mode, flags, True, optimize, **options)

    def exec_(source: Any, globals: Any = None, locals: Any = None, /, **options: Any) -> None:
        caller = sys._getframe(1)
        if globals is None:
            globals, locals = caller.f_globals, caller.f_locals if locals is None else locals
        text = as_text(source)
        if isinstance(text, str):
            source = real_compile(text, remember(text), "exec", caller.f_code.co_flags & FUTURE, True)
        real_exec(source, globals, globals if locals is None else locals, **options)

    builtins.compile = compile_
    builtins.exec = exec_
