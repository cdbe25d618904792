"""The seeds were not run with one configuration.

What it does
------------
Compares the settings that the logs of the reported runs print. A setting that is a number or a switch and differs
between them is a warning, unless it is the seed or says where things are.

Why it matters
--------------
A mean over runs of different programs is no estimate of either. An entry was refused because its third seed came from
another setup.

Limits
------
Only settings that the script reads from its environment and that all of the logs print are compared. Code sizes that
differ between seeds are tolerated by the maintainers and not reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar

from auditor.facts import Facts
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.records.reading import finding, reported
from rules.records.samples import example, log

_OTHER = log(42).replace("epochs:3", "epochs:5")
_VALUE = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?:ms|s)?|True|False", re.IGNORECASE)
_OF_THE_RUN = re.compile(r"seed|run_?id|rank|path|dir|file|log|port", re.IGNORECASE)
"""Settings that say which run this is and where it lies."""
_MANY = 12
"""More differences than this are two dialects of a log, not two configurations."""


class MixedConfigSeeds:
    """Settings, compared between logs."""

    id: ClassVar[str] = "mixed-config-seeds"
    kind: ClassVar[Kind] = "record"
    level: ClassVar[Level] = "warning"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ("pr2124",)
    examples: ClassVar[tuple[Example, ...]] = (
        example("One seed adapts for more epochs", True, train_seed42=_OTHER),
        example("The seeds differ in the seed", False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One finding that names the settings."""
        different = differing(facts)
        if different:
            named = [(name, list(dict.fromkeys(values))) for name, values in different.items()]
            listed = "; ".join(f"{name} is {' and '.join(values[:3])}" for name, values in named[:4])
            yield finding(facts, self, f"The logs of the reported runs differ in {len(different)} settings: {listed}.")


def differing(facts: Facts) -> dict[str, list[str]]:
    """Settings in which the logs of the reported runs differ, each with its value in every log; empty where none do."""
    runs = reported(facts)
    paths = {record.path for record, _ in runs}
    seeds = {run.seed.value for _, run in runs if run.seed is not None}
    logs = [log for log in facts.submission.logs if log.path in paths and len(log.config) > 2]
    single = all(len(record.runs) == 1 for record, _ in runs)
    if len(logs) < 2 or len(seeds) != len(runs) or len(logs) != len(paths) or not single:
        return {}  # several runs of one seed are experiments, and of several runs in a log the first one's are known
    common = set.intersection(*(set(log.config) for log in logs))
    different = {}
    for name in sorted(common):
        values = [log.config[name] for log in logs]
        is_setting = f'"{name.upper()}"' in facts.text or f"'{name.upper()}'" in facts.text
        if len(set(values)) > 1 and is_setting and not _OF_THE_RUN.search(name) and all(map(_VALUE.fullmatch, values)):
            different[name] = values
    return different if len(different) <= _MANY else {}
