"""Where seeds are run: here, one after the other, or by Slurm. Whatever is over already is not run again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from auditor.console import write_whole
from auditor.sandbox import NoSandbox
from auditor.validate.job import Job, Tell, run_job
from auditor.validate.model import Phase, SeedRun
from auditor.verdict import PgolfError

Done = Callable[[SeedRun, bool], None]
"""Gets a run that is over, and whether it was kept from before."""
POLL_S = 5.0
SLACK_MIN = 30
"""Minutes that Slurm grants a job beyond what its phases may take."""


def run_here(jobs: Sequence[Job], tell: Tell, done: Done) -> None:
    """Run the seeds on this machine; raises `NoSandbox`."""
    for job in jobs:
        kept = job.kept()
        if kept is not None and kept.is_over:
            done(kept, True)
        else:
            done(run_job(job, tell), False)


def run_slurm(
    jobs: Sequence[Job],
    tell: Tell,
    done: Done,
    *,
    partition: str | None,
    cluster: str = "slurm",
    poll_s: float = POLL_S,
) -> None:
    """Hand each seed to Slurm as a job of one node, and wait; raises `PgolfError` where that cannot be done.

    A job goes on when this process is killed; the same command then waits for it instead of submitting it again. The
    folder of the results and the data must be where the nodes see them. `cluster` is `submitit`'s name of the executor.
    """
    waiting: list[tuple[Job, Any]] = []
    for job in jobs:
        kept = job.kept()
        if kept is not None and kept.is_over:
            done(kept, True)
        else:
            handle = reattached(job, cluster) or submit(job, partition, cluster)
            waiting.append((job, handle))
            tell(job.seed, Phase.SETUP, 0.0, f"job {handle.job_id}")
    while waiting:
        over = [(job, handle) for job, handle in waiting if handle.done()]
        waiting = [(job, handle) for job, handle in waiting if (job, handle) not in over]
        for job, handle in over:
            done(collected(job, handle), False)
        if waiting:
            time.sleep(poll_s)


def submit(job: Job, partition: str | None, cluster: str) -> Any:
    """Submit one seed, and remember its number."""
    executor = _submitit().AutoExecutor(folder=str(job.folder / "slurm"), cluster=cluster)
    executor.update_parameters(
        name=f"pgolf-{job.seed}",
        nodes=1,
        tasks_per_node=1,
        timeout_min=int(job.plan.budgets.total_s / 60) + SLACK_MIN,
        gpus_per_node=job.plan.processes if job.plan.mode == "gpu" else 0,
        **({"slurm_partition": partition} if partition else {}),
    )
    try:
        handle = executor.submit(on_node, job)
    except (OSError, RuntimeError) as error:
        raise PgolfError(f"Slurm does not take the job: {str(error).splitlines()[0]}") from None
    write_whole(json.dumps({"key": job.key, "job": handle.job_id}), _ticket(job), str(_ticket(job)))
    return handle


def reattached(job: Job, cluster: str) -> Any:
    """The Slurm job of an earlier call for this very seed, while it is not done; else None."""
    if cluster != "slurm":
        return None
    with suppress(OSError, ValueError, KeyError, TypeError):
        ticket = json.loads(_ticket(job).read_text("utf-8"))
        if ticket["key"] == job.key:
            handle = _submitit().SlurmJob(folder=str(job.folder / "slurm"), job_id=ticket["job"])
            return None if handle.done() else handle
    return None


def collected(job: Job, handle: Any) -> SeedRun:
    """What a job that is done has kept, or that it kept nothing."""
    kept = job.kept()
    if kept is not None:
        return kept
    try:
        said = str(handle.exception() or "").strip().splitlines()
    except Exception as error:  # what submitit raises for a job that vanished has no common base
        said = [str(error)]
    return SeedRun(job.seed, job.key, "sandbox", f"the job left no result: {(said or ['it was ended'])[-1]}"[:300])


def on_node(job: Job) -> None:
    """What a node runs; its result is a file, because what comes back through Slurm would be a pickle."""
    try:
        run_job(job, lambda seed, phase, seconds, line: None)
    except NoSandbox as error:
        raise RuntimeError(str(error)) from None


def _ticket(job: Job) -> Path:
    return job.folder / "slurm" / f"seed-{job.seed}.ticket"


def _submitit() -> Any:
    try:
        import submitit
    except ImportError:
        raise PgolfError("submitit is not installed; type: python3 -m pip install 'pgolf[slurm]'") from None
    return submitit
