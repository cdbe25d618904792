"""Looks for repairs of flagged pull requests: how many there are, and of which kind.

    python -m benchmarks.repairs --mirror GITDIR --sample 200
    python -m benchmarks.repairs --mirror GITDIR --prs 1-500 --out repairs/

With `--warnings` also for clean ones whose gate is not masked where documents begin. With `--out`, each diff is written
to a file, to be read as its author would.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from auditor.engine import audit
from auditor.fix import repair
from auditor.submission import open_target
from auditor.verdict import PgolfError
from benchmarks.corpus import arguments, chosen
from rules import catalogue

REPO = "openai/parameter-golf"


def kind(step: str) -> str:
    """A step without what belongs to one script: `switch off by default`, `leave out the branch`."""
    return re.sub(r" ?(`[^`]*`|\bat line\b.*|\(.*|\d+.*)", "", step.partition(":")[0]).strip()


def main() -> None:
    """Repair, count and print."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--warnings", action="store_true", help="clean ones too, for the mask where documents begin")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write each diff there")
    options = parser.parse_args()
    rules = catalogue()
    audited, looked, repaired, kinds, left = 0, 0, 0, Counter[str](), Counter[str]()
    for pr in chosen(options.mirror, options.prs, options.sample):
        try:
            submission = open_target(str(pr), mirror=options.mirror, repo=REPO)
        except PgolfError as error:
            left[f"not opened: {str(error)[:60]}"] += 1
            continue
        report = audit(submission, rules)
        audited += 1
        masked = any(f.rule == "bos-boundary-leak" and f.level == "warning" for f in report.findings)
        if report.verdict != "flag" and not (options.warnings and report.verdict == "clean" and masked):
            continue
        looked += 1
        found = repair(submission, report, rules, warnings=options.warnings)
        if found is None:
            left["packed" if report.submission.packing else report.cls] += 1
            continue
        repaired += 1
        kinds.update({kind(step) for step in found.steps})
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            (options.out / f"{pr}.diff").write_text(found.diff, encoding="utf-8", errors="backslashreplace")
    print(f"{audited} audited, {looked} to repair, {repaired} with a repair")
    for title, counts in (("by what is done", kinds), ("without", left)):
        print(title)
        for name, number in counts.most_common():
            print(f"{number:5} {name}")


if __name__ == "__main__":
    main()
