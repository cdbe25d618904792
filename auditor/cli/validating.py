"""The command that runs a submission again and compares: validate."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli.failing import INTERRUPTED, failing
from auditor.cli.options import DEFAULT_REPO, Color, ColorOption, Env, Mirror, OneTarget, Output, Repo
from auditor.cli.steps import open_submission, settings_from
from auditor.console import emit, use_color, warn, writable
from auditor.verdict import PgolfError

if TYPE_CHECKING:
    from auditor.submission.model import Submission
    from auditor.validate.guard import Data, Layout
    from auditor.validate.model import Phase, SeedRun
    from auditor.validate.plan import Plan
    from auditor.validate.session import Session

SEEDS = (1337, 42, 2024)
MOST_SEEDS = 5
BUDGET = 600.0
PRICE = 3.0
"""USD for an hour of one GPU: a round figure for a rented H100."""


class Device(StrEnum):
    """What the runs are made on."""

    gpu = "gpu"
    cpu = "cpu"


class Launcher(StrEnum):
    """Who starts the runs."""

    local = "local"
    slurm = "slurm"


class Emitted(StrEnum):
    """Task files for machines that are rented."""

    sky = "sky"


class TableFormat(StrEnum):
    """Output formats of a validation."""

    text = "text"
    json = "json"
    markdown = "markdown"


def validate(
    target: OneTarget,
    seeds: Annotated[
        str | None, typer.Option("--seeds", metavar="LIST", help="Seeds; those that are claimed, else 1337,42,2024.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="The challenge's data, as pgolf data fetch leaves it.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Results, kept seed by seed.  [default: validation-NAME]"),
    ] = None,
    device: Annotated[Device, typer.Option("--device", help="Run on GPUs, or on the CPU with --toy.")] = Device.gpu,
    toy: Annotated[
        bool, typer.Option("--toy", help="Toy data and sizes on a CPU: tries the way, not the claims.")
    ] = False,
    gpus: Annotated[
        int | None,
        typer.Option("--gpus", metavar="N", help="Processes: 1, 2, 4 or 8; as many as there are GPUs if absent."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", min=1, help="Train exactly N steps, whatever the clock says.")
    ] = None,
    env: Env = None,
    budget: Annotated[
        float, typer.Option("--budget", metavar="SECONDS", min=0.1, help="For training, and again for evaluation.")
    ] = BUDGET,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", metavar="BPB", min=0.0, help="How much worse one run may score than claimed."),
    ] = None,
    other_data: Annotated[
        bool, typer.Option("--other-data", help="Run on a validation split that is not known; scores are not compared.")
    ] = False,
    launcher: Annotated[
        Launcher, typer.Option("--launcher", help="Start the runs here or through Slurm.")
    ] = Launcher.local,
    partition: Annotated[str | None, typer.Option("--partition", metavar="NAME", help="Of Slurm.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and what it costs at most, and leave.")
    ] = False,
    price: Annotated[float, typer.Option("--price", metavar="USD", min=0.0, help="Of one GPU for an hour.")] = PRICE,
    emitted: Annotated[
        Emitted | None, typer.Option("--emit", help="Print a SkyPilot task that does this on 8 x H100, and leave.")
    ] = None,
    mirror: Mirror = None,
    repo: Repo = DEFAULT_REPO,
    format: Annotated[
        TableFormat, typer.Option("--format", help="How to print.", case_sensitive=False)
    ] = TableFormat.text,
    output: Output = None,
    color: ColorOption = Color.auto,
) -> None:
    """Run a submission again with several seeds, in a sandbox, and compare with what it claims.

    Each seed is one torchrun of the script under the settings of the reported run. Our own clock times training and
    evaluation and ends a run that is more than a tenth over its 600 s; code and weights are weighed from the files that
    the run leaves. Results are in --out: validation.json, validation.md, and a log for each seed. After a kill the same
    command goes on with the seeds that are not done.

    Exits with 0 when every claim was reproduced, with 1 when something contradicts, with 3 when something could not be
    compared or measured, and with 2 when there is no sandbox or no GPU, or the data is not right.

    \b
    Examples:
      pgolf validate . --data sp1024 --dry-run
      pgolf validate 1092 --mirror pg.git --data sp1024 --seeds 1337,42,2024
      pgolf validate . --data sp1024 --gpus 1 --steps 7000
      pgolf validate . --data sp1024 --launcher slurm --partition h100
      pgolf validate . --device cpu --toy
      pgolf validate . --emit sky > validate.yaml
    """
    with failing(target):
        from auditor.records import read_records
        from auditor.report import validation as pages
        from auditor.validate.model import Budgets
        from auditor.validate.outcome import as_json, plan_data
        from auditor.validate.plan import make_plan
        from auditor.validate.session import EXIT, Session
        from auditor.validate.sky import task

        settings = settings_from(env)
        writable(output)
        if toy != (device is Device.cpu):
            raise PgolfError("--toy and --device cpu go together: a CPU runs toy data and sizes only")
        submission = open_submission(target, mirror=mirror, repo=repo)
        away = bool(emitted or dry_run) or launcher is Launcher.slurm
        names, processes = ((), 1) if toy else machine(gpus, away=away)
        plan = make_plan(
            submission, target, seeds_from(seeds) if seeds else claimed_seeds(submission), toy=toy, overrides=settings,
            gpus=names, processes=processes, steps=steps, budgets=Budgets(training_s=budget, evaluation_s=budget),
        )  # fmt: skip
        if emitted:
            emit(task(plan, repeated(plan, env, steps, tolerance, budget)), output)
            raise typer.Exit()
        if dry_run:
            notes = plan.incomparable(names)
            emit(pages.plan_text(plan_data(plan, names), notes, plan.gpu_hours(), price), output)
            raise typer.Exit()
        if launcher is Launcher.local:
            refuse_without_sandbox()
        session = Session(
            plan, submission, read_records(submission), made(out or folder_of(target)), tolerance=tolerance
        )
        if not toy:
            session.layout, session.data = guarded(session, data, other=other_data)
        launch(session, launcher, partition)
        result = session.result()
        if format is TableFormat.json:
            emit(as_json(result), output)
        elif format is TableFormat.markdown:
            emit(pages.as_markdown(target, result), output)
        else:
            emit(pages.as_text(target, result, color=use_color(color.value, output)), output)
        raise typer.Exit(EXIT[result["verdict"]])


def seeds_from(text: str) -> tuple[int, ...]:
    """Seeds as they are typed; raises `PgolfError`."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isascii() and word.isdecimal() and len(word) <= 10 for word in words):
        raise PgolfError(f"--seeds wants whole numbers with commas between, not {text!r}; for example: --seeds 1337,42")
    return tuple(dict.fromkeys(map(int, words)))


def claimed_seeds(submission: Submission) -> tuple[int, ...]:
    """The seeds that the submission claims, else the usual ones."""
    return submission.claims.seeds[:MOST_SEEDS] or SEEDS


def machine(wanted: int | None, *, away: bool) -> tuple[tuple[str, ...], int]:
    """GPUs to run on and the number of processes; `away` from here, eight if nobody says otherwise."""
    from auditor.validate import machine as here

    if wanted is not None and wanted not in here.WORLDS:
        raise PgolfError(f"--gpus wants one of {', '.join(map(str, sorted(here.WORLDS)))}, not {wanted}")
    if away:
        return (), wanted or max(here.WORLDS)
    names = here.gpus()
    if not names:
        raise PgolfError("no GPU here; type --device cpu --toy to try the way, --dry-run for the plan, or --emit sky")
    if wanted is not None and wanted > len(names):
        raise PgolfError(f"--gpus {wanted}: there are {len(names)} here")
    processes = wanted or here.world(len(names))
    return names[:processes], processes


def refuse_without_sandbox() -> None:
    """Nothing is run without a sandbox: raises `NoSandbox`."""
    from auditor.sandbox import NoSandbox, Unavailable, availability

    found = availability()
    if isinstance(found, Unavailable):
        raise NoSandbox(f"no sandbox: {found.reason}; remedy: {found.remedy}")


def folder_of(target: str) -> Path:
    """Where results go if nobody says."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(target).resolve().name if Path(target).exists() else target)
    return Path(f"validation-{name.strip('-') or 'results'}")


def made(folder: Path) -> Path:
    """The folder, made if it is not there; raises `PgolfError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PgolfError(f"--out {folder}: {error.strerror}") from None
    return folder.resolve()


def guarded(session: Session, data: Path | None, *, other: bool) -> tuple[Layout, Data]:
    """The data, checked before anything runs on it; raises `PgolfError`."""
    from rich.console import Console
    from rich.progress import track

    from auditor.validate.guard import check, find

    if data is None:
        raise PgolfError("--data is missing: the folder with the challenge's tokens; type: pgolf data fetch --help")
    layout = find(data.resolve(), session.plan.vocab)
    lengths = [run.val_tokens.value for _, run in session.records.runs if run.val_tokens is not None]
    console = Console(stderr=True)

    def watched(paths: Sequence[Path]) -> Iterator[Path]:
        yield from track(paths, "checking data", console=console, transient=True, disable=not console.is_terminal)

    return layout, check(layout, lengths[0] if lengths else None, other=other, watched=watched)


def launch(session: Session, launcher: Launcher, partition: str | None) -> None:
    """Run what is not done, with the progress on standard error when someone watches."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from auditor.report.escape import one_line
    from auditor.validate.jobs import run_here, run_slurm

    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks = {
            seed: progress.add_task(f"seed {seed}: waiting", start=False, total=None) for seed in session.plan.seeds
        }

        def tell(seed: int, phase: Phase, seconds: float, line: str) -> None:
            progress.start_task(tasks[seed])
            said = f"seed {seed}: {phase.value} {seconds:.0f} s  {one_line(line, 200)}"
            progress.update(tasks[seed], description=said[: max(20, console.width - 14)])

        def done(run: SeedRun, kept: bool) -> None:
            how = "done before" if kept else run.ended + (f": {run.reason}" if run.reason else "")
            progress.update(tasks[run.seed], description=one_line(f"seed {run.seed}: {how}", 200), completed=1, total=1)
            session.take(run)

        try:
            if launcher is Launcher.slurm:
                run_slurm(session.jobs(), tell, done, partition=partition)
            else:
                run_here(session.jobs(), tell, done)
        except KeyboardInterrupt:
            warn(f"interrupted; {session.folder} keeps the seeds that are done, and the same command goes on")
            raise typer.Exit(INTERRUPTED) from None


def repeated(plan: Plan, env: list[str] | None, steps: int | None, tolerance: float | None, budget: float) -> list[str]:
    """The options of this command that make a difference on a rented machine."""
    words = ["--seeds", ",".join(map(str, plan.seeds))]
    words += [word for pair in env or [] for word in ("--env", pair)]
    words += ["--steps", str(steps)] if steps is not None else []
    words += ["--tolerance", str(tolerance)] if tolerance is not None else []
    return words + (["--budget", str(budget)] if budget != BUDGET else [])
