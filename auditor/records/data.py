"""The records as plain data, in the published form (`records` of `pgolf.report/1`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditor.records.model import LogRecord, Records


def as_data(records: Records, significance: Mapping[str, dict[str, Any]] | None = None) -> dict[str, Any]:
    """Logs, claims and both verdicts on significance, empty where nobody gives them; null where a log does not say."""
    return {
        "logs": [_log(log) for log in records.logs],
        "claims": _claims(records),
        "significance": dict(significance or {"readme_rule": {}, "applied_rule": {}}),
    }


def _log(log: LogRecord) -> dict[str, Any]:
    run = log.run
    score = run.score
    implied = score.implied_bytes(run.val_tokens.value) if score is not None and run.val_tokens is not None else None
    return {
        "file": log.path,
        "seed": run.seed.value if run.seed else None,
        "val_bpb": score.val_bpb if score else None,
        "val_loss": score.val_loss if score else None,
        "tokens": run.val_tokens.value if run.val_tokens else None,
        "implied_bytes": round(implied) if implied is not None else None,
        "artifact_bytes": run.artifact.bytes if run.artifact else None,
        "train_s": run.train_s.value if run.train_s else None,
        "eval_s": run.eval_s.value if run.eval_s else None,
        "steps": run.steps.value if run.steps else None,
        "label": score.label if score else None,
        "line": score.line if score else None,
        "world_size": run.world_size.value if run.world_size else None,
        "train_shards": run.train_shards.value if run.train_shards else None,
        "runs": len(log.runs),
    }


def _claims(records: Records) -> dict[str, Any]:
    """By quantity, in order of trust: value, seed and place of each claim."""
    claims: dict[str, Any] = {}
    for claim in records.claims:
        listed = claims.setdefault(claim.name, [])
        listed.append({"value": claim.value, "seed": claim.seed, "from": claim.where})
    return claims
