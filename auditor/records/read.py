"""From a submission to its records."""

from __future__ import annotations

from auditor.records.model import Records
from auditor.records.parse import numbered, parse_log
from auditor.submission.claims import declared
from auditor.submission.model import Submission


def read_records(submission: Submission) -> Records:
    """The logs, parsed, and the claims of a submission."""
    logs = tuple(parse_log(log.path, numbered(log.text, log.numbers)) for log in submission.logs)
    title = submission.target.title or ""
    return Records(logs, declared(submission.submission_json or {}, submission.readme or "", title))
