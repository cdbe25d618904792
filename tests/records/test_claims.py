"""Claims that can be checked against logs, each with the place where it stands."""

from __future__ import annotations

import pytest

from auditor.cli.steps import audit_one
from auditor.demo import MINIATURES
from auditor.submission.claims import Claim, declared


def of(submission: dict[str, object], readme: str = "", title: str = "") -> dict[tuple[str, int | None], Claim]:
    found: dict[tuple[str, int | None], Claim] = {}
    for claim in declared(submission, readme, title):
        found.setdefault((claim.name, claim.seed), claim)
    return found


def test_the_first_form_of_submission_json() -> None:
    claims = of({"val_loss": 2.0594, "val_bpb": 1.2197, "bytes_total": 15_811_202, "bytes_code": 46_138, "seed": 1337})
    assert claims["val_bpb", None] == Claim("val_bpb", 1.2197, "submission.json: val_bpb", None, 4)
    assert claims["artifact_bytes", None].value == 15_811_202
    assert claims["code_bytes", None].value == 46_138
    assert claims["seed", None].value == 1337


@pytest.mark.parametrize("key", ["seed_results", "per_seed", "runs"])
def test_results_by_seed(key: str) -> None:
    entry = {
        "val_bpb": 1.0811,
        "artifact_bytes": "15,990,221",
        "steps": 4452,
        "train_time_ms": 588_130,
        "eval_time_s": 463,
    }
    claims = of({"mean_val_bpb": 1.081, "val_bpb_std": 0.0007, key: {"42": entry}})
    assert claims["val_bpb", None].where == "submission.json: mean_val_bpb"
    assert claims["val_bpb_std", None].value == 0.0007
    assert claims["val_bpb", 42] == Claim("val_bpb", 1.0811, "submission.json: seed 42: val_bpb", 42, 4)
    assert (claims["artifact_bytes", 42].value, claims["steps", 42].value) == (15_990_221, 4452)
    assert (claims["train_s", 42].value, claims["eval_s", 42].value) == (588.13, 463)


def test_a_table_of_the_readme() -> None:
    readme = "| Seed | loss | val_bpb | Bytes |\n|---|---|---|---|\n| 7 | 2.79 | **1.0338** | 15,992,378 |\n"
    claims = of({}, readme, "Something new (val_bpb: 1.0337)")
    assert claims["val_bpb", 7].value == 1.0338
    assert claims["artifact_bytes", 7].value == 15_992_378
    assert claims["val_bpb", None].where == "title"


@pytest.mark.parametrize("value", [None, True, "n/a", [], {}, 10**400, float("nan"), -1])
def test_values_that_are_none(value: object) -> None:
    for key in ("val_bpb", "steps", "bytes_total", "eval_time_s", "val_loss"):
        assert not of({key: value})


def test_without_records_nothing_is_said_of_logs() -> None:
    folder = str(next(m.folder for m in MINIATURES))
    with_them = audit_one(folder, mirror=None, repo="a/b", env={})
    without = audit_one(folder, mirror=None, repo="a/b", env={}, records=False)
    kinds = {evidence.kind for finding in with_them.findings for evidence in finding.evidence}
    assert "records" in kinds
    assert {e.kind for f in without.findings for e in f.evidence} == {"static"}
    assert (with_them.verdict, with_them.cls) == (without.verdict, without.cls)
