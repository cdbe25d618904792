"""A rule's text, read from the docstring of the module that defines it.

The docstring starts with a one-line summary; sections follow under headings such as *What it does*,
*Why it matters*, *What helps*, *Limits*. A heading is a line that is one of the known titles, with or without Markdown
marks, a colon or an underline.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rules.base import Rule

HEADINGS = ("What it does", "Why it matters", "What helps", "Limits")
_UNDERLINE = re.compile(r"[-=~^]{3,}")


@dataclass(frozen=True)
class RuleText:
    """The parts of a rule's docstring; `body` is the whole of it."""

    summary: str
    sections: tuple[tuple[str, str], ...]
    """(heading, text) in the order written; text before the first heading has the heading ''."""
    body: str

    def section(self, heading: str) -> str:
        """The text under a heading, or ''."""
        return dict(self.sections).get(heading, "")


def read(rule: Rule) -> RuleText:
    """The text of one rule; empty parts where the module has no docstring."""
    module = sys.modules[type(rule).__module__]  # inspect.getmodule walks through all modules
    return parse(inspect.cleandoc(module.__doc__ or ""))


def parse(body: str) -> RuleText:
    """Split a cleaned docstring into its parts."""
    lines = body.splitlines()
    summary = lines[0].strip() if lines else ""
    sections: list[tuple[str, list[str]]] = [("", [])]
    for line in lines[1:]:
        heading = _heading(line)
        if heading:
            sections.append((heading, []))
        elif not (_UNDERLINE.fullmatch(line.strip()) and not sections[-1][1]):
            sections[-1][1].append(line)
    texts = ((heading, "\n".join(text).strip()) for heading, text in sections)
    return RuleText(summary, tuple((heading, text) for heading, text in texts if text), body)


def _heading(line: str) -> str:
    bare = line.strip().strip("#*_: ").rstrip(".").lower()
    return next((name for name in HEADINGS if name.lower() == bare), "")
