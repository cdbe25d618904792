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
_TORCH = re.compile(r"^\s*(?:import|from) torch\b", re.MULTILINE)
"""A tool that only adds up what logs say needs no tensors."""


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
    able = [(path, text) for path, text in others if _RUNS.search(text) and _TORCH.search(text) and "bpb" in text]
    path, text = max(able, key=lambda other: _own_labels(claimed, other[1], code), default=("", ""))
    if _own_labels(claimed, text, code) < MIN_LABELS:
        return None
    own = [log for log in logs if not shows_training(log.text) and _own_labels(log, text, code) >= MIN_LABELS]
    name, shown = path.rpartition("/")[2], claimed.path.rpartition("/")[2]
    return Evaluator(path, tuple(own), f"{name} printed the claimed score ({shown})")


def _own_labels(log: Log, text: str, code: str) -> int:
    """How many labels of the log stand in `text` and not in `code`."""
    return sum(label in text and label not in code for label in {match[1] for match in _LABEL.finditer(log.text)})
