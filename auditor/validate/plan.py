"""What will be run: settings, processes, budgets, what it costs at most, and what will not be comparable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from auditor.engine import script_info
from auditor.experiment.probe.sizes import toy_sizes
from auditor.experiment.shrink import reads
from auditor.experiment.smoke import DEFAULT_VOCAB, vocabulary
from auditor.experiment.stage import Program, read_program
from auditor.submission.model import Submission
from auditor.validate.artifact import code_bytes
from auditor.validate.machine import is_contest
from auditor.validate.model import GPU, GPUS, SCHEMA, Budgets
from auditor.verdict import PgolfError

STEP_SETTINGS = ("ITERATIONS", "NUM_ITERATIONS", "MAX_STEPS", "TRAIN_STEPS", "NUM_STEPS")
"""Names under which scripts read how many steps they take."""
CAP_SETTINGS = ("MAX_WALLCLOCK_SECONDS", "MAX_WALLCLOCK")
"""Names under which they read when to stop; 0 is never."""
Mode = Literal["gpu", "toy"]


@dataclass(frozen=True)
class Plan:
    """One validation, the same for all of its seeds."""

    target: str
    seeds: tuple[int, ...]
    mode: Mode
    program: Program
    """The script as it is run on toy data; on GPUs only its files, settings and arguments are used."""
    code: bytes
    """The script as it is committed."""
    code_bytes: int
    """With the local modules that it imports."""
    processes: int = 1
    gpus: tuple[str, ...] = ()
    steps: int | None = None
    """Fixed by whoever validates; None where the script decides."""
    budgets: Budgets = field(default_factory=Budgets)
    sizes: Mapping[str, int] | None = None
    """Toy sizes of settings, by name."""
    changed: tuple[str, ...] = ()
    """Settings that are not those of the reported run, as `NAME=value`."""
    scored_by: str | None = None
    """Another script, which scored what is claimed and is not run."""
    vocab: int = DEFAULT_VOCAB
    """Size of the vocabulary that the script expects, as far as the code says."""

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a run, but for its seed and its places."""
        return dict(self.program.env)

    def key(self, seed: int, data: str) -> str:
        """A hash of all that a run depends on; `data` is the digest of what it runs on."""
        hashed = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(self.program.files.items())}
        parts = {
            "schema": SCHEMA,
            "seed": seed,
            "mode": self.mode,
            "code": hashlib.sha256(self.code).hexdigest(),
            "files": hashed,
            "env": self.settings,
            "argv": self.program.argv,
            "machine": [self.processes, *self.gpus],
            "budgets": asdict(self.budgets),
            "sizes": dict(self.sizes or {}),
            "data": data,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def gpu_hours(self) -> float:
        """GPU hours of all seeds if every phase takes all that it may."""
        return len(self.seeds) * self.processes * self.budgets.total_s / 3600

    def incomparable(self, gpus: tuple[str, ...]) -> list[str]:
        """What these GPUs and settings cannot say, in plain sentences."""
        found = []
        if self.scored_by:
            found.append(f"What is claimed was scored by {self.scored_by}, which is not run: scores are not compared.")
        if self.mode == "toy":
            found.append("One process on a CPU over toy data stands for the machine; torchrun has no part in it.")
            if self.changed:
                found.append(f"Toy sizes ({', '.join(self.changed)}): score, steps and bytes are not the submission's.")
            return found
        if not is_contest(gpus):
            found.append(
                f"{self.processes} x {gpus[0] if gpus else 'unknown GPU'}, not {GPUS} x {GPU}: times and budgets are"
                " not those of the contest and are not compared."
            )
            if self.processes != GPUS:
                found.append(
                    f"{GPUS // self.processes} micro-steps of gradient accumulation stand for {GPUS} GPUs: the same"
                    " batch, summed in another order."
                )
            if self.steps is None:
                found.append(
                    "A wall-clock limit ends the training after other steps than on the contest's machine: the score is"
                    " compared only if the steps agree (--steps N fixes them)."
                )
        if self.steps is not None:
            found.append(
                f"Exactly {self.steps:,} steps without a wall-clock limit: schedules that follow the clock follow the"
                " steps instead, and the training budget is not tested."
            )
        return found


def make_plan(
    submission: Submission,
    target: str,
    seeds: tuple[int, ...],
    *,
    toy: bool,
    overrides: Mapping[str, str],
    gpus: tuple[str, ...] = (),
    processes: int = 1,
    steps: int | None = None,
    budgets: Budgets | None = None,
) -> Plan:
    """The plan for a submission; raises `PgolfError` where it cannot be run with the seeds and steps asked for."""
    program = without_claims(read_program(submission, overrides))
    if len(seeds) > 1 and not (reads(program.text, "SEED") or any(word == "--seed" for word in program.argv)):
        raise PgolfError("the script reads no setting SEED, so its seed cannot be chosen; type one seed: --seeds 0")
    program, changed = fixed(program, steps)
    stated = script_info(submission, overrides)
    plan = Plan(
        target, seeds, "toy" if toy else "gpu", program, submission.code, code_bytes(submission, program.text),
        processes, gpus, steps, budgets or Budgets(), None, changed, scorer(submission), vocabulary(stated),
    )  # fmt: skip
    return shrunk(plan, {name: setting.value for name, setting in stated.config.items()}) if toy else slower(plan)


def scorer(submission: Submission) -> str | None:
    """The name of the script that scored what is claimed, where another one trained."""
    other = submission.evaluator
    return None if other is None or other.script is None else other.script.rpartition("/")[2]


def without_claims(program: Program) -> Program:
    """The program without what its folder says of its scores: a script cannot repeat what it does not see."""
    files = {
        path: content
        for path, content in program.files.items()
        if path != "submission.json" and not path.lower().endswith((".md", ".log"))
    }
    return replace(program, files=files)


def fixed(program: Program, steps: int | None) -> tuple[Program, tuple[str, ...]]:
    """The program with a fixed number of steps and no wall-clock limit; raises `PgolfError` where it reads neither."""
    if steps is None:
        return program, ()
    counts = [name for name in STEP_SETTINGS if reads(program.text, name)]
    caps = [name for name in CAP_SETTINGS if reads(program.text, name)]
    if not counts:
        raise PgolfError(f"--steps: the script reads none of {', '.join(STEP_SETTINGS)}; type --env NAME=VALUE instead")
    new = {counts[0]: str(steps), **dict.fromkeys(caps, "0")}
    return replace(program, env={**program.env, **new}), tuple(f"{name}={value}" for name, value in new.items())


def shrunk(plan: Plan, defaults: Mapping[str, str]) -> Plan:
    """The plan at toy sizes; settings that are small already, by default or in the reported run, stay as they are."""
    values = {**defaults, **plan.program.env}
    sizes = {
        name: size
        for name, size in toy_sizes(values).items()
        if reads(plan.program.text, name) and values.get(name, "").replace("_", "") != str(size)
    }
    changed = tuple(f"{name}={size}" for name, size in sorted(sizes.items()))
    return replace(plan, sizes=sizes, changed=(*plan.changed, *changed))


def slower(plan: Plan) -> Plan:
    """The plan with what fewer GPUs take longer for; the training keeps its budget unless its steps are fixed."""
    factor = GPUS / plan.processes
    budgets = plan.budgets
    return replace(
        plan,
        budgets=replace(
            budgets,
            training_s=budgets.training_s * (factor if plan.steps is not None else 1.0),
            evaluation_s=budgets.evaluation_s * factor,
            artifact_s=budgets.artifact_s * factor,
        ),
    )
