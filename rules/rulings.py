"""Who ruled what: the typed contents of `rulings.toml`.

The file is part of the package and written by us, so a defect in it is a programming error; the loader
checks it all the same, because a wrong citation is worse than none.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Literal, TypeVar, get_args

Role = Literal["maintainer", "community", "readme"]
Trust = Literal["commit", "comment", "reported", "community"]

_URL = re.compile(
    r"https://github\.com/openai/parameter-golf"
    r"(/(pull|issues)/[1-9]\d*(#issuecomment-\d+)?|/commit/[0-9a-f]{40}|#[a-z-]+)"
)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Ruling:
    """One position on the rules, by one person, at one place."""

    id: str
    who: str
    role: Role
    url: str
    says: str
    """The position in our own words."""
    establishes: tuple[str, ...]
    """Ids of the rules and positive classes that rest on it."""
    trust: Trust
    date: datetime.date | None = None
    circa: bool = False
    """The date is an upper bound."""

    @property
    def when(self) -> str:
        """The date for a reader: ISO, marked when it is an upper bound."""
        if self.date is None:
            return "date not on record"
        return f"by {self.date.isoformat()}" if self.circa else self.date.isoformat()

    @property
    def short(self) -> str:
        """How the place is called in a sentence: `PR 779`, `issue 677`, `README`."""
        return short_name(self.url)


@dataclass(frozen=True)
class Pattern:
    """What the legal way looks like, for one positive class."""

    cls: str
    says: str
    contrasts: tuple[str, ...]
    """Rule ids that this pattern answers."""


@dataclass(frozen=True)
class Precedent:
    """An accepted row that shows a legal pattern."""

    pr: int
    cls: str
    url: str
    note: str
    date: datetime.date


@dataclass(frozen=True)
class Rulings:
    """All rulings, patterns and precedents, in file order."""

    ruleset: datetime.date
    rulings: Mapping[str, Ruling]
    patterns: tuple[Pattern, ...]
    precedents: tuple[Precedent, ...]

    def cited(self, ids: tuple[str, ...]) -> tuple[Ruling, ...]:
        """The rulings with these ids, in the order asked for; unknown ids are left out."""
        return tuple(self.rulings[name] for name in ids if name in self.rulings)

    def pattern_for(self, rule: str) -> Pattern | None:
        """The legal pattern that answers this rule, or that this positive class follows."""
        return next((p for p in self.patterns if rule == p.cls or rule in p.contrasts), None)

    def precedents_for(self, cls: str) -> tuple[Precedent, ...]:
        """Accepted rows of this positive class."""
        return tuple(p for p in self.precedents if p.cls == cls)


def short_name(url: str) -> str:
    """`PR 779`, `issue 677` or `README` for a link into the contest repository."""
    parts = url.partition("#")[0].split("/")
    if "pull" in parts:
        return f"PR {parts[-1]}"
    return f"issue {parts[-1]}" if "issues" in parts else "README"


def parse(text: str) -> Rulings:
    """Parse the TOML text of the rulings file.

    Raises `ValueError` for a duplicate id, a link outside the contest repository, an unknown key or an
    unknown role or trust.
    """
    data = tomllib.loads(text)
    made = [_build(Ruling, row) for row in data["ruling"]]
    precedents = tuple(_build(Precedent, row) for row in data["precedent"])
    _unique("ruling", [r.id for r in made])
    _unique("precedent", [str(p.pr) for p in precedents])
    patterns = tuple(_build(Pattern, row) for row in data["pattern"])
    _unique("pattern", [p.cls for p in patterns])
    for ruling in made:
        if ruling.role not in get_args(Role) or ruling.trust not in get_args(Trust):
            raise ValueError(f"ruling {ruling.id}: role {ruling.role!r} or trust {ruling.trust!r} is not known")
    for url in [r.url for r in made] + [p.url for p in precedents]:
        if not _URL.fullmatch(url):
            raise ValueError(f"not a link into the contest repository: {url}")
    return Rulings(data["ruleset"], {r.id: r for r in made}, patterns, precedents)


@lru_cache(maxsize=1)
def rulings() -> Rulings:
    """The rulings that ship with the package."""
    return parse(resources.files("rules").joinpath("rulings.toml").read_text(encoding="utf-8"))


def _build(kind: Callable[..., _T], row: dict[str, Any]) -> _T:
    """Make a dataclass from a table; lists become tuples, `class` becomes `cls`."""
    values = {("cls" if k == "class" else k): (tuple(v) if isinstance(v, list) else v) for k, v in row.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"rulings.toml: {error}") from error


def _unique(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what} {name!r} appears twice")
