"""The run of one seed from beginning to end, and its result in a file of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from auditor.console import write_whole
from auditor.experiment.stage import ended, workspace_root
from auditor.records import Run, parse_log
from auditor.records.parse import numbered
from auditor.sandbox import BadResult, Status, decode
from auditor.submission.logs import echo_lines, read_log
from auditor.validate.artifact import weights
from auditor.validate.clock import Clock
from auditor.validate.guard import Layout
from auditor.validate.machine import gpus
from auditor.validate.model import Ended, Fault, Phase, SeedRun
from auditor.validate.plan import Plan
from auditor.validate.workspace import Ran, run_gpus, run_toy

Tell = Callable[[int, Phase, float, str], None]
"""Gets seed, phase, seconds in it, and the line that was printed."""

MISSING = ("ModuleNotFoundError", "ImportError", "out of memory", "OutOfMemoryError", "FileNotFoundError", "NCCL",
           "No space left", "nvcc", "CUDA error", "no kernel image", "driver")  # fmt: skip
"""Words in the last error of a run that speak of this machine, not of the script."""


@dataclass(frozen=True)
class Job:
    """One seed of a plan: all that its run needs, on this machine or on another that shares the folder."""

    plan: Plan
    seed: int
    key: str
    folder: Path
    """Where results are kept."""
    layout: Layout | None = None
    """Where the data is; None for toy data."""

    @property
    def result(self) -> Path:
        """The file of the finished run."""
        return self.folder / f"seed-{self.seed}.json"

    @property
    def log(self) -> Path:
        """What the run printed."""
        return self.folder / f"seed-{self.seed}.log"

    def kept(self) -> SeedRun | None:
        """The run of this very job, where there is one."""
        try:
            found = decode(self.result.read_bytes(), SeedRun)
        except (OSError, BadResult):
            return None
        return found if found.key == self.key else None


def run_job(job: Job, tell: Tell) -> SeedRun:
    """Run a seed and keep its result; raises `NoSandbox`."""
    plan = job.plan
    tell(job.seed, Phase.SETUP, 0.0, "starting")
    clock = Clock(
        plan.budgets,
        pauses=plan.mode == "gpu",
        tell=lambda phase, seconds, line: tell(job.seed, phase, seconds, line),
    )
    with tempfile.TemporaryDirectory(prefix="pgolf-", dir=workspace_root()) as name:
        if job.layout is None:
            try:
                ran = run_toy(plan, job.seed, Path(name), clock)
            except SyntaxError as error:
                reason = f"SyntaxError: {error.msg} ({plan.program.name}:{error.lineno})"
                return SeedRun(job.seed, job.key, "failed", reason, "environment")
        else:
            ran = run_gpus(plan, job.seed, Path(name), job.layout, clock)
    clock.finish(ran.outcome.wall_s)
    write_whole("".join(f"{stamp(at)} {line}\n" for at, line in clock.lines), job.log, str(job.log))
    run = measured(job, clock, ran)
    write_whole(json.dumps(asdict(run), indent=1) + "\n", job.result, str(job.result))
    return run


def measured(job: Job, clock: Clock, ran: Ran) -> SeedRun:
    """The result of a run that is over."""
    plan, outcome = job.plan, ran.outcome
    log = "".join(line + "\n" for _, line in clock.lines)
    kept, _ = read_log(job.log.name, log.encode(), echo_lines(plan.program.text))
    run = parse_log(kept.path, numbered(kept.text, kept.numbers)).run if kept is not None else Run()
    spans = clock.spans(outcome.wall_s)
    ended_as, reason, fault = how(clock, ran, run)
    found = weights(outcome.left, ran.before, run.model.bytes if run.model else None)
    score = run.score
    result = SeedRun(
        job.seed,
        job.key,
        ended_as,
        reason,
        fault,
        round(outcome.wall_s, 3),
        val_bpb=score.val_bpb if score else None,
        val_loss=score.val_loss if score else None,
        label=score.label[:80] if score else None,
        val_tokens=run.val_tokens.value if run.val_tokens else None,
        steps=run.steps.value if run.steps else None,
        code_bytes=plan.code_bytes,
        weights_bytes=found[1] if found else None,
        weights_file=found[0] if found else None,
        said_bytes=run.artifact.bytes if run.artifact else None,
        said_training_s=run.train_s.value if run.train_s and plan.mode == "gpu" else None,
        said_evaluation_s=run.eval_s.value if run.eval_s and plan.mode == "gpu" else None,
        gpus=list(gpus()[: plan.processes]) if plan.mode == "gpu" else [],
        max_rss_mb=round(outcome.max_rss_mb, 1),
        changed=list(plan.changed),
    )
    return replace(
        result,
        setup_s=seconds(spans.setup_s),
        training_s=seconds(spans.training_s),
        artifact_s=seconds(spans.artifact_s),
        evaluation_s=seconds(spans.evaluation_s),
        paused_s=round(spans.paused_s, 3),
    )


def how(clock: Clock, ran: Ran, run: Run) -> tuple[Ended, str | None, Fault | None]:
    """How a run ended, why, and whose fault that is."""
    outcome, result = ran.outcome, ran.result
    if clock.over in (Phase.TRAINING, Phase.EVALUATION):
        return "over-time", outcome.reason, None
    if outcome.status is Status.XX:
        return "sandbox", outcome.reason, None
    if clock.over is not None:
        return "failed", outcome.reason, None
    if result is not None and result.ended == "raised":
        return "failed", (result.reason or "")[:300], "script" if result.fault == "script" else "environment"
    if outcome.status is not Status.OK:
        error = next((read.value for read in reversed(run.errors)), None) or last_error(outcome.stderr)
        reason = error if outcome.status is Status.RE and error else ended(outcome)
        return "failed", reason[:300], "environment" if any(word in reason for word in MISSING) else "script"
    if run.score is None:
        return "failed", "it ended by itself and printed no score of the artifact", "script"
    return "finished", None, None


def last_error(text: str) -> str | None:
    """The first line of a traceback's end that names an error: torchrun prints its own below it."""
    lines = [line.strip() for line in text.splitlines()]
    named = [line for line in lines if line.split(":")[0].rpartition("]")[2].strip().endswith(("Error", "Exception"))]
    return next((line for line in named if "ChildFailedError" not in line), None)


def stamp(at: float) -> str:
    """A time since the start as a logger would write it."""
    whole = int(at)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{int(at * 1000) % 1000:03d}"


def seconds(value: float | None) -> float | None:
    """Rounded to milliseconds."""
    return None if value is None else round(value, 3)
