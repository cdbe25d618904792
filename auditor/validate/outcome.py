"""The whole result as plain data: `validation.json`, schema `pgolf.validation/1`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from typing import Any

from auditor.report.tool import NAME, version
from auditor.submission.model import Submission
from auditor.validate.guard import Data
from auditor.validate.model import SCHEMA, Row, SeedRun
from auditor.validate.plan import Plan


def as_data(
    submission: Submission, plan: Plan, data: Data | None, runs: Sequence[SeedRun], rows: Sequence[Row], verdict: str
) -> dict[str, Any]:
    """The published form; runs and rows are those that there are so far."""
    target = submission.target
    gpus = tuple(runs[0].gpus) if runs else plan.gpus
    return {
        "schema": SCHEMA,
        "tool": {"name": NAME, "version": version()},
        "target": {"repo": target.repo, "pr": target.pr, "head": target.head, "path": target.path},
        "script": submission.script,
        "verdict": verdict,
        "plan": plan_data(plan, gpus),
        "data": None if data is None else {**asdict(data), "unchecked": list(data.unchecked)},
        "not_comparable": plan.incomparable(gpus),
        "runs": [asdict(run) for run in sorted(runs, key=lambda each: plan.seeds.index(each.seed))],
        "rows": [asdict(row) for row in rows],
    }


def plan_data(plan: Plan, gpus: Sequence[str]) -> dict[str, Any]:
    """What is run, on these GPUs."""
    return {
        "mode": plan.mode,
        "seeds": list(plan.seeds),
        "processes": plan.processes,
        "gpus": list(gpus),
        "steps": plan.steps,
        "settings": plan.settings,
        "changed": list(plan.changed),
        "budgets": asdict(plan.budgets),
    }


def as_json(validation: dict[str, Any]) -> str:
    """The text of `validation.json`."""
    return json.dumps(validation, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def schema_text() -> str:
    """The JSON schema (draft 2020-12), as it is shipped."""
    return resources.files("auditor.validate").joinpath("validation.schema.json").read_text(encoding="utf-8")
