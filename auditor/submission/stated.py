"""What a submission says of its score, where no log tells which phases of the program made it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from auditor.submission.model import Submission

_AROUND = frozenset(["ENABLED", "ENABLE", "USE", "RUN", "DO", "ON", "EVAL", "FLAG", "MODE"])
"""Parts of the name of a switch that do not say what it switches."""
_NUMBER = re.compile(r"(?<![\w.])[0-4]\.\d{3,}")
_SAME = 5e-4
_SHORTEST = 3


def scored_with(switch: str, submission: Submission) -> bool:
    """Whether one sentence of README or submission.json gives the claimed score and what `switch` switches on.

    The claim has to be the best number there, and nothing there may deny the phase.
    """
    parts = [part for part in switch.upper().split("_") if part and part not in _AROUND]
    claim = submission.claims.val_bpb
    if claim is None or len(parts) != 1 or len(parts[0]) < _SHORTEST:
        return False
    name = re.compile(rf"(?<![A-Za-z]){parts[0]}(?![A-Za-z])", re.IGNORECASE)
    before = r"(?:no|not|non|without|w/o|off|disabled?|pre|before|skips?)"
    after = r"(?:0|off|no|false|disabled)"
    denied = re.compile(rf"\b{before}\b[\s:-]*{parts[0]}|{parts[0]}\w*\W{{0,3}}{after}\b", re.IGNORECASE)
    for sentence in _sentences(submission):
        numbers = [float(number) for number in _NUMBER.findall(sentence)]
        if numbers and abs(min(numbers) - claim) < _SAME and name.search(sentence) and not denied.search(sentence):
            return True
    return False


def _sentences(submission: Submission) -> Iterator[str]:
    """Lines of the README and texts of submission.json."""
    yield from (submission.readme or "").splitlines()
    yield from (value for value in (submission.submission_json or {}).values() if isinstance(value, str))
