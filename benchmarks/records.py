"""How often each rule on records finds something, over the pull requests of a mirror.

    python -m benchmarks.records --mirror GITDIR --sample 300

Reads logs, claims and committed sizes, as `pgolf records` does; no script is interpreted. Prints a table in Markdown:
how many of all submissions, and of those that have both submission.json and a log with a score.
"""

from __future__ import annotations

from collections import Counter

from auditor.engine import check_records
from auditor.submission.assemble import assemble
from auditor.submission.mirror import Mirror
from auditor.verdict import PgolfError
from benchmarks.audit import table
from benchmarks.corpus import arguments, chosen
from rules import catalogue

REPOSITORY = "openai/parameter-golf"


def main() -> None:
    """Count, and print."""
    given = arguments(__doc__.splitlines()[0]).parse_args()
    rules = [rule for rule in catalogue() if rule.kind == "record"]
    found: Counter[tuple[str, str]] = Counter()
    complete: Counter[tuple[str, str]] = Counter()
    seen: Counter[str] = Counter()
    with Mirror(given.mirror) as clone:
        for number in chosen(given.mirror, given.prs, given.sample):
            try:
                submission = assemble(clone.open(number, repo=REPOSITORY))
            except PgolfError:
                seen["unreadable"] += 1
                continue
            if submission.script is None:
                seen["no submission"] += 1
                continue
            data, findings = check_records(submission, rules)
            seen["submissions"] += 1
            seen["with a log"] += bool(data["logs"])
            scored = any(log["val_bpb"] is not None for log in data["logs"])
            seen["with a score in a log"] += scored
            shown = {(finding.rule, finding.level) for finding in findings}
            found.update(shown)
            if scored and submission.submission_json is not None:
                seen["with submission.json too"] += 1
                complete.update(shown)
    print(", ".join(f"{name}: {count}" for name, count in seen.items()) + "\n")
    columns = [
        (counts, seen[of], level)
        for counts, of in ((found, "submissions"), (complete, "with submission.json too"))
        for level in ("warning", "note")
    ]
    rows = [
        (
            rule.id,
            *(f"{counts[rule.id, level]} ({counts[rule.id, level] / max(of, 1):.0%})" for counts, of, level in columns),
        )
        for rule in rules
    ]
    print(table(("rule", "warning", "note", "complete: warning", "note"), rows))


if __name__ == "__main__":
    main()
