"""The smoke test: import the script, build its model at its real size, one forward and one backward.

The script's own `main()` runs, with the settings of the reported run and small sequences, until the first backward is
done; what went through it is then measured. A failure has a fault:

- `script`: it fails with sequences as long as those of the reported run too;
- `environment`: something is not installed here, or there is not enough of it;
- `runtime`: the script asked for what this runtime does not do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from auditor.engine import script_info
from auditor.experiment.data import toy_data
from auditor.experiment.shrink import SMOKE_SIZES, WIDE_SIZES
from auditor.experiment.stage import Fault, Job, Program, Ran, Result, read_program, run, stage, workspace_root
from auditor.sandbox import Limits, Status
from auditor.submission.model import Submission
from auditor.verdict import ExitCode, PgolfError, ScriptInfo

LIMITS = Limits(cpu_s=60.0, wall_s=120.0, memory_mb=6144, processes=64, disk_mb=512)
TRAIN_TOKENS, VAL_TOKENS = 1 << 16, 4352
EARLY = 0.9
"""Part of its time after which a run says where it is, before it is ended."""
DEFAULT_VOCAB = 1024
MAX_VOCAB = 1 << 16
CERTAIN = ("SyntaxError", "NameError", "UnboundLocalError", "ImportError")
"""Errors that no size can lead to."""


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
class SmokeResult(Result):
    """The result of a smoke run, as the sandbox leaves it."""

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
    """Run the smoke test. Where there is no sandbox, no sentencepiece or no script it is skipped, with the reason.

    A script that fails is run once more, with sequences as long as those of the reported run, before it is blamed.
    """
    code_bytes = len(submission.code)
    try:
        program = read_program(submission, env)
        stated = script_info(submission, env)
        vocab = vocabulary(stated)
        ran, settings = attempt(program, vocab, SMOKE_SIZES)
        if in_doubt(ran):
            longer, longer_settings = attempt(program, vocab, WIDE_SIZES)
            if passed(longer) or in_doubt(longer):
                ran, settings = longer, longer_settings
            else:
                ran = unconfirmed(ran)
    except PgolfError as error:
        return Smoke("skipped", str(error), code_bytes=code_bytes)
    except RecursionError:
        return Smoke("fail", "its source is nested too deeply to be prepared", "runtime", code_bytes=code_bytes)
    except SyntaxError as error:
        reason = f"SyntaxError: {error.msg} ({program.name}:{error.lineno})"
        return Smoke("fail", reason, "script", code_bytes=code_bytes)
    return judge(ran, program, settings, stated.model)


def vocabulary(stated: ScriptInfo) -> int:
    """Size of the vocabulary that the script expects, as far as the code says."""
    setting = stated.config.get("VOCAB_SIZE")
    found = stated.model.get("vocab") or (int(setting.value) if setting and setting.value.isdecimal() else None)
    return found if found is not None and 2 <= found <= MAX_VOCAB else DEFAULT_VOCAB


def attempt(program: Program, vocab: int, sizes: Mapping[str, int]) -> tuple[Ran[SmokeResult], Mapping[str, str]]:
    """One run to the first backward, and the settings that it had."""
    data = toy_data(vocab, TRAIN_TOKENS, VAL_TOKENS)
    with tempfile.TemporaryDirectory(prefix="pgolf-", dir=workspace_root()) as folder:
        job = Job(taps={"step": {}}, cpu_s=LIMITS.cpu_s * EARLY, wall_s=LIMITS.wall_s * EARLY)
        staged = stage(Path(folder), program, data, job, sizes)
        return run(staged, SmokeResult, LIMITS), staged.env


def passed(ran: Ran[SmokeResult]) -> bool:
    """Whether a run took its step, through a model, with a loss that is a number."""
    step = None if ran.result is None else ran.result.taps.step
    return step is not None and step.loss is not None and step.params is not None


def in_doubt(ran: Ran[SmokeResult]) -> bool:
    """Whether a run failed in a way that its short sequences may have led to."""
    result = ran.result
    if result is None or passed(ran) or result.fault in ("environment", "runtime"):
        return False
    nothing_done = result.fault is None and not result.taps.step.forward
    return not nothing_done and not (result.reason or "").startswith(CERTAIN)


def unconfirmed(ran: Ran[SmokeResult]) -> Ran[SmokeResult]:
    """The failure of a run that did not show again with longer sequences, nor was there another result."""
    assert ran.result is not None
    return replace(ran, result=replace(ran.result, fault="runtime"))


def judge(ran: Ran[SmokeResult], program: Program, env: Mapping[str, str], stated: Mapping[str, int | None]) -> Smoke:
    """The outcome of a run; what the model does not show of its shape is taken from what the code says."""
    used = Used(ran.outcome.status.value, round(ran.outcome.wall_s, 2), round(ran.outcome.max_rss_mb, 1))
    result = ran.result
    if result is None:
        fault: Fault = "environment" if ran.outcome.status is Status.RE else "runtime"
        return Smoke("fail", ran.problem, fault, code_bytes=program.code_bytes, env=dict(env), sandbox=used)
    step, reason, cause = result.taps.step, result.reason, result.fault
    status: Literal["pass", "fail"] = "pass" if passed(ran) else "fail"
    if status == "fail" and result.ended != "raised":
        took = "its loss is not a finite number" if step.backward else "it came to its end and took no training step"
        reason, cause = reason or took, cause or "script"
    return Smoke(
        status, reason, cause, result.import_s, step.dim or stated.get("dim"), step.layers or stated.get("layers"),
        step.vocab or stated.get("vocab"), step.params, program.code_bytes, dict(env), used,
    )  # fmt: skip
