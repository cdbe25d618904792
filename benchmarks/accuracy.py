"""How often the verdicts agree with labelled pull requests, and on what evidence they do not.

    python -m benchmarks.accuracy --labels FILE --mirror GITDIR
    python -m benchmarks.accuracy --labels FILE --reports all.jsonl

The file of labels holds one JSON object a line: `pr`, `head`, `aspect` (`legality` or `record`), `verdict`, `rules`,
`tier` (how sure the label is, `A` to `C`), and perhaps `accepted` (a row of the leaderboard), `cls` and `note`. A
label counts for its own head only. `hold` is neither right nor wrong, and counted apart; what is no submission breaks
no rule.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auditor.report.escape import one_line
from benchmarks.audit import table
from benchmarks.corpus import swept

Json = dict[str, Any]

FAMILIES = (
    frozenset({"val-token-ttt", "two-pass-rescoring", "oracle-selection"}),
    frozenset(
        {
            "ngram-target-in-key",
            "unnormalized-mixture",
            "target-gated-mixing",
            "ppm-byte-mixture",
            "cache-before-score",
            "two-pass-rescoring",
        }
    ),
    frozenset({"slot-scored-region"}),
    frozenset({"val-calibration"}),
    frozenset({"val-in-train", "external-data-or-network"}),
    frozenset({"non-causal"}),
)
"""Rules that name neighbouring sides of one offence: a flag by one of them is right where the label names another."""
LEGALITY = frozenset.union(*FAMILIES) | {"experiment-violation"}
RECORD = frozenset(
    {
        "artifact-over-cap",
        "time-over-budget",
        "calibration-outside-budget",
        "missing-seeds",
        "mixed-config-seeds",
        "not-significant",
        "claim-log-mismatch",
        "byte-accounting",
        "partial-validation",
        "missing-evidence",
    }
)
"""Rules on logs and claims: they are scored one by one, and decide nothing about legality."""


@dataclass
class Score:
    """What came of comparing reports with labels."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(label, report) -> legality labels."""
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(rule, `found` | `missed` | `not labelled`), over flagged labels that were flagged, and over false flags."""
    classes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(class of the label, class of the report), where the label names one."""
    record: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """(rule, whether it was shown)."""
    family: list[bool] = field(default_factory=list)
    """For each true flag, whether it is for what the label names."""
    accepted: list[bool] = field(default_factory=list)
    """For each accepted row, whether it was flagged."""
    skipped: int = 0
    disagreements: list[tuple[Json, Json, str]] = field(default_factory=list)
    """(label, report, what the report says instead)."""

    def figures(self) -> dict[str, object]:
        """The headline numbers."""
        counts, total = self.outcomes, self.outcomes.total()
        right = counts["flag", "flag"]
        missed = counts["flag", "clean"] + counts["flag", "error"]
        held = sum(count for (_, got), count in counts.items() if got == "hold")
        record = {
            rule: f"{self.record[rule, True]}/{self.record[rule, True] + self.record[rule, False]}"
            for rule in sorted({rule for rule, _ in self.record})
        }
        return {
            "scored": total,
            "skipped": self.skipped,
            "recall": share(right, right + missed),
            "precision": share(right, right + counts["clean", "flag"]),
            "hold_rate": share(held, total),
            "family": share(sum(self.family), len(self.family)),
            "accepted_flagged": f"{sum(self.accepted)}/{len(self.accepted)}",
            "record_recall": record,
        }


def score(labels: Iterable[Json], reports: Mapping[int, Json], tiers: str) -> Score:
    """Compare every label of these tiers with the report on the same head."""
    result = Score()
    for label in labels:
        if label["tier"] not in tiers:
            continue
        report = reports.get(label["pr"])
        if report is None or not (report["target"].get("head") or "").startswith(label["head"][:12]):
            result.skipped += 1
        elif label["aspect"] == "record":
            _score_record(result, label, report)
        elif label["verdict"] in ("flag", "clean"):
            _score_legality(result, label, report)
    return result


def _score_record(result: Score, label: Json, report: Json) -> None:
    shown = {finding["rule"] for finding in report["findings"]}
    for rule in RECORD.intersection(label["rules"]):
        result.record[rule, rule in shown] += 1
        if rule not in shown:
            result.disagreements.append((label, report, f"no {rule}"))


def _score_legality(result: Score, label: Json, report: Json) -> None:
    expected, got = label["verdict"], legality(report)
    flagged, named = flags(report), set(label["rules"])
    result.outcomes[expected, got] += 1
    if label.get("accepted"):
        result.accepted.append(got == "flag")
    if label.get("cls"):
        result.classes[label["cls"], report["class"]] += 1
    if expected == "flag" and got == "flag":
        result.family.append(not named or related(named, flagged))
    if expected == "flag":
        result.rules.update((rule, "found" if rule in flagged else "missed") for rule in named & LEGALITY)
    result.rules.update((rule, "not labelled") for rule in flagged - named if named or expected == "clean")
    if got != expected:
        result.disagreements.append((label, report, got))


def legality(report: Json) -> str:
    """The verdict as far as legality goes."""
    if flags(report):
        return "flag"
    if report["verdict"] == "error":
        return "error"
    held = {finding["rule"] for finding in report["findings"] if finding["level"] == "hold"}
    return "hold" if held - RECORD and report["class"] != "not-a-submission" else "clean"


def flags(report: Json) -> set[str]:
    """Legality rules that the report flags."""
    return {finding["rule"] for finding in report["findings"] if finding["level"] == "flag"} & LEGALITY


def related(named: set[str], flagged: set[str]) -> bool:
    """Whether one rule is in both, or a family has a member in both."""
    return bool(named & flagged) or any(named & family and flagged & family for family in FAMILIES)


def share(part: int, whole: int) -> float:
    """A proportion to four digits; 0 of nothing is 0."""
    return round(part / max(1, whole), 4)


def summary(result: Score) -> str:
    """All of it as Markdown."""
    figures = result.figures()
    lines = [f"{name}: {value}" for name, value in figures.items() if not isinstance(value, dict)]
    parts = ["\n".join(lines) + "\n"]
    parts.append(crosstab("label", result.outcomes, ("flag", "clean", "hold", "error")))
    if result.rules:
        parts.append(crosstab("rule", result.rules, ("found", "missed", "not labelled")))
    if result.classes:
        parts.append(crosstab("class of the label", result.classes, sorted({got for _, got in result.classes})))
    if result.record:
        shown = Counter({(rule, "shown" if hit else "missed"): n for (rule, hit), n in result.record.items()})
        parts.append(crosstab("record rule", shown, ("shown", "missed")))
    return "\n".join(parts)


def crosstab(title: str, counts: Counter[tuple[str, str]], columns: Sequence[str]) -> str:
    """Counts by (row, column) as a Markdown table."""
    rows = sorted({row for row, _ in counts})
    return table((title, *columns), [(row, *(counts[row, column] for column in columns)) for row in rows])


def evidence(label: Json, report: Json, got: str) -> str:
    """One disagreement with what the report rests on."""
    wanted = ", ".join(label["rules"]) or label["verdict"]
    lines = [f"#{label['pr']} [{label['tier']}] label: {wanted}; report: {got} ({report['class']})"]
    if label.get("note"):
        lines.append(f"  label says: {one_line(label['note'], 300)}")
    told = [finding for finding in report["findings"] if finding["level"] in ("flag", "hold")]
    for finding in told or report["findings"][:3]:
        lines.append(f"  {finding['level']} {finding['rule']} L{finding['line']}: {one_line(finding['message'], 200)}")
        steps = [step for part in finding["evidence"] for step in part["path"]]
        lines += [f"    L{step['line']} {one_line(step['text'], 100)}  {one_line(step['note'], 80)}" for step in steps]
    return "\n".join(lines) + "\n"


def load(path: Path) -> list[Json]:
    """One JSON object a line."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def main() -> None:
    """Audit what is labelled, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, metavar="FILE", help="one label a line")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--mirror", type=Path, metavar="GITDIR", help="clone that holds refs/pull/N/head")
    source.add_argument("--reports", type=Path, metavar="FILE", help="what pgolf sweep has written")
    parser.add_argument("--tiers", default="AB", help="labels of these tiers count (default: AB)")
    parser.add_argument("--json", action="store_true", help="print the figures only, as JSON")
    given = parser.parse_args()
    labels = load(given.labels)
    if given.reports:
        reports = load(given.reports)
    else:
        with tempfile.TemporaryDirectory() as folder:
            reports = load(swept(given.mirror, [label["pr"] for label in labels], Path(folder)))
    result = score(labels, {report["target"]["pr"]: report for report in reports}, given.tiers)
    if given.json:
        print(json.dumps(result.figures()))
        return
    print(summary(result))
    print("\n".join(evidence(*each) for each in result.disagreements))


if __name__ == "__main__":
    main()
