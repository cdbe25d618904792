"""pgolf and Semgrep side by side: accuracy and time over the same scripts.

    python -m venv /tmp/semgrep && /tmp/semgrep/bin/pip install semgrep
    python -m benchmarks.semgrep --mirror GITDIR --labels FILE --sample 100 --semgrep /tmp/semgrep/bin/semgrep

The rules beside this file put the three seed patterns as well as Semgrep's open-source engine allows: it matches
syntax and follows values within one function. It is handed the unpacked text of each script, without settings, logs or
README, since it reads none of them. Labels are those of the seed patterns: flagged for `val-token-ttt` or
`ngram-target-in-key`, or clean. Both are charged CPU time; Semgrep's start is measured on an empty file and
shown apart.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from auditor.engine import audit
from auditor.submission.assemble import assemble
from auditor.submission.mirror import Mirror
from auditor.submission.model import Submission
from auditor.verdict import PgolfError
from benchmarks.accuracy import load, share
from benchmarks.audit import table
from benchmarks.corpus import SEED
from rules import catalogue

RULES = Path(__file__).parent
PATTERNS = {"val-token-ttt", "ngram-target-in-key"}
GET = "python -m venv /tmp/semgrep && /tmp/semgrep/bin/pip install semgrep, then --semgrep /tmp/semgrep/bin/semgrep"
TIMEOUT_S = 60
"""For one rule on one script; Semgrep then leaves the script out and says so."""


def chosen(labels: list[dict[str, Any]], sample: int, mirror: Mirror) -> list[tuple[dict[str, Any], Submission]]:
    """A fixed sample of labelled submissions that have a script."""
    wanted = [
        label
        for label in labels
        if label["aspect"] == "legality"
        and label["tier"] in "AB"
        and (label["verdict"] == "clean" or (label["verdict"] == "flag" and PATTERNS & set(label["rules"])))
    ]
    random.Random(SEED).shuffle(wanted)
    found: list[tuple[dict[str, Any], Submission]] = []
    for label in wanted:
        if len(found) == sample:
            break
        try:
            submission = assemble(mirror.open(label["pr"], repo="owner/name"))
        except PgolfError:
            continue
        if submission.script is not None and (submission.target.head or "").startswith(label["head"][:12]):
            found.append((label, submission))
    return found


def by_pgolf(cases: list[tuple[dict[str, Any], Submission]], folder: Path) -> tuple[dict[int, str], float]:
    """Verdict on each, and CPU seconds; the text of each script is put into `folder` in passing."""
    verdicts, spent = {}, 0.0
    for label, submission in cases:
        gc.collect()
        began = time.process_time()
        report = audit(submission, catalogue())
        spent += time.process_time() - began
        flagged = {finding.rule for finding in report.findings if finding.level == "flag"}
        held = report.verdict == "hold"
        verdicts[label["pr"]] = "flag" if flagged else "hold" if held else "clean"
        text = "\n".join(report.source_lines) + "\n"
        (folder / f"{label['pr']}.py").write_text(text, encoding="utf-8", errors="replace")
    return verdicts, spent


def by_semgrep(program: str, folder: Path) -> tuple[dict[int, str], float, list[str]]:
    """Verdict on each script that a rule matched, CPU seconds, and what went wrong."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    options = ["--metrics=off", "--disable-version-check", "--no-git-ignore", "--json", "--quiet", "--jobs=1"]
    options += [f"--timeout={TIMEOUT_S}", "--max-target-bytes=0", *(f"--config={rule}" for rule in RULES.glob("*.yml"))]
    done = subprocess.run([program, "scan", *options, str(folder)], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    try:
        data = json.loads(done.stdout)
    except ValueError:
        raise SystemExit(f"semgrep ended with {done.returncode}: {done.stderr[-300:]}") from None
    matched = {int(Path(r["path"]).stem) for r in data["results"] if r["extra"]["severity"] == "ERROR"}
    problems = [f"{error.get('type')}: {Path(str(error.get('path'))).name}" for error in data["errors"]]
    return dict.fromkeys(matched, "flag"), spent, problems


def figures(cases: list[tuple[dict[str, Any], Submission]], verdicts: dict[int, str]) -> tuple[object, ...]:
    """Recall, precision, share of holds, and how many of each outcome."""
    counts = Counter((label["verdict"], verdicts.get(label["pr"], "clean")) for label, _ in cases)
    right, wrong, missed = counts["flag", "flag"], counts["clean", "flag"], counts["flag", "clean"]
    held = sum(count for (_, got), count in counts.items() if got == "hold")
    return share(right, right + missed), share(right, right + wrong), right, missed, wrong, held


def main() -> None:
    """Run both, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.semgrep", description=__doc__.splitlines()[0])
    parser.add_argument("--mirror", type=Path, required=True, metavar="GITDIR", help="clone with refs/pull/N/head")
    parser.add_argument("--labels", type=Path, required=True, metavar="FILE", help="see benchmarks.accuracy")
    parser.add_argument("--sample", type=int, default=100, metavar="N", help="scripts (default: 100)")
    parser.add_argument("--semgrep", default="semgrep", metavar="PROGRAM", help="default: the one on PATH")
    given = parser.parse_args()
    program = shutil.which(given.semgrep)
    if program is None:
        print(f"skipped: there is no {given.semgrep}. To get it: {GET}", file=sys.stderr)
        return
    with (
        Mirror(given.mirror) as mirror,
        tempfile.TemporaryDirectory() as scripts,
        tempfile.TemporaryDirectory() as none,
    ):
        cases = chosen(load(given.labels), given.sample, mirror)
        ours, our_time = by_pgolf(cases, Path(scripts))
        (Path(none) / "0.py").touch()
        _, start, _ = by_semgrep(program, Path(none))
        theirs, their_time, problems = by_semgrep(program, Path(scripts))
    each = 1000 / max(1, len(cases))
    header = ("", "recall", "precision", "flagged", "missed", "false", "held", "CPU ms a script")
    print(f"{len(cases)} scripts, {sum(label['verdict'] == 'flag' for label, _ in cases)} of them labelled illegal\n")
    rows = [
        ("pgolf", *figures(cases, ours), f"{our_time * each:.0f}"),
        ("semgrep", *figures(cases, theirs), f"{(their_time - start) * each:.0f}"),
    ]
    print(table(header, rows))
    ratio, whole = (their_time - start) / our_time, their_time / our_time
    print(f"semgrep takes {ratio:.2f} times the time of pgolf, {whole:.2f} times with its start of {start:.1f} s")
    if problems:
        print(f"semgrep could not read {len(problems)}: {', '.join(problems[:10])}")


if __name__ == "__main__":
    main()
