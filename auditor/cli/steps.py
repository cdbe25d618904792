"""What several commands do: open a submission, audit it, run the experiment on it, show the reports."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.cli.options import Color
from auditor.console import Format, emit, use_color, working
from auditor.verdict import PgolfError, Report

if TYPE_CHECKING:
    from auditor.experiment.probe.model import Probe
    from auditor.submission.model import Submission

MEMORY = 2 << 30
"""Bytes that one run may take; real submissions stay below a tenth of that."""


def settings_from(pairs: list[str] | None) -> dict[str, str]:
    """Parse repeated `--env KEY=VALUE`; raises `PgolfError` on a pair without a name or `=`."""
    settings = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise PgolfError(f"--env wants KEY=VALUE, not {pair!r}; for example: --env TTT_ENABLED=1")
        settings[key.strip()] = value
    return settings


def open_submission(target: str, *, mirror: Path | None, repo: str) -> Submission:
    """Find the submission that a command-line target names; raises `PgolfError` when there is nothing to read."""
    from auditor.submission import open_target

    return open_target(target, mirror=mirror, repo=repo)


def open_and_audit(
    target: str,
    *,
    mirror: Path | None,
    repo: str,
    env: dict[str, str],
    records: bool = True,
    smoke: bool = False,
    probe: bool = False,
) -> tuple[Submission, Report]:
    """A submission, and its audit under every rule, or without those on records; with what runs show, if asked.

    Raises `PgolfError` when it cannot be read.
    """
    from auditor.engine import audit as run_audit
    from rules import catalogue

    try:
        chosen = [rule for rule in catalogue() if records or rule.kind != "record"]
        submission = open_submission(target, mirror=mirror, repo=repo)
        report = run_audit(submission, chosen, env=env)
    except MemoryError:
        raise PgolfError(f"it takes more than {MEMORY >> 20:,} MB to read") from None
    if smoke:
        report = with_smoke(report, submission, target, env)
    if probe and submission.script is not None:
        report = with_probe(report, submission, target, mirror=mirror, env=env)
    return submission, report


def audit_one(target: str, *, mirror: Path | None, repo: str, env: dict[str, str], **asked: bool) -> Report:
    """The audit of one target, as `open_and_audit` makes it; `asked` are its `records`, `smoke` and `probe`."""
    return open_and_audit(target, mirror=mirror, repo=repo, env=env, **asked)[1]


def with_smoke(report: Report, submission: Submission, target: str, env: dict[str, str]) -> Report:
    """The report with the smoke test of the same submission."""
    from dataclasses import replace

    from auditor.experiment.smoke import smoke

    with working(f"smoke test of {target}"):
        return replace(report, smoke=smoke(submission, env).data())


def with_probe(
    report: Report, submission: Submission, target: str, *, mirror: Path | None, env: dict[str, str]
) -> Report:
    """The report with the experiment on the same submission."""
    from auditor.experiment.probe.beside import beside
    from rules import catalogue

    return beside(report, experiment(report, submission, target, mirror=mirror, env=env), catalogue())


def experiment(
    report: Report,
    submission: Submission,
    target: str,
    *,
    mirror: Path | None,
    env: dict[str, str],
    seed: int = 1,
    jobs: int = 2,
    quiet: bool = False,
) -> Probe:
    """The experiment on a submission that was audited, with its progress on standard error when someone watches."""
    from rich.console import Console

    from auditor.experiment.probe.run import probe

    values = {name: setting.value for name, setting in report.submission.config.items()}
    words = ["pgolf", "probe", target, *(["--mirror", str(mirror)] if mirror else [])]
    words += [word for name, value in sorted(env.items()) for word in ("--env", f"{name}={value}")]
    repeat = shlex.join([*words, "--seed", str(seed)])
    with Console(stderr=True, quiet=quiet).status(f"probe {target}") as status:
        return probe(
            submission, values, env, seed=seed, jobs=jobs, repeat=repeat,
            step=lambda done: status.update(f"probe {target}: {done}"),
        )  # fmt: skip


def show(reports: list[Report], format: Format, output: Path | None, color: Color) -> None:
    """Render reports and write them out."""
    from auditor.report import render
    from rules import catalogue
    from rules.rulings import rulings

    colored = use_color(color.value, output)
    emit(render(reports, format.value, rules=catalogue(), rulings=rulings(), color=colored, width=None), output)
