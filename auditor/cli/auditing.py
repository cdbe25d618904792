"""Commands that read submissions: audit, sweep, diff, demo, timeline, records, leaderboard."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from auditor.cli.failing import INTERRUPTED, SEVERITY, about, failing, internal_error
from auditor.cli.options import (
    DEFAULT_REPO,
    Color,
    ColorOption,
    DataFormat,
    Env,
    Mirror,
    OneTarget,
    Output,
    OutputFormat,
    Repo,
    Targets,
    TextOrJson,
)
from auditor.cli.steps import audit_one, open_submission, settings_from, show
from auditor.console import Format, emit, use_color, warn, writable
from auditor.verdict import ExitCode, PgolfError, Report, Target, unreadable


class Tracks(StrEnum):
    """Which rows of the leaderboard."""

    record = "record"
    non_record = "non-record"
    all = "all"


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

    def one(target: str) -> Report:
        return audit_one(
            target, mirror=mirror, repo=repo, env=settings, records=not no_records, smoke=smoke, probe=probe
        )

    reports, code = audit_all(targets, repo, one)
    if format is Format.text and output is None:
        # The line on standard error says it all.
        reports = [report for report in reports if report.verdict != "error"]
    if reports:
        with failing(None):
            show(reports, format, output, color)
    raise typer.Exit(code)


def audit_all(targets: list[str], repo: str, one: Callable[[str], Report]) -> tuple[list[Report], ExitCode]:
    """A report on each target, as `one` makes it or on why it could not, and the most severe exit code."""
    reports: list[Report] = []
    codes = [ExitCode.CLEAN]
    for target in progress(targets):
        try:
            report = one(target)
            code = report.exit_code
        except PgolfError as error:
            warn(about(target, error))
            report, code = unreadable(named(target, repo), str(error)), ExitCode.USAGE
        except Exception as error:
            report, code = unreadable(named(target, repo), internal_error(target, error)), ExitCode.INTERNAL
        reports.append(report)
        codes.append(code)
    return reports, max(codes, key=SEVERITY.index)


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
        packages = [Path(__file__).parents[1], Path(rulebook.__file__).parent]
        kept = None if no_cache else command.cache_at(cache)
        tally = command.sweep(
            out, prs, mirror, repo, settings, rulebook.catalogue(), packages, kept, jobs=jobs, limit=timeout
        )
        if tally is None:
            raise typer.Exit(INTERRUPTED)
        emit(str(tally), None)
        raise typer.Exit(max(tally.codes, key=SEVERITY.index))


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


def named(target: str, repo: str) -> Target:
    """The target of a report, as far as its name tells."""
    from auditor.submission import named_pull

    pull = named_pull(target, repo)
    return Target(repo=pull[0], pr=pull[1]) if pull else Target(path=target)


def progress(targets: list[str]) -> Iterator[str]:
    """Yield the targets, with a bar on standard error when there are several and someone watches."""
    if len(targets) < 2 or not sys.stderr.isatty():
        yield from targets
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(targets, description="audit", console=Console(stderr=True), transient=True)
