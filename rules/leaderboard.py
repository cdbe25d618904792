"""The accepted rows, as data: the typed contents of `leaderboard.toml`, which `benchmarks.leaderboard` writes."""

from __future__ import annotations

import datetime
import tomllib
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Literal

from auditor.records.significance import Bar

Track = Literal["record", "non-record"]


@dataclass(frozen=True)
class Row:
    """One row of the contest's leaderboard. Scores are in bits per byte."""

    score: float
    """As it is printed there."""
    date: datetime.date
    track: Track
    pr: int | None = None
    """The pull request that added it; the baseline has none."""
    evidence: int | None = None
    """Another pull request whose runs stand for the row."""
    update: int | None = None
    """The pull request of the maintainers that lists it, where the default branch did not yet."""
    seeds: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()
    """Of the seeds, in their order; empty where the logs do not give the printed score."""
    bytes_per_token: float | None = None
    """Of the tokenizer, from loss and score."""

    @property
    def name(self) -> str:
        """How the row is called in a sentence."""
        return f"PR {self.pr}" if self.pr is not None else f"the row of {self.date.isoformat()}"


@dataclass(frozen=True)
class Leaderboard:
    """Rows in the order of the README, and the commit they were read at."""

    commit: str
    rows: tuple[Row, ...]

    def best_before(self, pr: int | None) -> Row:
        """The best row on the record track that was opened before pull request `pr`; the best of all without one."""
        return min((row for row in self.rows if row.track == "record" and _earlier(row, pr)), key=lambda row: row.score)


def _earlier(row: Row, pr: int | None) -> bool:
    """Credit goes by the creation of pull requests, and their numbers are in that order."""
    return pr is None or row.pr is None or row.pr < pr


def bar(row: Row) -> Bar:
    """What the row asks of the next one."""
    return Bar(row.name, row.score, row.scores)


def as_data(row: Row) -> dict[str, Any]:
    """The row as JSON holds it."""
    return {**asdict(row), "date": row.date.isoformat(), "seeds": list(row.seeds), "scores": list(row.scores)}


@lru_cache(maxsize=1)
def load() -> Leaderboard:
    """The rows that are shipped with the package."""
    data = tomllib.loads(resources.files("rules").joinpath("leaderboard.toml").read_text(encoding="utf-8"))
    rows = [
        {**row, "seeds": tuple(row.get("seeds", ())), "scores": tuple(row.get("scores", ()))} for row in data["row"]
    ]
    return Leaderboard(data["commit"], tuple(Row(**row) for row in rows))
