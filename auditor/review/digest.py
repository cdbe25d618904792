"""What a review states, as a hash: equal digests mean that nothing has changed for its reader."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from auditor.verdict import Report


def digest_of(report: Report, repair: str | None = None, validation: Mapping[str, Any] | None = None) -> str:
    """16 hexadecimal digits over the commit, the verdict, the findings, the claims and what the runs answered.

    Times, versions and wording are left out: another machine or a new template is no news to an author.
    """
    smoke = report.smoke and (report.smoke["status"], report.smoke["fault"], report.smoke["reason"])
    probe = report.probe and [(name, found["answer"]) for name, found in sorted(report.probe["conditions"].items())]
    facts = (
        report.target.head,
        report.submission.script,
        report.submission.script_sha256,
        report.verdict,
        report.cls,
        [
            (f.rule, f.level, f.activation, f.file, f.line, f.message, f.rulings)
            for f in sorted(report.findings, key=lambda f: (f.rule, f.file, f.line, f.message))
        ],
        (report.claims.val_bpb, report.claims.seeds, report.claims.artifact_bytes, report.claims.status),
        report.records,
        smoke,
        probe,
        repair,
        validation and [(row["seed"], row["quantity"], row["status"]) for row in validation["rows"]],
    )
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
