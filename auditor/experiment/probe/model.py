"""What an experiment says, and the numbers that it says it with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from auditor.verdict import ExitCode

Verdict = Literal["violated", "not-refuted", "could-not-run", "inconclusive"]
Condition = Literal["C1", "C2", "C3", "C4"]
CONDITIONS: tuple[Condition, ...] = ("C1", "C2", "C3", "C4")

DISTANCE = (
    "Toy size on a CPU: a model of a few layers, trained for a few steps, scores some thousand made-up tokens. "
    "It shows what the scores depend on. It cannot show speed, the real score, GPU kernels, several ranks, or a branch "
    "that is taken only at full size. Not refuted means: not on these streams."
)


@dataclass(frozen=True)
class Answer:
    """What the experiment says of one condition."""

    answer: Verdict
    reason: str | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Probe:
    """The outcome of all runs of a submission."""

    conditions: Mapping[Condition, Answer]
    env: Mapping[str, str]
    seeds: tuple[int, ...]
    repeat: str
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    """The evaluation that was judged: what it printed, where its scores are made, how many, in which order."""
    runs: int = 0
    seconds: float = 0.0
    max_rss_mb: float = 0.0

    @property
    def violated(self) -> tuple[Condition, ...]:
        """The conditions that were shown to be violated."""
        return tuple(name for name in CONDITIONS if self.conditions[name].answer == "violated")

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of `pgolf probe`."""
        if self.violated:
            return ExitCode.FLAG
        settled = all(found.answer == "not-refuted" for found in self.conditions.values())
        return ExitCode.CLEAN if settled else ExitCode.HOLD

    def as_json(self) -> dict[str, Any]:
        """The `probe` object of the report."""
        return {
            "conditions": {
                name: {"answer": found.answer, "reason": found.reason, "numbers": dict(found.numbers)}
                for name, found in ((name, self.conditions[name]) for name in CONDITIONS)
            },
            "env": dict(self.env),
            "seeds": list(self.seeds),
            "repeat": self.repeat,
            "evaluation": dict(self.evaluation),
            "distance": DISTANCE,
            "cost": {"runs": self.runs, "seconds": round(self.seconds, 1), "max_rss_mb": round(self.max_rss_mb)},
        }


def everywhere(answer: Verdict, reason: str) -> dict[Condition, Answer]:
    """The same answer for all conditions."""
    return {name: Answer(answer, reason) for name in CONDITIONS}
