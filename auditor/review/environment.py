"""How templates are rendered: sandboxed, strict about missing values, and escaping whatever is not known to be ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import PackageLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from auditor.report.escape import markdown_code, markdown_fence, markdown_message, markdown_text

_WIDTH = 1000
"""Characters of a quoted line: minified scripts have their whole evaluation in one."""
_HARD = "\x1f"
"""A line break of quoted text, while a template is rendered: escaped text holds no control characters."""


class Safe(str):
    """Markdown that may stand in a review as it is: our own words, or foreign text after its escape.

    What is made of it by `+`, `join` or `~` is a plain string again, and is escaped.
    """

    __slots__ = ()


def _shown(value: object) -> object:
    """What a `{{ }}` prints: `Safe` text as it is, other text escaped, numbers in digits, and nothing else.

    Undefined names are left to raise by themselves.
    """
    if isinstance(value, Safe | StrictUndefined):
        return value
    if isinstance(value, str):
        return markdown_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"a template prints {type(value).__name__}: {value!r}")


def code(text: str, limit: int = 200) -> Safe:
    """Foreign text as a code span."""
    return Safe(markdown_code(text, limit))


def message(text: str, limit: int = 1000) -> Safe:
    """A finding's message: what is in backticks becomes code, the rest is escaped."""
    return Safe(markdown_message(text, limit))


def fence(lines: list[str], language: str, *, max_lines: int) -> Safe:
    """Foreign lines as a fenced block; `language` is ours."""
    return Safe(markdown_fence(lines, language, max_lines=max_lines, width=_WIDTH).replace("\n", _HARD))


def listed(parts: list[Safe], between: str = ", ") -> Safe:
    """Safe parts in a row."""
    return Safe(between.join(parts))


@cache
def _environment() -> SandboxedEnvironment:
    return SandboxedEnvironment(
        loader=PackageLoader("auditor.review"),
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # that would be for HTML; `_shown` escapes for Markdown
    )


def fill(template: str, values: Mapping[str, Any]) -> str:
    """One template with its values, blank lines between paragraphs only."""
    text = _environment().get_template(template).render(values)
    text = re.sub(r"[ \t]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n").replace(_HARD, "\n") + "\n"
