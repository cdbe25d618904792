"""The vocabulary of the whole project: findings, evidence, verdicts.

Everything above the analysis (rules, engine, reports, reviews) speaks in these types; nothing here
knows how a fact was established. The JSON spelling of each type is `pgolf schema`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

Level = Literal["flag", "hold", "warning", "note"]
Activation = Literal["default", "run", "off", "unknown"]
Outcome = Literal["clean", "flag", "hold", "error"]
EvidenceKind = Literal["static", "records", "experiment"]

LEVELS: tuple[Level, ...] = ("flag", "hold", "warning", "note")


class ExitCode(int, Enum):
    """Process exit codes, fixed in the published interface."""

    CLEAN = 0
    FLAG = 1
    USAGE = 2
    HOLD = 3
    INTERNAL = 4


class PgolfError(Exception):
    """Bad input or an unreachable source: one clear line, exit code 2."""


class Unreachable(PgolfError):
    """The place that pull requests are read from does not answer, whichever of them is asked for."""


@dataclass(frozen=True)
class Step:
    """One line of a path through the code, in execution order."""

    line: int
    text: str
    note: str = ""
    function: str = ""
    file: str | None = None
    """Set only when the step lies in another file than the finding."""


@dataclass(frozen=True)
class Evidence:
    """Why a finding is believed: a path that can be followed, or numbers that can be re-measured."""

    kind: EvidenceKind
    path: tuple[Step, ...] = ()
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What one rule found at one place, under one configuration."""

    rule: str
    level: Level
    message: str
    file: str
    line: int
    activation: Activation = "unknown"
    end_line: int | None = None
    function: str | None = None
    function_line: int | None = None
    conditions: tuple[str, ...] = ()
    rulings: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    anchor: str = ""
    """Position-free text that names the place: normalised source and sink."""

    @property
    def fingerprint(self) -> str:
        """Stable across rebases: no line numbers, no file path."""
        text = "\0".join((self.rule, self.anchor or self.message))
        return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


@dataclass(frozen=True)
class ConfigValue:
    """One setting of the reported run and the layer that decided it.

    `source` reads `default:L<line>`, `command`, `log:<file>`, or `--env`.
    """

    value: str
    source: str


@dataclass(frozen=True)
class Claims:
    """What the submission says of itself; `source` names where `val_bpb` was read."""

    val_bpb: float | None = None
    seeds: tuple[int, ...] = ()
    artifact_bytes: tuple[int, ...] = ()
    source: str | None = None
    status: str | None = None
    """`pending` when the submission says that no number is claimed yet."""


@dataclass(frozen=True)
class Target:
    """What was asked for: a pull request at a commit, or a path."""

    repo: str | None = None
    pr: int | None = None
    head: str | None = None
    title: str | None = None
    path: str | None = None


@dataclass(frozen=True)
class ScriptInfo:
    """The audited script and how it was chosen."""

    track: str | None = None
    folder: str | None = None
    script: str | None = None
    chosen_because: str | None = None
    script_sha256: str | None = None
    code_bytes: int | None = None
    packing: tuple[str, ...] = ()
    other_folders: tuple[str, ...] = ()
    model: dict[str, int | None] = field(default_factory=dict)
    """`dim`, `layers`, `vocab` under the effective configuration; None where unknown."""
    config: dict[str, ConfigValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """The result of one audit; serialised as `pgolf.report/1`."""

    target: Target
    submission: ScriptInfo
    claims: Claims
    verdict: Outcome
    cls: str
    """The most serious flagged rule, else the positive class, else `not-a-submission`, `undecided` or `unreadable`."""
    findings: tuple[Finding, ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)
    source_lines: tuple[str, ...] = ()
    """The analysed text of the script, for quoting; never serialised."""
    records: dict[str, Any] | None = None
    """Logs and claims as plain data, when rules on records were asked."""
    smoke: dict[str, Any] | None = None
    """The smoke test as plain data, when it was asked."""
    probe: dict[str, Any] | None = None
    """The experiment as plain data, when it was asked."""

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of a single-target audit.

        An `error` verdict means that the input could not be read at all: 2.
        """
        return {
            "clean": ExitCode.CLEAN,
            "flag": ExitCode.FLAG,
            "hold": ExitCode.HOLD,
            "error": ExitCode.USAGE,
        }[self.verdict]


def unreadable(target: Target, reason: str) -> Report:
    """The report on a target that could not be audited at all."""
    file = target.path if target.pr is None else str(target.pr)
    finding = Finding(rule="opaque-code", level="hold", message=reason, file=file or "", line=1)
    return Report(target, ScriptInfo(), Claims(), "error", "unreadable", (finding,))
