"""How long a sweep over every pull request of a mirror takes, from scratch and again, and what remains undecided.

    python -m benchmarks.heads --mirror GITDIR --jobs 2 --out heads.jsonl

Both sweeps are `pgolf sweep` as a user runs it, with a cache that is empty at first. Exits with 1 when they differ, or
when an audit ended in an unhandled exception.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from auditor.report.escape import markdown_text
from auditor.sweep.summary import DEFECT
from auditor.verdict import ExitCode
from benchmarks.audit import table
from benchmarks.corpus import arguments


def timed(out: Path, cache: Path, options: list[str]) -> float:
    """Seconds of wall clock that one sweep takes."""
    command = [sys.executable, "-m", "auditor.cli", "sweep", "--out", str(out), "--cache", str(cache), *options]
    began = time.perf_counter()
    done = subprocess.run(command, check=False)
    if done.returncode not in (*ExitCode,):
        raise SystemExit(f"the sweep ended with {done.returncode}")
    return time.perf_counter() - began


def undecided(out: Path) -> Counter[tuple[str, str]]:
    """(verdict, first reason) of everything that is neither clean nor flagged."""
    reasons: Counter[tuple[str, str]] = Counter()
    with out.open(encoding="utf-8") as lines:
        for report in map(json.loads, lines):
            if report["verdict"] in ("hold", "error"):
                held = (f["message"] for f in report["findings"] if f["level"] == "hold")
                reasons[report["verdict"], next(held, report["class"])] += 1
    return reasons


def main() -> None:
    """Sweep twice, and print."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (default: 2)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="one JSON report a line")
    given = parser.parse_args()
    options = ["--mirror", str(given.mirror), "--jobs", str(given.jobs)]
    options += ["--prs", given.prs] if given.prs else []
    with tempfile.TemporaryDirectory() as folder:
        cache, again = Path(folder) / "cache", Path(folder) / "again.jsonl"
        first, second = timed(given.out, cache, options), timed(again, cache, options)
        same = given.out.read_bytes() == again.read_bytes()
    reasons = undecided(given.out)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"\nfrom scratch {first:.1f} s, again {second:.1f} s with {given.jobs} processes; peak memory {peak:.0f} MB\n"
    )
    rows = [(verdict, markdown_text(reason, 110), count) for (verdict, reason), count in reasons.most_common(40)]
    print(table(("undecided or unread", "reason", "count"), rows))
    crashes = sum(count for (_, reason), count in reasons.items() if reason.startswith(DEFECT))
    sys.exit(0 if same and not crashes else 1)


if __name__ == "__main__":
    main()
