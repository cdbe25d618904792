"""The script that scored the headline, where it is another one than the script that trained.

Some submissions train with one script and evaluate the saved model with a second one, and it is the second whose score
they claim. What tells is the log: the one that ends nearest to the claimed score shows no training, and its lines are
such as the second script prints and the first cannot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from auditor.submission.claims import BACKED_SPREAD
from auditor.submission.logs import last_scores, shows_training
from auditor.submission.model import Log

MIN_LABELS = 2
"""So many labels of a log must be the evaluator's own; a single word may be chance."""
_LABEL = re.compile(r"(?:^|\| )([A-Za-z][\w -]{2,40}[:=])", re.MULTILINE)
"""What stands before a printed value: `Loop: 50.1s | Wall: 87.6s` has two."""
_RUNS = re.compile(r"^(?:if __name__ ==|print\()", re.MULTILINE)
"""A script does something of its own where a module only defines."""


@dataclass(frozen=True)
class Evaluator:
    """The second script and the logs that it printed."""

    script: str
    logs: tuple[Log, ...]
    because: str


def find_evaluator(code: str, others: Sequence[tuple[str, str]], logs: Sequence[Log], claim: float) -> Evaluator | None:
    """Which of `others` (path, text) printed the log of the claimed score instead of the script with this `code`."""
    near = {log.path: min((abs(score - claim) for score in last_scores(log.text)), default=1.0) for log in logs}
    claimed = min(logs, key=lambda log: near[log.path], default=None)
    if claimed is None or near[claimed.path] >= BACKED_SPREAD or shows_training(claimed.text):
        return None
    for path, text in others:
        if _RUNS.search(text) and "bpb" in text and _is_of(claimed, text, code):
            own = [log for log in logs if not shows_training(log.text) and _is_of(log, text, code)]
            name = path.rpartition("/")[2]
            return Evaluator(path, tuple(own), f"{name} printed the claimed score ({claimed.path.rpartition('/')[2]})")
    return None


def _is_of(log: Log, text: str, code: str) -> bool:
    """Whether labels of the log stand in `text` and not in `code`."""
    labels = {match[1] for match in _LABEL.finditer(log.text)}
    return sum(label in text and label not in code for label in labels) >= MIN_LABELS
