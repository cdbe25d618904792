"""The table of `pgolf validate` in a review."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from auditor.cli import app
from auditor.demo import MINIATURES
from auditor.review import render
from auditor.validate.model import SCHEMA
from benchmarks.reviews import defects
from rules import catalogue
from rules.rulings import rulings
from tests.report.report_samples import FLAG, HEAD

FOLDER = str(MINIATURES[0].folder)


def validation(head: str | None, **more: Any) -> dict[str, Any]:
    def row(quantity: str, status: str, claimed: float, measured: float, note: str | None = None) -> dict[str, Any]:
        return {"seed": 1337, "quantity": quantity, "status": status, "claimed": claimed, "where": "train.log",
                "measured": measured, "allowed": 0.0, "note": note, "decides": True}  # fmt: skip

    return {
        "schema": SCHEMA,
        "target": {"repo": None, "pr": None, "head": head, "path": None},
        "verdict": "contradicted",
        "runs": [],
        "rows": [row("val_bpb", "contradicted", 1.0337, 1.1234, "# @user [a](http://e)")],
        "data": None,
        "not_comparable": ["<img src=x>"],
        **more,
    }


def test_claims_and_measurements_stand_beside_each_other() -> None:
    text = render(FLAG, rules=catalogue(), rulings=rulings(), validation=validation(HEAD)).body
    table = text.partition("**Validation** (run again, and compared with the claims):")[2].partition("**")[0]
    assert "Something contradicts the claims." in table
    assert "| 1337 | val_bpb | 1.0337" in table
    assert "contradicted" in table
    assert "<img" not in table and "@user" not in table and "[a](" not in table
    assert defects(text) == []


def test_another_outcome_is_news() -> None:
    made = [
        render(FLAG, rules=catalogue(), rulings=rulings(), validation=found)
        for found in (None, validation(HEAD), validation(HEAD, rows=[]))
    ]
    assert len({review.digest for review in made}) == 3


def test_the_command_takes_the_file_that_validate_writes(tmp_path: Path) -> None:
    file = tmp_path / "validation.json"
    file.write_text(json.dumps(validation(None)), encoding="utf-8")
    result = CliRunner().invoke(app, ["review", FOLDER, "--validation", str(file)])
    assert result.exit_code == 0
    assert "**Validation**" in result.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no validation.json; pgolf validate writes one into its --out"),
        ('{"schema": "pgolf.report/1"}', "is no validation.json"),
        ("[]", "is no validation.json"),
        (json.dumps(validation("f" * 40)), "is of another commit than the one reviewed"),
        (None, "No such file or directory"),
    ],
)
def test_any_other_file_is_one_line_and_exits_with_two(text: str | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "validation.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(app, ["review", FOLDER, "--validation", str(file)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr and result.stderr.count("\n") == 1
