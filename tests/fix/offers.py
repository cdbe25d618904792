"""What `repair` offers for a miniature script."""

from __future__ import annotations

from auditor.engine import audit
from auditor.fix import Repair, repair
from auditor.submission.model import Submission
from rules import catalogue
from tests.scripts import submission

RULES = catalogue()


def offered(code: str, *, warnings: bool = False, **env: str) -> Repair | None:
    """The repair of a script that is run under these settings; it audits as it says."""
    return offered_for(submission(code), warnings=warnings, **env)


def offered_for(given: Submission, *, warnings: bool = False, **env: str) -> Repair | None:
    """The same for a submission of several files."""
    return repair(given, audit(given, RULES, env=env), RULES, env, warnings=warnings)


def code_of(found: Repair) -> str:
    """The one file that is changed."""
    (code,) = found.files.values()
    return code
