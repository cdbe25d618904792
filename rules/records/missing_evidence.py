"""Something that a submission must bring is not there: logs, submission.json, README.

What it does
------------
Looks for a log that comes to a final score, for a submission.json that can be read, for a README and for the script, in
a folder of the submission's own. A run command that cannot be meant as it stands is a note: it sets a name that is next
to one that the script reads, or a number such as 092.

Why it matters
--------------
Without them nothing that is claimed can be checked, and maintainers do not grade such entries.

Limits
------
A log that is linked and not committed counts as missing. Whether the script runs from its folder is the smoke test's
question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import ClassVar

from auditor.facts import Facts
from auditor.verdict import Finding, Level
from rules.base import Example, Kind
from rules.records.reading import finding, is_packaged, names
from rules.records.samples import example

_NAME = re.compile(r"""["']([A-Z][A-Z0-9_]{3,})["']""")
_ALIKE = 0.88
"""How like a name that the script reads a misspelt one is, by `difflib`."""
_POINTLESS = re.compile(r"0\d{1,3}")
"""`092`, where 0.92 is meant: Python reads 92."""
_LOGS = ("train_seed1337.log", "train_seed42.log", "train_seed7.log")


class MissingEvidence:
    """Files that must be there."""

    id: ClassVar[str] = "missing-evidence"
    kind: ClassVar[Kind] = "record"
    level: ClassVar[Level] = "warning"
    conditions: ClassVar[tuple[str, ...]] = ()
    rulings: ClassVar[tuple[str, ...]] = ("readme-records", "pr505")
    examples: ClassVar[tuple[Example, ...]] = (
        example("No log at all", True, without=_LOGS),
        example("No submission.json", True, without=("submission.json",)),
        example("Everything is there", False),
    )

    def check(self, facts: Facts) -> Iterable[Finding]:
        """One finding that names all that is missing."""
        if not is_packaged(facts):
            return
        records, submission = facts.records, facts.submission
        missing = [] if submission.folder else ["no folder of its own"]
        if submission.folder and submission.script and not submission.script.startswith(f"{submission.folder}/"):
            missing.append(f"no script in its folder ({submission.script} was read)")
        if not records.logs:
            missing.append("no log")
        elif not records.finished:
            missing.append(f"no log that comes to a final score ({names(records.logs)})")
        if submission.submission_json is None:
            missing.append("no submission.json that can be read")
        if not (submission.readme or "").strip():
            missing.append("no README")
        if missing:
            yield finding(facts, self, f"The submission has {', '.join(missing)}.")
        doubts = list(_doubts(facts))
        if doubts:
            message = f"The run command ({submission.command.source}) is not what was run: {'; '.join(doubts[:4])}."
            yield finding(facts, self, message, level="note")


def _doubts(facts: Facts) -> Iterator[str]:
    """Settings of the run command that cannot be meant: a name that is misspelt, a number with its point left out."""
    env = facts.submission.command.env
    texts = (facts.text, *facts.module_texts.values()) if env else ()
    read = {name for text in texts for name in _NAME.findall(text)}
    for name, value in env.items():
        near = get_close_matches(name, read, n=1, cutoff=_ALIKE) if read and name not in read else []
        if near and near[0] not in env:
            yield f"it sets {name}, and the script reads {near[0]}"
        elif _POINTLESS.fullmatch(value) and name in read:
            yield f"{name}={value} is {float(value):g}"
