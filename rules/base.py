"""What a rule is: metadata, text, examples that run as tests, and one query over the timeline."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from auditor.facts import Facts
from auditor.verdict import Finding, Level

Kind = Literal["violation", "experiment", "record", "positive", "readability"]


@dataclass(frozen=True)
class Example:
    """A whole miniature script, written for this project, and what the rule says of it.

    `fires` is True when the rule must report (at its own level), False when it must not report at that level.
    `env` is the configuration of the run.
    """

    title: str
    code: str
    fires: bool
    env: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    """Other files of the submission, such as logs: name and text. They are what rules on records look at."""


class Rule(Protocol):
    """One module a rule; the module docstring is the rule's text.

    The docstring has the headings *What it does*, *Why it matters*, *Limits*, and *What helps* before the last one
    where a submission can be repaired; the first line is the
    one-line summary. It feeds `pgolf explain`, SARIF and the review.
    """

    id: ClassVar[str]
    kind: ClassVar[Kind]
    level: ClassVar[Level]
    conditions: ClassVar[tuple[str, ...]]
    """Conditions of issue #1017 that are broken: C1 to C4."""
    rulings: ClassVar[tuple[str, ...]]
    """Keys of `rulings.toml`."""
    examples: ClassVar[tuple[Example, ...]]

    def check(self, facts: Facts) -> Iterable[Finding]:
        """Yield findings under these facts."""
        ...


def text_of(rule: Rule) -> str:
    """The rule's text: the docstring of the module that defines it."""
    return inspect.cleandoc(inspect.getmodule(type(rule)).__doc__ or "")


def summary_of(rule: Rule) -> str:
    """The first line of the rule's text."""
    return text_of(rule).splitlines()[0]
