"""Audits every pull request head of a mirror and counts what comes out: verdicts, classes, reasons, crashes.

    python -m benchmarks.heads --mirror GITDIR --jobs 2 --out heads.jsonl

Writes one report a line, as `pgolf audit --format json` does, and prints a Markdown summary. Exits with 1 when any
audit ended in an unhandled exception or ran over the time limit.
"""

from __future__ import annotations

import multiprocessing
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from auditor.cli import audit_one
from auditor.report.as_json import dumps
from auditor.report.escape import markdown_text
from auditor.verdict import PgolfError, Report, Target, unreadable
from benchmarks.audit import percentile, table
from benchmarks.corpus import arguments, chosen


class OutOfTime(BaseException):
    """The audit ran over the limit; not an `Exception`, so that the audited code path cannot swallow it."""


@dataclass(frozen=True)
class Outcome:
    """One audited pull request."""

    pr: int
    line: str
    verdict: str
    cls: str
    reason: str
    """Why it is `hold` or `error`; empty otherwise."""
    crash: str
    """Where an unhandled exception came from; empty when there was none."""
    seconds: float
    peak_mb: float


def run(pr: int, mirror: Path, limit: float) -> Outcome:
    """Audit one pull request; never raises."""
    began, crash = time.perf_counter(), ""
    try:
        with time_limit(limit):
            report = audit_one(str(pr), mirror=mirror, repo="openai/parameter-golf", env={})
    except PgolfError as error:
        report = unreadable(Target(pr=pr), str(error))
    except OutOfTime:
        crash = f"more than {limit:g} s"
        report = unreadable(Target(pr=pr), crash)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        crash = f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno} {last.name}: {error}"[:200]
        report = unreadable(Target(pr=pr), crash)
    seconds = time.perf_counter() - began
    line = dumps(report, indent=None) + "\n"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Outcome(pr, line, report.verdict, report.cls, reason(report), crash, seconds, peak)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` in the block when it takes longer."""

    def stop(*_: object) -> None:
        raise OutOfTime

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def reason(report: Report) -> str:
    """The first line of why a report is not a verdict."""
    if report.verdict not in ("hold", "error"):
        return ""
    return next((f"{f.rule}: {f.message}" for f in report.findings if f.level == "hold"), report.cls)


def collect(outcomes: Iterable[Outcome], total: int, out: Path) -> list[Outcome]:
    """Write each report as it comes, and keep the rest for the summary."""
    kept = []
    with out.open("w", encoding="utf-8") as file:
        for outcome in outcomes:
            file.write(outcome.line)
            kept.append(outcome)
            if sys.stderr.isatty():
                print(f"\r{len(kept)}/{total}", end="", file=sys.stderr, flush=True)
    return sorted(kept, key=lambda outcome: outcome.pr)


def summary(outcomes: Sequence[Outcome], seconds: float, jobs: int) -> str:
    """All counts as Markdown."""
    spent = [outcome.seconds for outcome in outcomes]
    crashes = [outcome for outcome in outcomes if outcome.crash]
    slowest = sorted(outcomes, key=lambda outcome: outcome.seconds, reverse=True)[:5]
    counted = Counter((o.verdict, o.cls) for o in outcomes)
    reasons = Counter((o.verdict, markdown_text(o.reason, 110)) for o in outcomes if o.reason)
    parts = [
        f"{len(outcomes)} heads in {seconds:.0f} s with {jobs} processes; crashes: {len(crashes)}; "
        f"one head: median {percentile(spent, 50):.2f} s, 95 % {percentile(spent, 95):.2f} s, "
        f"worst {max(spent):.2f} s; peak memory of a process: {max(o.peak_mb for o in outcomes):.0f} MB.\n",
        table(("verdict", "class", "count"), [(*key, count) for key, count in counted.most_common()]),
        table(("undecided or unread", "reason", "count"), [(*key, count) for key, count in reasons.most_common(40)]),
        table(("slowest", "seconds", "verdict"), [(f"#{o.pr}", f"{o.seconds:.2f}", o.verdict) for o in slowest]),
    ]
    if crashes:
        by_crash = Counter(o.crash for o in crashes)
        first = {o.crash: o.pr for o in reversed(crashes)}
        parts.append(
            table(
                ("crash", "first", "count"), [(markdown_text(c), f"#{first[c]}", n) for c, n in by_crash.most_common()]
            )
        )
    return "\n".join(parts)


def main() -> None:
    """Audit, write, print."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (default: 2)")
    parser.add_argument("--limit", type=float, default=30.0, metavar="SECONDS", help="for one head (default: 30)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="one JSON report a line")
    options = parser.parse_args()
    prs = chosen(options.mirror, options.prs, options.sample)
    began = time.perf_counter()
    with multiprocessing.Pool(options.jobs) as pool:
        work = pool.imap_unordered(partial(run, mirror=options.mirror, limit=options.limit), prs, chunksize=4)
        outcomes = collect(work, len(prs), options.out)
    print(summary(outcomes, time.perf_counter() - began, options.jobs))
    sys.exit(1 if any(outcome.crash for outcome in outcomes) else 0)


if __name__ == "__main__":
    main()
