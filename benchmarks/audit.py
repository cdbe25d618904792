"""How long one audit takes, by stage and against `ast.parse` of the same text.

    python -m benchmarks.audit --mirror GITDIR --sample 60
    python -m benchmarks.audit --mirror GITDIR --prs 290,490,715,1092 --runs 9

Parse and audit are measured in CPU time, in turn, in the same process, so that a busy machine slows both alike.
The first run is shown beside the median: a large gap would mean that the median profits from a warm cache.
"""

from __future__ import annotations

import ast
import gc
import resource
import statistics
import time
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.engine import audit
from auditor.submission import open_target
from auditor.verdict import PgolfError
from benchmarks.corpus import arguments, chosen
from rules import catalogue


@dataclass(frozen=True)
class Measured:
    """One pull request; times in milliseconds, medians over the runs unless named otherwise."""

    pr: int
    lines: int
    read: float
    """Opening the submission, wall clock, once: it is mostly git and the disk."""
    parse: float
    audit: float
    first_audit: float
    stages: dict[str, float]
    verdict: str

    @property
    def ratio(self) -> float:
        """Audit time over parse time."""
        return self.audit / self.parse


def measure(pr: int, mirror: Path, runs: int) -> Measured | None:
    """Measure one pull request; None when it holds no script that this Python can parse."""
    began = time.perf_counter()
    try:
        submission = open_target(str(pr), mirror=mirror, repo="openai/parameter-golf")
    except PgolfError:
        return None
    read = 1000 * (time.perf_counter() - began)
    parses, audits = [], []
    stages: dict[str, list[float]] = defaultdict(list)
    text = None
    for _ in range(runs):
        gc.collect()
        began = time.process_time()
        report = audit(submission, catalogue())
        audits.append(1000 * (time.process_time() - began))
        for stage, spent in report.timings_ms.items():
            stages[stage].append(spent)
        if text is None:
            text = "\n".join(report.source_lines) + "\n"
        gc.collect()
        began = time.process_time()
        if not parses_here(text):
            return None
        parses.append(1000 * (time.process_time() - began))
    return Measured(
        pr=pr,
        lines=len(report.source_lines),
        read=read,
        parse=statistics.median(parses),
        audit=statistics.median(audits),
        first_audit=audits[0],
        stages={stage: statistics.median(spent) for stage, spent in stages.items()},
        verdict=report.verdict,
    )


def parses_here(text: str) -> bool:
    """Whether there is a program, and `ast.parse` takes it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bool(ast.parse(text).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def summary(measured: Sequence[Measured], left_out: int, runs: int) -> str:
    """All results as Markdown."""
    rows = []
    for name, values in {
        "read from the mirror (ms)": [m.read for m in measured],
        "`ast.parse` (ms)": [m.parse for m in measured],
        "audit (ms)": [m.audit for m in measured],
        "audit, first run (ms)": [m.first_audit for m in measured],
        "**audit / `ast.parse`**": [m.ratio for m in measured],
    }.items():
        rows.append((name, f"{statistics.median(values):.1f}", f"{percentile(values, 95):.1f}", f"{max(values):.1f}"))
    stages = sorted({stage for m in measured for stage in m.stages})
    by_stage = [(stage, [m.stages[stage] for m in measured if stage in m.stages]) for stage in stages]
    worst = sorted(measured, key=lambda m: m.ratio, reverse=True)[:5]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return "\n".join(
        [
            f"{len(measured)} scripts, median of {runs} runs each; {left_out} pull requests without a script to parse; "
            f"peak memory {peak:.0f} MB.\n",
            table(("", "median", "95 %", "worst"), rows),
            table(
                ("stage", "median ms", "worst ms"),
                [(stage, f"{statistics.median(values):.1f}", f"{max(values):.1f}") for stage, values in by_stage],
            ),
            table(
                ("slowest against its parse", "lines", "parse ms", "audit ms", "ratio", "verdict"),
                [(f"#{m.pr}", m.lines, f"{m.parse:.1f}", f"{m.audit:.1f}", f"{m.ratio:.1f}", m.verdict) for m in worst],
            ),
        ]
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="runs of each script (default: 5)")
    options = parser.parse_args()
    prs = chosen(options.mirror, options.prs, options.sample)
    results = [measure(pr, options.mirror, options.runs) for pr in prs]
    measured = [result for result in results if result is not None]
    if not measured:
        raise SystemExit("none of these pull requests holds a script that can be parsed")
    print(summary(measured, len(results) - len(measured), options.runs))


if __name__ == "__main__":
    main()
