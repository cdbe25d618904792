"""The miniature submissions behind `pgolf demo`, and the verdicts that they must get.

Written for this project, one for each pattern that the first reviews turned on. The scripts are data: they are
audited, never imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.verdict import Outcome, Report


@dataclass(frozen=True)
class Miniature:
    """One shipped submission and what the audit must say of it."""

    name: str
    verdict: Outcome
    cls: str
    shows: str

    @property
    def folder(self) -> Path:
        """Where the submission lies in the installed package."""
        return Path(__file__).parent / "submissions" / self.name


MINIATURES = (
    Miniature("chunked_sgd", "clean", "score-first-ttt", "scored, then trained on"),
    Miniature("last_blocks_adamw", "clean", "score-first-ttt", "the same, AdamW, last blocks"),
    Miniature("adapt_first", "flag", "val-token-ttt", "trained on, then scored"),
    Miniature("ngram_cache", "flag", "ngram-target-in-key", "scored token in the cache key"),
)


def as_expected(reports: Sequence[Report]) -> bool:
    """Whether every miniature got its verdict and class."""
    return [(r.verdict, r.cls) for r in reports] == [(m.verdict, m.cls) for m in MINIATURES]


def summary(reports: Sequence[Report]) -> str:
    """A table of the verdicts, ending with what to type next."""
    lines = [""]
    for miniature, report in zip(MINIATURES, reports, strict=True):
        lines.append(f"{miniature.name:<18} {report.verdict:<6} {report.cls:<20} {miniature.shows}")
        if (report.verdict, report.cls) != (miniature.verdict, miniature.cls):
            lines.append(f"{'':<18} expected: {miniature.verdict} {miniature.cls}")
    return "\n".join([*lines, "", "Read one step by step:", f"pgolf timeline {MINIATURES[-1].folder}", ""])
