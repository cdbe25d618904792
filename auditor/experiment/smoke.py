"""The smoke test: import the script, build its model at its real size, one forward and one backward.

The script's own `main()` runs, with the settings of the reported run and small sequences, until the first backward is
done; what went through it is then measured. A failure has a fault:

- `script`: it fails with the sizes of the reported run too;
- `environment`: something is not installed here, or there is not enough of it;
- `runtime`: the script asked for what this runtime does not do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from auditor.engine import model_of
from auditor.experiment.data import toy_data
from auditor.experiment.shrink import SMOKE_SIZES
from auditor.experiment.stage import Job, Program, Ran, read_program, run, stage, workspace_root
from auditor.sandbox import Limits, Status
from auditor.submission.model import Submission
from auditor.verdict import ExitCode, PgolfError

Fault = Literal["script", "environment", "runtime"]

LIMITS = Limits(cpu_s=40.0, wall_s=60.0, memory_mb=6144, processes=64, disk_mb=512)
TRAIN_TOKENS, VAL_TOKENS = 1 << 16, 1 << 14
DEFAULT_VOCAB = 1024
MAX_VOCAB = 1 << 16


@dataclass(frozen=True)
class Step:
    """What the tap `step` measured."""

    forward: bool
    backward: bool
    loss: float | None = None
    params: int | None = None
    dim: int | None = None
    layers: int | None = None
    vocab: int | None = None


@dataclass(frozen=True)
class Taps:
    """Results of the taps of a smoke run."""

    step: Step


@dataclass(frozen=True)
class SmokeResult:
    """The result of a smoke run, as the sandbox leaves it."""

    ended: Literal["returned", "stopped", "raised", "exited"]
    fault: Fault | None
    reason: str | None
    import_s: float | None
    stubbed: list[str]
    taps: Taps


@dataclass(frozen=True)
class Used:
    """What a run took."""

    status: str
    """Of the sandbox: OK, RE, SG, TO, XX."""
    time_s: float
    max_rss_mb: float


@dataclass(frozen=True)
class Smoke:
    """The outcome of a smoke test, as the report JSON has it."""

    status: Literal["pass", "fail", "skipped"]
    reason: str | None = None
    fault: Fault | None = None
    import_s: float | None = None
    dim: int | None = None
    layers: int | None = None
    vocab: int | None = None
    params: int | None = None
    code_bytes: int = 0
    env: Mapping[str, str] = field(default_factory=dict)
    """Settings that the run was given."""
    sandbox: Used | None = None

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of `pgolf smoke`."""
        if self.status == "skipped":
            return ExitCode.USAGE
        if self.status == "fail":
            return ExitCode.FLAG if self.fault == "script" else ExitCode.HOLD
        return ExitCode.CLEAN

    def data(self) -> dict[str, Any]:
        """The `smoke` object of the report JSON."""
        return asdict(self)


def smoke(submission: Submission, env: Mapping[str, str]) -> Smoke:
    """Run the smoke test. Where there is no sandbox, no sentencepiece or no script it is skipped, with the reason."""
    code_bytes = len(submission.code)
    try:
        program = read_program(submission, env)
        stated = model_of(submission, env)
        vocab = stated.get("vocab") or DEFAULT_VOCAB
        ran, settings = attempt(program, vocab if 2 <= vocab <= MAX_VOCAB else DEFAULT_VOCAB, SMOKE_SIZES)
    except PgolfError as error:
        return Smoke("skipped", str(error), code_bytes=code_bytes)
    except SyntaxError as error:
        return Smoke("fail", f"SyntaxError: {error}", "script", code_bytes=code_bytes)
    return judge(ran, program, settings, stated)


def attempt(program: Program, vocab: int, sizes: Mapping[str, int]) -> tuple[Ran[SmokeResult], Mapping[str, str]]:
    """One run to the first backward, and the settings that it had."""
    data = toy_data(vocab, TRAIN_TOKENS, VAL_TOKENS)
    with tempfile.TemporaryDirectory(prefix="pgolf-", dir=workspace_root()) as folder:
        staged = stage(Path(folder), program, data, Job(taps={"step": {}}), sizes)
        return run(staged, SmokeResult, LIMITS), staged.env


def judge(ran: Ran[SmokeResult], program: Program, env: Mapping[str, str], stated: Mapping[str, int | None]) -> Smoke:
    """The outcome of a run; what the model does not show of its shape is taken from what the code says."""
    used = Used(ran.outcome.status.value, round(ran.outcome.wall_s, 2), round(ran.outcome.max_rss_mb, 1))
    result = ran.result
    if result is None:
        fault: Fault = "runtime" if ran.outcome.status in (Status.TO, Status.XX) else "environment"
        return Smoke("fail", ran.problem, fault, code_bytes=program.code_bytes, env=dict(env), sandbox=used)
    step = result.taps.step
    reason, cause = result.reason, result.fault
    if result.ended == "stopped" and step.backward:
        status: Literal["pass", "fail"] = "pass"
    else:
        status = "fail"
        reason = reason or "it came to its end and took no training step"
        cause = cause or "script"
    return Smoke(
        status, reason, cause, result.import_s, step.dim or stated.get("dim"), step.layers or stated.get("layers"),
        step.vocab or stated.get("vocab"), step.params, program.code_bytes, dict(env), used,
    )  # fmt: skip
