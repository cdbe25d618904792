"""The `pgolf` command: reads the command line, calls the parts in order, turns results into output and exit codes.

No judgement lives here. Heavy imports wait inside the commands, so that `pgolf --help` starts at once.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.console import Format, emit, use_color, warn, working, writable
from auditor.verdict import ExitCode, PgolfError, Report, Target, unreadable
from reference_impl import cli as reference
from reference_impl import cli_scoring as scoring

if TYPE_CHECKING:
    from auditor.experiment.probe.model import Probe
    from auditor.submission.model import Submission

DEFAULT_REPO = "openai/parameter-golf"
HELP_WIDTH = 100
"""Columns of the help texts: fixed, so that they are the same everywhere."""
MEMORY = 2 << 30
"""Bytes that one run may take; real submissions stay below a tenth of that."""
INTERRUPTED = 130
"""What a shell reports of a command that an interrupt ended."""
SEVERITY = (ExitCode.CLEAN, ExitCode.HOLD, ExitCode.FLAG, ExitCode.USAGE, ExitCode.INTERNAL)
"""Exit codes from the mildest to the most severe: with several targets the worst one decides."""

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


class Color(StrEnum):
    """When to colour the text format."""

    auto = "auto"
    always = "always"
    never = "never"


class Tracks(StrEnum):
    """Which rows of the leaderboard."""

    record = "record"
    non_record = "non-record"
    all = "all"


class TextOrJson(StrEnum):
    """Output formats of what is not a report."""

    text = "text"
    json = "json"


Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET", help="Pull request number or URL, submission folder, or script.", show_default=False
    ),
]
OneTarget = Annotated[
    str,
    typer.Argument(
        metavar="TARGET", help="Pull request number or URL, submission folder, or script.", show_default=False
    ),
]
Mirror = Annotated[
    Path | None,
    typer.Option(
        "--mirror", metavar="GITDIR", help="Read pull requests from a clone that holds refs/pull/N/head; no network."
    ),
]
Repo = Annotated[str, typer.Option("--repo", metavar="OWNER/NAME", help="Repository that a number refers to.")]
Env = Annotated[
    list[str] | None,
    typer.Option("--env", metavar="KEY=VALUE", help="Override one setting of the reported run; may be repeated."),
]
OutputFormat = Annotated[Format, typer.Option("--format", help="How to print.", case_sensitive=False)]
DataFormat = Annotated[TextOrJson, typer.Option("--format", help="How to print.", case_sensitive=False)]
Output = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", help="Write there instead of to standard output; all of it or nothing."),
]
ColorOption = Annotated[Color, typer.Option("--color", help="Colour the text format; NO_COLOR is respected.")]


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


@app.command()
def audit(
    targets: Targets,
    mirror: Mirror = None,
    repo: Repo = DEFAULT_REPO,
    env: Env = None,
    format: OutputFormat = Format.text,
    output: Output = None,
    color: ColorOption = Color.auto,
    no_records: Annotated[
        bool,
        typer.Option("--no-records", help="Leave out the checks of logs, sizes, times and seeds against the claims."),
    ] = False,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Run the smoke test too (see pgolf smoke) and add it to the report.")
    ] = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="Run the experiment too (see pgolf probe); it can change the verdict.")
    ] = False,
) -> None:
    """Read submissions and say, with evidence, whether they obey the rules.

    With several targets, one that cannot be read does not stop the others, and the most severe exit code is
    returned: 4, then 2, 1, 3, 0.

    \b
    Examples:
      pgolf audit .                                     the submission in this folder
      pgolf audit records/track_10min_16mb/my_run       a submission folder
      pgolf audit train_gpt.py --env TTT_ENABLED=1      one script, under another setting
      pgolf audit 715                                   a pull request, from GitHub
      pgolf audit 715 --mirror pg.git --format markdown a review, without network
      pgolf audit 290 490 715 --format json > all.jsonl several, one JSON object a line
    """
    with failing(None):
        settings = settings_from(env)
        writable(output)
    reports: list[Report] = []
    codes = [ExitCode.CLEAN]
    for target in progress(targets):
        try:
            report = audit_one(target, mirror=mirror, repo=repo, env=settings, records=not no_records, smoke=smoke)
            if probe:
                report = with_probe(report, target, mirror=mirror, repo=repo, env=settings)
            code = report.exit_code
        except PgolfError as error:
            warn(about(target, error))
            report, code = unreadable(named(target, repo), str(error)), ExitCode.USAGE
        except Exception as error:
            report, code = unreadable(named(target, repo), internal_error(target, error)), ExitCode.INTERNAL
        reports.append(report)
        codes.append(code)
    if format is Format.text and output is None:
        # The line on standard error says it all.
        reports = [report for report in reports if report.verdict != "error"]
    if reports:
        with failing(None):
            show(reports, format, output, color)
    raise typer.Exit(max(codes, key=SEVERITY.index))


@app.command()
def sweep(
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE.jsonl", help="One JSON report a line, by number.", show_default=False),
    ],
    prs: Annotated[
        str | None,
        typer.Option("--prs", metavar="LIST", help="Numbers and ranges, such as 1-10,15; all of the mirror if absent."),
    ] = None,
    mirror: Mirror = None,
    repo: Repo = DEFAULT_REPO,
    env: Env = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", metavar="N", min=1, max=512, help="Processes; one a core if absent.")
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="For one pull request.")
    ] = 60.0,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", help="Where earlier results are kept.  [default: ~/.cache/pgolf]"),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither use nor keep earlier results.")] = False,
) -> None:
    """Audit many pull requests in parallel, and count the verdicts.

    After an interrupt or a kill, the same command goes on where it was, and the file comes out the same. A pull request
    that crashes the audit or takes too long becomes a line with verdict error. Unchanged pull requests are not audited
    again under unchanged rules. The most severe exit code is returned, as by pgolf audit; 130 after an interrupt.

    \b
    Examples:
      pgolf sweep --mirror pg.git --out all.jsonl                    every pull request of a clone
      pgolf sweep --mirror pg.git --out some.jsonl --prs 1-500,715   some of them
      pgolf sweep --prs 290,490,715 --out three.jsonl                from GitHub
      pgolf sweep --mirror pg.git --out new.jsonl --no-cache         from scratch
    """
    with failing(None):
        import rules as rulebook
        from auditor.sweep import command

        settings = settings_from(env)
        packages = [Path(__file__).parent, Path(rulebook.__file__).parent]
        kept = None if no_cache else command.cache_at(cache)
        tally = command.sweep(
            out, prs, mirror, repo, settings, rulebook.catalogue(), packages, kept, jobs=jobs, limit=timeout
        )
        if tally is None:
            raise typer.Exit(INTERRUPTED)
        emit(str(tally), None)
        raise typer.Exit(max(tally.codes, key=SEVERITY.index))


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD.jsonl", help="Reports, one a line.", show_default=False)],
    new: Annotated[Path, typer.Argument(metavar="NEW.jsonl", help="Reports, one a line.", show_default=False)],
    format: DataFormat = TextOrJson.text,
    output: Output = None,
) -> None:
    """Say which verdicts changed between two sweeps, and which findings came or went.

    Exits with 0 when the two say the same of the same pull requests, with 1 otherwise. A finding that only moved is
    the same finding.

    \b
    Examples:
      pgolf diff monday.jsonl friday.jsonl
      pgolf diff old.jsonl new.jsonl --format json
    """
    with failing(None):
        from auditor.report.compare import as_json, as_text, compare, load

        writable(output)
        found = compare(load(old), load(new))
        emit(as_json(found) if format is TextOrJson.json else as_text(found), output)
        raise typer.Exit(ExitCode.FLAG if found.differs else ExitCode.CLEAN)


@app.command()
def demo(
    format: OutputFormat = Format.text,
    output: Output = None,
    color: ColorOption = Color.auto,
) -> None:
    """Audit the four miniature submissions that ship with pgolf; needs no network.

    They were written for this demonstration, two legal and two not. The exit code says whether the verdicts are the
    expected ones: 0 when all four are, 1 otherwise.

    \b
    Examples:
      pgolf demo
      pgolf demo --format markdown
    """
    with failing("demo"):
        from auditor.demo import MINIATURES, as_expected, summary

        writable(output)
        reports = [audit_one(str(each.folder), mirror=None, repo=DEFAULT_REPO, env={}) for each in MINIATURES]
        show(reports, format, output, color)
        if format is Format.text and output is None:
            emit(summary(reports), None)
        raise typer.Exit(ExitCode.CLEAN if as_expected(reports) else ExitCode.FLAG)


@app.command()
def timeline(
    target: OneTarget,
    mirror: Mirror = None,
    repo: Repo = DEFAULT_REPO,
    env: Env = None,
    output: Output = None,
) -> None:
    """Print what the evaluation does with validation tokens, in order, with lines.

    Exits with 3 when nothing of that kind was found, as in a script that cannot be read.

    \b
    Examples:
      pgolf timeline .
      pgolf timeline 1092 --mirror pg.git
      pgolf timeline train_gpt.py --env TTT_ENABLED=1
    """
    with failing(target):
        from auditor.engine import timeline_rows
        from auditor.report.escape import visible

        settings = settings_from(env)
        writable(output)
        rows = timeline_rows(open_submission(target, mirror=mirror, repo=repo), settings)
        lines = [
            f"L{row.line:<5} {'  ' * row.depth}{row.kind:<12} {row.function}: {row.text}"
            + (f"  [{row.detail}]" if row.detail else "")
            for row in rows
        ]
        emit("".join(visible(line) + "\n" for line in lines), output)
        if not rows:
            warn(f"{target}: nothing was found that happens to validation tokens; pgolf audit says why")
            raise typer.Exit(ExitCode.HOLD)


@app.command()
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


@app.command()
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
        report = audit_one(target, mirror=mirror, repo=repo, env=settings, records=False)
        found = experiment(report, target, mirror=mirror, repo=repo, env=settings, seed=seed, jobs=jobs)
        data = found.as_json()
        if format is TextOrJson.json:
            emit(pages.as_json(data), output)
        else:
            emit(pages.as_text(target, data, color=use_color(color.value, output)), output)
        raise typer.Exit(found.exit_code)


@app.command()
def records(
    target: OneTarget,
    mirror: Mirror = None,
    repo: Repo = DEFAULT_REPO,
    format: DataFormat = TextOrJson.text,
    output: Output = None,
    color: ColorOption = Color.auto,
) -> None:
    """Show what logs, submission.json and README say of the runs, and where they disagree.

    Exits with 3 when there is a warning to look at or nothing to read, with 0 otherwise.

    \b
    Examples:
      pgolf records .
      pgolf records 715 --mirror pg.git
      pgolf records 715 --format json
    """
    with failing(target):
        from auditor.engine import check_records
        from auditor.report import records as pages
        from rules import catalogue

        writable(output)
        submission = open_submission(target, mirror=mirror, repo=repo)
        if submission.script is None:
            warn(f"{target}: {submission.reason or 'there is no submission'}")
            raise typer.Exit(ExitCode.HOLD)
        data, findings = check_records(submission, catalogue())
        if format is TextOrJson.json:
            emit(pages.as_json(data, findings), output)
        else:
            name = submission.folder or target
            emit(pages.as_text(name, data, findings, color=use_color(color.value, output), width=None), output)
        if any(finding.level == "warning" for finding in findings):
            raise typer.Exit(ExitCode.HOLD)


@app.command()
def leaderboard(
    track: Annotated[
        Tracks, typer.Option("--track", help="Rows of the record track, of the other one, or all.")
    ] = Tracks.record,
    format: DataFormat = TextOrJson.text,
    output: Output = None,
    color: ColorOption = Color.auto,
) -> None:
    """List the accepted rows that submissions are compared with: scores, runs and tokenizers, as data.

    \b
    Examples:
      pgolf leaderboard
      pgolf leaderboard --track all --format json
    """
    with failing("leaderboard"):
        from auditor.report import leaderboard as pages
        from rules import leaderboard as rows

        writable(output)
        loaded = rows.load()
        shown = [rows.as_data(row) for row in loaded.rows if track.value in ("all", row.track)]
        if format is TextOrJson.json:
            emit(pages.as_json(loaded.commit, shown), output)
        else:
            emit(pages.as_text(loaded.commit, shown, color=use_color(color.value, output)), output)


@app.command()
def explain(
    rule: Annotated[
        str, typer.Argument(metavar="RULE", help="Rule id, as `pgolf rules` lists them.", show_default=False)
    ],
    format: DataFormat = TextOrJson.text,
    color: ColorOption = Color.auto,
) -> None:
    """Show one rule in full: what it finds, why it matters, examples, rulings, limits.

    \b
    Examples:
      pgolf explain val-token-ttt
    """
    with failing(None):
        from auditor.report import explain as pages
        from rules import catalogue
        from rules.rulings import rulings

        found = {known.id: known for known in catalogue()}.get(rule)
        if found is None:
            raise PgolfError(unknown_rule(rule, [known.id for known in catalogue()]))
        if format is TextOrJson.json:
            emit(pages.explain_json(found, rulings()), None)
        else:
            emit(pages.explain(found, rulings(), color=use_color(color.value, None), width=None), None)


@app.command()
def rules(format: DataFormat = TextOrJson.text, color: ColorOption = Color.auto) -> None:
    """List the rules: id, level, conditions of issue #1017, and one line each.

    \b
    Examples:
      pgolf rules
      pgolf rules --format json
    """
    with failing(None):
        from auditor.report import explain as pages
        from rules import catalogue

        if format is TextOrJson.json:
            emit(pages.rules_json(catalogue()), None)
        else:
            emit(pages.rules_table(catalogue(), color=use_color(color.value, None), width=None), None)


@app.command()
def schema(output: Output = None) -> None:
    """Print the JSON schema of `--format json`.

    \b
    Examples:
      pgolf schema > pgolf.report.schema.json
    """
    with failing("schema"):
        from auditor.report.schema import schema_text

        writable(output)
        emit(schema_text(), output)


@app.command()
def doctor() -> None:
    """Say what is installed, what is missing, and the command that gets it.

    Exits with 0 when `pgolf audit` has all it needs, with 2 otherwise.

    \b
    Examples:
      pgolf doctor
    """
    with failing("doctor"):
        from auditor.doctor import diagnosis

        text, healthy = diagnosis()
        emit(text, None)
        raise typer.Exit(ExitCode.CLEAN if healthy else ExitCode.USAGE)


app.command()(reference.train)
app.add_typer(reference.data_commands)
app.command()(scoring.export)
app.command()(scoring.evaluate)
app.add_typer(scoring.codec_commands)


def open_submission(target: str, *, mirror: Path | None, repo: str) -> Submission:
    """Find the submission that a command-line target names; raises `PgolfError` when there is nothing to read."""
    from auditor.submission import open_target

    return open_target(target, mirror=mirror, repo=repo)


def audit_one(
    target: str,
    *,
    mirror: Path | None,
    repo: str,
    env: dict[str, str],
    records: bool = True,
    smoke: bool = False,
) -> Report:
    """Audit one target under every rule, or without those on records, and smoke-test it if asked.

    Raises `PgolfError` when it cannot be read.
    """
    from dataclasses import replace

    from auditor.engine import audit as run_audit
    from rules import catalogue

    try:
        chosen = [rule for rule in catalogue() if records or rule.kind != "record"]
        submission = open_submission(target, mirror=mirror, repo=repo)
        report = run_audit(submission, chosen, env=env)
    except MemoryError:
        raise PgolfError(f"it takes more than {MEMORY >> 20:,} MB to read") from None
    if not smoke:
        return report
    from auditor.experiment.smoke import smoke as run_smoke

    with working(f"smoke test of {target}"):
        return replace(report, smoke=run_smoke(submission, env).data())


def with_probe(report: Report, target: str, *, mirror: Path | None, repo: str, env: dict[str, str]) -> Report:
    """The report with the experiment on the same target; as it is where there is nothing to run."""
    from auditor.experiment.probe.beside import beside
    from rules import catalogue

    if report.submission.script is None:
        return report
    return beside(report, experiment(report, target, mirror=mirror, repo=repo, env=env), catalogue())


def experiment(
    report: Report,
    target: str,
    *,
    mirror: Path | None,
    repo: str,
    env: dict[str, str],
    seed: int = 1,
    jobs: int = 2,
    quiet: bool = False,
) -> Probe:
    """The experiment on a target that was audited, with its progress on standard error when someone watches."""
    from rich.console import Console

    from auditor.experiment.probe.run import probe as run_probe

    values = {name: setting.value for name, setting in report.submission.config.items()}
    words = ["pgolf", "probe", target, *(["--mirror", str(mirror)] if mirror else [])]
    words += [word for name, value in sorted(env.items()) for word in ("--env", f"{name}={value}")]
    repeat = shlex.join([*words, "--seed", str(seed)])
    submission = open_submission(target, mirror=mirror, repo=repo)
    with Console(stderr=True, quiet=quiet).status(f"probe {target}") as status:
        return run_probe(
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


def about(subject: str, error: PgolfError) -> str:
    """The message of an error, with what it is about in front unless it says so itself."""
    message = str(error)
    return message if repr(subject) in message else f"{subject}: {message}"


def named(target: str, repo: str) -> Target:
    """The target of a report, as far as its name tells."""
    from auditor.submission import named_pull

    pull = named_pull(target, repo)
    return Target(repo=pull[0], pr=pull[1]) if pull else Target(path=target)


def settings_from(pairs: list[str] | None) -> dict[str, str]:
    """Parse repeated `--env KEY=VALUE`; raises `PgolfError` on a pair without a name or `=`."""
    settings = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise PgolfError(f"--env wants KEY=VALUE, not {pair!r}; for example: --env TTT_ENABLED=1")
        settings[key.strip()] = value
    return settings


def unknown_rule(asked: str, known: list[str]) -> str:
    """Say that a rule is unknown, with the nearest known one."""
    from difflib import get_close_matches

    near = get_close_matches(asked, known, n=1)
    hint = f"did you mean {near[0]!r}? Type: pgolf explain {near[0]}" if near else "type: pgolf rules"
    return f"there is no rule {asked!r}; {hint}"


def progress(targets: list[str]) -> Iterator[str]:
    """Yield the targets, with a bar on standard error when there are several and someone watches."""
    if len(targets) < 2 or not sys.stderr.isatty():
        yield from targets
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(targets, description="audit", console=Console(stderr=True), transient=True)


@contextmanager
def failing(subject: str | None) -> Iterator[None]:
    """Turn a typed error into one line and exit code 2, and anything unforeseen into one line and exit code 4."""
    try:
        yield
    except PgolfError as error:
        warn(str(error) if subject is None else about(subject, error))
        raise typer.Exit(ExitCode.USAGE) from None
    except typer.Exit:
        raise
    except Exception as error:
        internal_error(subject or "output", error)
        raise typer.Exit(ExitCode.INTERNAL) from None


def internal_error(subject: str, error: Exception) -> str:
    """Report a defect of pgolf itself on one line; the traceback only under PGOLF_DEBUG=1."""
    message = f"internal error: {type(error).__name__}: {error}"
    if os.environ.get("PGOLF_DEBUG") == "1":
        import traceback

        traceback.print_exception(error, file=sys.stderr)
        warn(f"{subject}: {message}")
    else:
        warn(f"{subject}: {message} (PGOLF_DEBUG=1 shows the traceback)")
    return message


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


if __name__ == "__main__":
    main()
