"""Commands that run submissions in the sandbox: smoke, probe."""

from __future__ import annotations

from typing import Annotated

import typer

from auditor.cli.failing import about, failing
from auditor.cli.options import (
    DEFAULT_REPO,
    Color,
    ColorOption,
    DataFormat,
    Env,
    Mirror,
    OneTarget,
    Output,
    Repo,
    TextOrJson,
)
from auditor.cli.steps import experiment, open_and_audit, open_submission, settings_from
from auditor.console import emit, use_color, warn, working, writable
from auditor.verdict import PgolfError


def smoke(
    target: OneTarget,
    mirror: Mirror = None,
    repo: Repo = DEFAULT_REPO,
    env: Env = None,
    format: DataFormat = TextOrJson.text,
    output: Output = None,
) -> None:
    """Import the script in a sandbox, build its model at its real size, and take one training step on a CPU.

    The script's own main() runs, with the settings of the reported run, toy data and short sequences, until the first
    backward is done. Exits with 0 when it gets there, with 1 when the script itself fails, with 3 when something is
    missing here or a CPU cannot do what it asks for, and with 2 when there is no sandbox to run it in.

    \b
    Examples:
      pgolf smoke .
      pgolf smoke 1092 --mirror pg.git
      pgolf smoke train_gpt.py --env NUM_LAYERS=9 --format json
    """
    with failing(target):
        from auditor.experiment.smoke import smoke as run_smoke
        from auditor.report import smoke as pages

        settings = settings_from(env)
        writable(output)
        submission = open_submission(target, mirror=mirror, repo=repo)
        with working(f"smoke test of {target}"):
            found = run_smoke(submission, settings)
        emit(pages.as_json(found.data()) if format is TextOrJson.json else pages.as_text(target, found.data()), output)
        if found.status == "skipped":
            warn(about(target, PgolfError(found.reason or "skipped")))
        raise typer.Exit(found.exit_code)


def probe(
    target: OneTarget,
    mirror: Mirror = None,
    repo: Repo = DEFAULT_REPO,
    env: Env = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the made-up validation stream.")] = 1,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", min=1, max=64, help="Runs at a time.")] = 2,
    format: DataFormat = TextOrJson.text,
    output: Output = None,
    color: ColorOption = Color.auto,
) -> None:
    """Run the script at toy size in a sandbox, and see whether its scores depend on what they must not see.

    The script runs several times over made-up validation streams that differ in chosen tokens, under the settings of
    the reported run. Exits with 1 when a condition (C1 to C4 of issue #1017) is violated, with 0 when none is refuted,
    with 3 when it could not be decided, and with 2 when there is no sandbox to run in.

    \b
    Examples:
      pgolf probe .
      pgolf probe 1092 --mirror pg.git
      pgolf probe train_gpt.py --env TTT_ENABLED=1 --seed 7 --format json
    """
    with failing(target):
        from auditor.report import probe as pages

        settings = settings_from(env)
        writable(output)
        submission, report = open_and_audit(target, mirror=mirror, repo=repo, env=settings, records=False)
        found = experiment(report, submission, target, mirror=mirror, env=settings, seed=seed, jobs=jobs)
        data = found.as_json()
        if format is TextOrJson.json:
            emit(pages.as_json(data), output)
        else:
            emit(pages.as_text(target, data, color=use_color(color.value, output)), output)
        raise typer.Exit(found.exit_code)
