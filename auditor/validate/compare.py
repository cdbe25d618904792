"""What was claimed against what was measured, row by row, and what follows from all rows together.

A claim about a seed is that of submission.json or the README, else what the submission's own log of that seed shows. A
score is reproduced when it is no worse than claimed by more than runs of one program differ. Everything else that is
better than claimed is reproduced too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt

from auditor.records import Records, Run
from auditor.records.model import CAP
from auditor.records.statistics import mean, variance
from auditor.submission.claims import Claim
from auditor.validate.guard import CUTS, Data
from auditor.validate.machine import is_contest
from auditor.validate.model import GRACE, Row, SeedRun, Status
from auditor.validate.plan import Plan

FLOOR = 0.002
"""Bits per byte by which one run may be worse than claimed, whatever the spread: two runs of one seed on eight GPUs
differ too, in the order of their sums."""
SPREADS = 3.0
"""Standard deviations of the claimed seeds that are allowed where they are more."""
CEILING = 0.005
"""Bits per byte beyond which a wide spread that is claimed buys nothing."""
BYTES = 0.005
"""Part by which an artifact may be larger than claimed: weights of another run compress a little differently."""
STEPS = 0.05
"""Part by which the steps of a run may differ, on the contest's machine: hosts differ."""
TIMES = 0.1
"""Part by which a phase may take longer than claimed, beside `TIME_S`."""
TIME_S = 10.0
"""Seconds by which it may: short phases vary most."""
LAST_STEP = 0.001
"""Part by which the last step may pass a budget: half a second of ten minutes."""


@dataclass(frozen=True)
class Claimed:
    """A claimed number and where it stands; `slack` is what it may be off before anything is judged."""

    value: float
    where: str
    slack: float = 0.0


def compare(
    plan: Plan, data: Data | None, runs: Sequence[SeedRun], records: Records, tolerance: float | None
) -> list[Row]:
    """All rows, seed by seed, then those of all seeds; `tolerance` in bits per byte replaces the usual one."""
    allowed = tolerance if tolerance is not None else min(CEILING, max(FLOOR, SPREADS * spread(records)))
    rows: list[Row] = []
    for run in sorted(runs, key=lambda each: plan.seeds.index(each.seed)):
        rows += of_seed(plan, data, run, records, allowed)
    rows += headline(plan, data, runs, records, allowed)
    return rows


def of_seed(plan: Plan, data: Data | None, run: SeedRun, records: Records, allowed: float) -> Iterator[Row]:
    """The rows of one seed."""
    yield ended(plan, run)
    if run.ended in ("failed", "sandbox"):
        return
    logged = log_of(records, run.seed)
    yield from clocks(plan, run)
    yield cap(plan, run)
    if run.said_bytes is not None and run.artifact_bytes is not None and run.artifact_bytes > run.said_bytes * 1.001:
        note = "the files that it left are larger than the size that it prints"
        yield Row(
            run.seed, "printed bytes", "contradicted", run.said_bytes, "its own log", run.artifact_bytes, note=note
        )
    why = unlike(plan, data, run, logged)
    score = claim(records, "val_bpb", run.seed) or own(logged, "val_bpb")
    yield judged(run.seed, "val_bpb", score, run.val_bpb, allowed, why)
    size = claim(records, "artifact_bytes", run.seed) or own(logged, "artifact") or claim(records, "artifact_bytes")
    yield judged(run.seed, "artifact bytes", size, run.artifact_bytes, BYTES, why, relative=True, decides=False)
    steps = claim(records, "steps", run.seed) or own(logged, "steps") or claim(records, "steps")
    fixed = "the steps are those that were asked for" if plan.steps is not None else why
    yield judged(run.seed, "steps", steps, run.steps, STEPS, fixed, relative=True, both=True, decides=False)
    machine = elsewhere(plan, run)
    # A claimed time is the script's own: like is compared with like, and our clock judges the budgets.
    for name, quantity, took in (
        ("train_s", "training time", run.said_training_s or run.training_s),
        ("eval_s", "evaluation time", run.said_evaluation_s or run.evaluation_s),
    ):
        said = claim(records, name, run.seed) or own(logged, name) or claim(records, name)
        said = replace(said, slack=TIME_S) if said is not None else None
        yield judged(run.seed, quantity, said, took, TIMES, machine, relative=True, decides=False)


def headline(plan: Plan, data: Data | None, runs: Sequence[SeedRun], records: Records, allowed: float) -> Iterator[Row]:
    """The claimed mean against the mean of the runs."""
    said = claim(records, "val_bpb")
    scores = [run.val_bpb for run in runs if run.ended == "finished" and run.val_bpb is not None]
    if said is None and len(runs) < 2:
        return
    why = next((why for run in runs if (why := unlike(plan, data, run, log_of(records, run.seed))) is not None), None)
    measured = mean(scores) if scores else None
    yield judged(None, "mean val_bpb", said, measured, allowed / sqrt(max(1, len(scores))), why)


def judged(
    seed: int | None,
    quantity: str,
    said: Claimed | None,
    measured: float | None,
    allowed: float,
    why: str | None,
    *,
    relative: bool = False,
    both: bool = False,
    decides: bool = True,
) -> Row:
    """A claim against a measurement: more than `allowed` above the claim contradicts it, with `both` below it too.

    `why` says what makes them incomparable, and then nothing is judged.
    """
    where = said.where if said else None
    value = said.value if said else None
    if measured is None or value is None or why is not None:
        status: Status = "not-measured" if measured is None else "not-claimed" if value is None else "not-comparable"
        note = why if status == "not-comparable" else None
        return Row(seed, quantity, status, value, where, measured, note=note, decides=decides and value is not None)
    room = allowed * abs(value) if relative else allowed
    room += said.slack if said else 0.0
    off = abs(measured - value) if both else measured - value
    return Row(seed, quantity, "contradicted" if off > room else "reproduced", value, where, measured, room)


def ended(plan: Plan, run: SeedRun) -> Row:
    """How the run came to its end; what fails for want of something here, or is slow only here, decides nothing."""
    statuses: dict[str, Status] = {
        "finished": "reproduced",
        "over-time": "not-measured" if elsewhere(plan, run) else "contradicted",
        "sandbox": "not-measured",
        "failed": "contradicted" if run.fault == "script" else "not-measured",
    }
    status = statuses[run.ended]
    return Row(run.seed, "run", status, note=run.reason or run.ended)


def clocks(plan: Plan, run: SeedRun) -> Iterator[Row]:
    """Our clocks against the budgets."""
    budgets = plan.budgets
    for quantity, took, said, budget in (
        ("training budget", run.training_s, run.said_training_s, budgets.training_s),
        ("evaluation budget", run.evaluation_s, run.said_evaluation_s, budgets.evaluation_s),
    ):
        over = took is not None and took > budget * (1 + LAST_STEP)
        status: Status = "not-measured" if took is None else "contradicted" if over else "reproduced"
        note = None
        if elsewhere(plan, run):
            status, note = "not-comparable", elsewhere(plan, run)
        elif plan.steps is not None and quantity.startswith("training"):
            status, note = "not-comparable", "the steps were fixed"
        elif over and took is not None and took <= budget * (1 + GRACE) and quantity.startswith("evaluation"):
            # What stands between the printed size and the score is not all evaluation: loading, compiling, diagnostics.
            inside = said is not None and said <= budget * (1 + LAST_STEP)
            status = "not-comparable" if inside else status
            note = f"the script counts {said:.1f} s of it" if inside and said is not None else None
        yield Row(run.seed, quantity, status, budget, "the rules", took, LAST_STEP * budget, note)


def cap(plan: Plan, run: SeedRun) -> Row:
    """Code and weights against 16,000,000 bytes."""
    size = run.artifact_bytes
    status: Status = "not-measured" if size is None else "contradicted" if size > CAP else "reproduced"
    note = f"code {run.code_bytes:,} + {run.weights_file.rpartition('/')[2]}" if run.weights_file else None
    if plan.changed:
        status, note = "not-comparable", "settings were changed"
    return Row(run.seed, "byte cap", status, CAP, "the rules", size, 0.0, note)


def unlike(plan: Plan, data: Data | None, run: SeedRun, logged: Run | None) -> str | None:
    """Why a score is not comparable with the reported one; None when it is."""
    if plan.mode == "toy" and plan.changed:
        return "toy sizes"
    if plan.scored_by:
        return f"scored by {plan.scored_by}"
    if data is not None and data.is_other:
        return "another validation split"
    told = logged.val_tokens.value if logged is not None and logged.val_tokens else None
    if told is not None and run.val_tokens is not None and not same_split(told, run.val_tokens):
        return f"{run.val_tokens:,} validation tokens, {told:,} in the reported run"
    if plan.mode == "gpu" and (elsewhere(plan, run) or plan.steps is not None):
        steps = logged.steps.value if logged is not None and logged.steps else None
        if steps is None or run.steps is None:
            return "the steps of the reported run are not known"
        if abs(run.steps - steps) > STEPS * steps:
            return f"{run.steps:,} steps, {steps:,} in the reported run"
    return None


def same_split(one: int, other: int) -> bool:
    """Whether two counts of validation tokens are of one split, cut to whole sequences or not."""
    return any(one // cut * cut == other or other // cut * cut == one for cut in CUTS)


def elsewhere(plan: Plan, run: SeedRun) -> str | None:
    """Why times on this machine say nothing of the contest's; a toy at its own sizes is measured by its budgets."""
    if plan.mode == "toy":
        return "toy sizes" if plan.changed else None
    return None if is_contest(tuple(run.gpus)) else "another machine"


def log_of(records: Records, seed: int) -> Run | None:
    """The submission's own run of a seed, where it shows one."""
    found = [
        run for _, run in records.runs if run.seed is not None and run.seed.value == seed and run.score is not None
    ]
    return found[-1] if found else None


def claim(records: Records, name: str, seed: int | None = None) -> Claimed | None:
    """The most trusted claim of a quantity, of one seed or of the whole."""
    found = next((each for each in records.claimed(name) if each.seed == seed), None)
    return None if found is None else Claimed(found.value, found.where, slack(found))


def slack(claim: Claim) -> float:
    """By how much a claim may be rounded."""
    return 0.5 * 10.0**-claim.decimals if claim.decimals else 0.0


def own(logged: Run | None, name: str) -> Claimed | None:
    """A quantity in the submission's own log of the seed."""
    if logged is None:
        return None
    value: float | None
    if name == "val_bpb":
        value = logged.score.val_bpb if logged.score else None
    elif name == "artifact":
        value = logged.artifact.bytes if logged.artifact else None
    else:
        read = {"steps": logged.steps, "train_s": logged.train_s, "eval_s": logged.eval_s}[name]
        value = read.value if read is not None else None
    return None if value is None else Claimed(value, "its log", 0.00005 if name == "val_bpb" else 0.0)


def spread(records: Records) -> float:
    """Standard deviation of the claimed scores of single seeds; 0 where fewer than two are claimed."""
    by_seed = {each.seed: each.value for each in records.claimed("val_bpb") if each.seed is not None}
    scores = list(by_seed.values())
    return sqrt(variance(scores)) if len(scores) > 1 else 0.0


def verdict(rows: Sequence[Row], runs: Sequence[SeedRun], plan: Plan) -> str:
    """`reproduced`, `contradicted` or `undecided`."""
    if any(row.status == "contradicted" for row in rows):
        return "contradicted"
    unanswered = any(row.decides and row.status in ("not-comparable", "not-measured") for row in rows)
    scored = any(row.quantity.endswith("val_bpb") and row.status == "reproduced" for row in rows)
    return "reproduced" if scored and not unanswered and len(runs) == len(plan.seeds) else "undecided"
