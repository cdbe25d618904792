"""The `pgolf` command: reads the command line, calls the parts in order, turns results into output and exit codes.

No judgement lives here. Heavy imports wait inside the commands, so that `pgolf --help` starts at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from auditor.cli import auditing, experiments, fixing, looking_up, posting, reviewing, validating, watching
from auditor.cli.steps import MEMORY
from auditor.console import emit
from reference_impl import cli as reference
from reference_impl import cli_reproduce
from reference_impl import cli_scoring as scoring

HELP_WIDTH = 100
"""Columns of the help texts: fixed, so that they are the same everywhere."""

app = typer.Typer(
    name="pgolf",
    epilog="Start with: pgolf demo. Exit codes: 0 nothing found, 1 flagged, 2 bad input or usage, 3 undecided, "
    "4 internal error.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "terminal_width": HELP_WIDTH,
        "max_content_width": HELP_WIDTH,
    },
)


def print_version(wanted: bool) -> None:
    """Print the version and leave, when asked to."""
    if wanted:
        from auditor.report.tool import NAME, version

        emit(f"{NAME} {version()}\n", None)
        raise typer.Exit()


@app.callback()
def pgolf(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """Say, with evidence, whether a Parameter Golf submission obeys the evaluation rules."""


for command in (
    auditing.audit,
    auditing.sweep,
    auditing.diff,
    auditing.demo,
    auditing.timeline,
    experiments.smoke,
    experiments.probe,
    auditing.records,
    validating.validate,
    auditing.leaderboard,
    reviewing.review,
    fixing.fix,
    posting.post,
    posting.pulls,
    watching.watch,
    looking_up.explain,
    looking_up.rules,
    looking_up.schema,
    looking_up.doctor,
    reference.train,
):
    app.command()(command)
app.add_typer(reference.data_commands)
app.command()(scoring.export)
app.command()(scoring.evaluate)
app.command()(cli_reproduce.reproduce)
app.add_typer(scoring.codec_commands)


def limit_memory() -> None:
    """Let hostile input end in an error of this process before it takes the machine's memory."""
    try:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, hard))
    except (ImportError, OSError, ValueError):
        return  # not offered by this system, or already lower: the analysis has bounds of its own


def main() -> None:
    """Entry point of the `pgolf` command."""
    limit_memory()
    app()
