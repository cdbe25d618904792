"""How far experiments reach: smoke and probe on a random sample of pull requests, every failure with its reason.

    python -m benchmarks.experiments --mirror GITDIR --sample 100 --out RUNS.jsonl [--labels FILE] [--no-smoke]

A sample is drawn among pull requests that add a script, and is always the same. Results are appended as they
come, so a run that was stopped goes on where it was; with `--labels` (rows `{"pr", "verdict", "tier"}`) answers are
compared with labels that were read one by one.
"""

from __future__ import annotations

import json
import random
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from auditor.cli.steps import experiment, open_and_audit, open_submission
from auditor.experiment.smoke import smoke
from auditor.verdict import PgolfError
from benchmarks.corpus import SEED, arguments, chosen

REPO = "openai/parameter-golf"


def one(pr: int, mirror: Path, with_smoke: bool, with_probe: bool) -> dict[str, Any]:
    """Smoke test and probe of one pull request, with its static verdict."""
    submission, report = open_and_audit(str(pr), mirror=mirror, repo=REPO, env={}, records=False)
    row: dict[str, Any] = {"pr": pr, "static": report.verdict, "class": report.cls}
    if submission.script is None:
        return row
    if with_smoke:
        row["smoke"] = smoke(submission, {}).data()
    if with_probe:
        try:
            row["probe"] = experiment(report, submission, str(pr), mirror=mirror, env={}, jobs=1, quiet=True).as_json()
        except PgolfError as error:
            row["probe"] = {"failed": str(error)}
    return row


def answers(row: Mapping[str, Any]) -> dict[str, str]:
    """The answer for each condition."""
    return {name: found["answer"] for name, found in row["probe"].get("conditions", {}).items()}


def outcome(row: Mapping[str, Any]) -> str:
    """Of the whole probe: violated, compared (some condition was settled), or why not."""
    given = set(answers(row).values())
    if "violated" in given:
        return "violated"
    if "not-refuted" in given:
        return "not refuted"
    return "could not run" if "could-not-run" in given else "inconclusive"


def kind(reason: str) -> str:
    """A reason without what differs from script to script."""
    return re.sub(r"\d[\d,.]*", "N", re.sub(r"\(.*|'[^']*'|\"[^\"]*\"", "...", reason))[:76].strip()


def table(title: str, counts: Counter[str]) -> None:
    """Print counts, the most frequent first."""
    print(f"\n{title}")
    for name, count in counts.most_common():
        print(f"  {count:>4}  {name}")


def summary(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print how many decide, and why the others do not."""
    rows = list(rows)
    ran = [row for row in rows if "smoke" in row]
    if ran:
        decided = [row for row in ran if row["smoke"]["status"] == "pass" or row["smoke"]["fault"] == "script"]
        print(f"{len(ran)} scripts; smoke decides {len(decided)}")
        table("smoke", Counter(f"{row['smoke']['status']} {row['smoke']['fault'] or ''}".strip() for row in ran))
        table("smoke, reasons", Counter(kind(row["smoke"]["reason"]) for row in ran if row["smoke"]["reason"]))
    probed = [row for row in rows if "probe" in row]
    if not probed:
        return
    table("probe", Counter(outcome(row) for row in probed))
    reasons = (
        next((found["reason"] for found in row["probe"].get("conditions", {}).values() if found["reason"]), "failed")
        for row in probed
        if outcome(row) in ("could not run", "inconclusive")
    )
    table("probe, reasons", Counter(kind(reason) for reason in reasons))
    costs = [row["probe"]["cost"] for row in probed if "cost" in row["probe"]]
    if costs:
        seconds = sorted(cost["seconds"] for cost in costs)
        memory = max(cost["max_rss_mb"] for cost in costs)
        print(f"\nmedian {statistics.median(seconds):.1f} s, longest {seconds[-1]:.1f} s, at most {memory:,.0f} MB")


def compare(rows: Iterable[Mapping[str, Any]], labels: Path) -> None:
    """Print how answers stand to labels of the tiers A and B, and which differ."""
    known = {}
    for line in labels.read_text(encoding="utf-8").splitlines():
        label = json.loads(line)
        if label.get("tier") in ("A", "B") and label.get("aspect") != "record":
            known[label["pr"]] = label["verdict"], ", ".join(label["rules"])
    counts: Counter[str] = Counter()
    for row in rows:
        if row["pr"] in known and "probe" in row:
            verdict, rules = known[row["pr"]]
            result = outcome(row)
            counts[f"labelled {verdict}: {result}"] += 1
            if (verdict, result) in (("clean", "violated"), ("flag", "not refuted")):
                told = {name: found["reason"] for name, found in row["probe"]["conditions"].items() if found["reason"]}
                print(f"  {row['pr']}: labelled {verdict} ({rules}), {result}: {told}")
    table("beside the labels", counts)


def main() -> None:
    """Run the experiments that are not in the file yet, then print the tables."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--out", type=Path, required=True, metavar="RUNS.jsonl", help="results, one a line")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="labels to compare with")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="pull requests at a time")
    parser.add_argument("--no-probe", action="store_true", help="the smoke test only")
    parser.add_argument("--no-smoke", action="store_true", help="the probe only")
    options = parser.parse_args()
    wanted = chosen(options.mirror, options.prs, None)
    if options.sample is not None and options.sample < len(wanted):
        scripts = (pr for pr in random.Random(SEED).sample(wanted, len(wanted)) if has_script(pr, options.mirror))
        wanted = [pr for pr, _ in zip(scripts, range(options.sample), strict=False)]
    rows = {}
    if options.out.exists():
        rows = {row["pr"]: row for row in map(json.loads, options.out.read_text(encoding="utf-8").splitlines())}
    left = [pr for pr in wanted if pr not in rows]
    with ThreadPoolExecutor(options.jobs) as pool, options.out.open("a", encoding="utf-8") as out:
        runs = [pool.submit(one, pr, options.mirror, not options.no_smoke, not options.no_probe) for pr in left]
        for run in track(as_completed(runs), "experiments", len(runs), console=Console(stderr=True), transient=True):
            row = run.result()
            rows[row["pr"]] = row
            out.write(json.dumps(row) + "\n")
            out.flush()
    summary(rows[pr] for pr in wanted)
    if options.labels is not None:
        compare([rows[pr] for pr in wanted], options.labels)


def has_script(pr: int, mirror: Path) -> bool:
    """Whether a pull request adds a script that could be run."""
    try:
        return open_submission(str(pr), mirror=mirror, repo=REPO).script is not None
    except PgolfError:
        return False


if __name__ == "__main__":
    main()
