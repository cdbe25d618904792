"""Reads literate cases: Markdown whose code blocks carry, as comments, what the analysis must find on each line.

A second-level heading starts a case. Its parts:

- a ```py block: the script; when it defines `evaluate(s, model, val)` and imports nothing, the rest of a miniature
  submission is put around it (`rules.miniature`). A block after a line such as `` `helpers.py`: `` is a sibling module;
- a ```toml block: how the run was started (`env`, `command`, `argv`, `nproc`, `printed`) and what was claimed of it
  (`claim`, `title`), ```log blocks: what its runs printed;
- a line `<!-- xfail: reason -->`: a known gap.

What the comments assert, several of them separated by `;`:

- `# event: KIND words`: an event whose (last) line in the block is this one. KIND is a kind of a printed timeline, or
  APPLY, where an update takes effect. Words narrow it down: see `words_of_events`. A kind that a case asserts anywhere,
  it asserts completely: any other event of that kind in the block is an error, and `# no event: KIND` asserts none;
- `# finding: RULE LEVEL ACTIVATION`: a finding of a violation, here; `# finding elsewhere: ...`: one outside of the
  block. No other one may be there. The last two words are optional;
- `# verdict: VERDICT CLASS`, anywhere in the block: the outcome;
- `# config: NAME=VALUE SOURCE`: a setting of the run, as the report has it; the source may be cut short.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rules.miniature import script

MAIN = ""


@dataclass(frozen=True)
class Assertion:
    """One thing that a comment asserts of its line."""

    kind: str
    words: tuple[str, ...]
    file: str
    line: int
    """Line in the assembled file."""

    @property
    def where(self) -> tuple[str, int] | None:
        """The place that it speaks of; None where that is outside of the block."""
        return None if self.kind.endswith("elsewhere") else (self.file, self.line)

    def __str__(self) -> str:
        return f"{self.file or 'script'}:{self.line}: {self.kind}: {' '.join(self.words)}"


@dataclass
class Case:
    """One case: files, configuration, and what is asserted."""

    name: str
    source: Path
    line: int
    code: str = ""
    first: int = 1
    last: int = 0
    """The lines of the assembled script that the case shows."""
    modules: dict[str, str] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    logs: list[str] = field(default_factory=list)
    xfail: str = ""
    asserted: list[Assertion] = field(default_factory=list)


_COMMENT = re.compile(r"#\s*((?:no event|event|finding elsewhere|finding|verdict|config):.*)$")


def read_cases(path: Path) -> Iterator[Case]:
    """The cases of one file, in order; raises `ValueError` for a part that is not understood."""
    case: Case | None = None
    lines = iter(enumerate(path.read_text(encoding="utf-8").splitlines(), 1))
    module = MAIN
    for number, line in lines:
        if line.startswith("## "):
            if case is not None:
                yield case
            case = Case(line[3:].strip(), path, number)
            module = MAIN
        elif match := re.fullmatch(r"`([\w./]+)\.py`:", line.strip()):
            module = match[1].replace("/", ".")
        elif match := re.fullmatch(r"<!-- xfail: (.+) -->", line.strip()):
            assert case is not None
            case.xfail = match[1]
        elif line.startswith("```"):
            if case is None:
                raise ValueError(f"{path.name}:{number}: a block before the first case")
            body = []
            for _, inside in lines:
                if inside.startswith("```"):
                    break
                body.append(inside)
            add_block(case, line[3:].strip(), "\n".join(body) + "\n", module, number)
            module = MAIN
    if case is not None:
        yield case


def add_block(case: Case, language: str, text: str, module: str, number: int) -> None:
    """Add one fenced block to a case."""
    if language == "toml":
        case.run = tomllib.loads(text)
    elif language == "log":
        case.logs.append(text)
    elif language == "py" and module:
        case.modules[module] = text
        case.asserted += assertions(text, module, 1)
    elif language == "py":
        if case.code:
            raise ValueError(f"{case.source.name}:{number}: a second script in one case")
        case.code, case.first = text, 1
        if "def evaluate(s, model, val)" in text and not re.search(r"^(import|from) torch", text, re.MULTILINE):
            case.code = script(text)
            case.first = case.code[: case.code.index(text.strip("\n"))].count("\n") + 1
        case.last = case.first + text.strip("\n").count("\n")
        case.asserted += assertions(text.strip("\n"), MAIN, case.first)
    else:
        raise ValueError(f"{case.source.name}:{number}: a block of {language!r}")


def assertions(text: str, file: str, first: int) -> Iterator[Assertion]:
    """What the comments of a block assert."""
    for number, line in enumerate(text.split("\n"), first):
        match = _COMMENT.search(line)
        for part in match[1].split(";") if match else ():
            kind, colon, words = part.strip().partition(":")
            if not colon:
                raise ValueError(f"not an assertion: {line!r}")
            yield Assertion(kind, tuple(words.split()), file, number)
