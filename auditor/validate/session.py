"""One validation under way: its jobs, the results so far, and the files that hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from auditor.console import write_whole
from auditor.records import Records
from auditor.report.validation import as_markdown
from auditor.submission.model import Submission
from auditor.validate.compare import compare, verdict
from auditor.validate.guard import Data, Layout
from auditor.validate.job import Job
from auditor.validate.model import SeedRun
from auditor.validate.outcome import as_data, as_json
from auditor.validate.plan import Plan
from auditor.validate.workspace import TRAIN_TOKENS
from auditor.verdict import ExitCode

EXIT: Mapping[str, ExitCode] = {
    "reproduced": ExitCode.CLEAN,
    "contradicted": ExitCode.FLAG,
    "undecided": ExitCode.HOLD,
}


@dataclass
class Session:
    """What is being validated, on which data, and where the results go."""

    plan: Plan
    submission: Submission
    records: Records
    folder: Path
    layout: Layout | None = None
    data: Data | None = None
    """None for toy data, which is made for each run."""
    tolerance: float | None = None
    """In bits per byte; None for the usual one."""
    runs: list[SeedRun] = field(default_factory=list)

    def jobs(self) -> list[Job]:
        """One job a seed."""
        digest = self.data.digest if self.data is not None else sha256(json.dumps(TRAIN_TOKENS).encode()).hexdigest()
        return [Job(self.plan, seed, self.plan.key(seed, digest), self.folder, self.layout) for seed in self.plan.seeds]

    def take(self, run: SeedRun) -> None:
        """Add a run that is over, and write what is known by now."""
        self.runs.append(run)
        write_whole(as_json(self.result()), self.folder / "validation.json", str(self.folder / "validation.json"))
        page = as_markdown(self.plan.target, self.result())
        write_whole(page, self.folder / "validation.md", str(self.folder / "validation.md"))

    def result(self) -> dict[str, Any]:
        """The validation as far as it has come."""
        rows = compare(self.plan, self.data, self.runs, self.records, self.tolerance)
        found = verdict(rows, self.runs, self.plan)
        return as_data(self.submission, self.plan, self.data, self.runs, rows, found)
