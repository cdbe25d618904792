"""`pgolf records`, and the records in the JSON of an audit."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from auditor.cli import app
from auditor.report.schema import schema_text
from rules.records.samples import CODE, SOUND, log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"train_gpt.py": CODE, **SOUND}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout


def test_records_that_agree(folder: Path) -> None:
    code, text = run("records", str(folder))
    assert code == 0
    rows = [line.split() for line in text.splitlines() if line.endswith(".log")]
    assert [row[:2] for row in rows] == [["1337", "1.2194"], ["42", "1.2197"], ["7", "1.2203"]]
    assert "(submission.json: val_bpb)" in text
    assert [line for line in text.splitlines() if line.startswith(("warning", "note"))] == ["note not-significant"]


def test_a_warning_is_exit_code_3(folder: Path) -> None:
    (folder / "train_seed42.log").write_text(log(42, bpb=1.2297))
    code, text = run("records", str(folder))
    assert code == 3
    assert "warning claim-log-mismatch" in text


def test_the_json_has_the_published_form(folder: Path) -> None:
    code, text = run("records", str(folder), "--format", "json")
    data = json.loads(text)
    assert code == 0
    assert set(data) == {"logs", "claims", "significance", "findings"}
    first = data["logs"][0]
    assert (first["seed"], first["val_bpb"], first["tokens"], first["steps"]) == (1337, 1.2194, 62_021_632, 13_000)
    assert first["implied_bytes"] == pytest.approx(151_080_363, rel=1e-5)
    assert data["claims"]["val_bpb"][0] == {"value": 1.2198, "seed": None, "from": "submission.json: val_bpb"}


def test_an_audit_carries_the_records(folder: Path) -> None:
    _, text = run("audit", str(folder), "--format", "json")
    report = json.loads(text)
    jsonschema.validate(report, json.loads(schema_text()))
    assert [each["seed"] for each in report["records"]["logs"]] == [1337, 42, 7]
    _, text = run("audit", str(folder), "--format", "json", "--no-records")
    assert json.loads(text)["records"] is None


def test_a_review_shows_the_records(folder: Path) -> None:
    _, text = run("audit", str(folder), "--format", "markdown")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table[2].startswith("| claimed | 1337 42 7 | 1.2198 |")
    assert len(table) == 6
    assert "| 1337 | 1.2194 |" in table[3]
    assert "| 151,080,532 | 15,823,253 | 600.0 | 115.6 |" in table[3]


def test_nothing_to_read_is_exit_code_2(tmp_path: Path) -> None:
    assert run("records", str(tmp_path))[0] == 2


def test_both_significance_verdicts_are_shown(folder: Path) -> None:
    _, text = run("audit", str(folder), "--format", "json")
    both = json.loads(text)["records"]["significance"]
    assert {name: rule["met"] for name, rule in both.items()} == {"readme_rule": False, "applied_rule": False}
    assert (both["readme_rule"]["n"], both["readme_rule"]["mean"]) == (3, 1.2198)
    for command in (("records", str(folder)), ("audit", str(folder), "--format", "markdown")):
        _, text = run(*command)
        words = " ".join(text.split())
        assert "significance: n = 3, mean 1.21980, sd 0.00046; best earlier row PR " in words
        assert "README rule, 0.005 nats at p < 0.01: not met; welch t = " in words


def test_runs_of_other_tracks_are_compared_when_they_are_what_the_record_track_asks_for(folder: Path) -> None:
    declared = json.loads((folder / "submission.json").read_text())
    (folder / "submission.json").write_text(json.dumps({**declared, "track": "non_record_16mb"}))
    _, text = run("records", str(folder), "--format", "json")
    [one] = json.loads(text)["findings"]
    assert (one["rule"], one["level"]) == ("not-significant", "note")
    assert one["message"].startswith("Outside the record track: the mean of 3 runs is 1.21980")
    for path in folder.glob("*.log"):
        path.write_text(path.read_text().replace("world_size:8", "world_size:1"))
    _, text = run("records", str(folder), "--format", "json")
    data = json.loads(text)
    assert data["significance"] == {"readme_rule": {}, "applied_rule": {}}
    assert data["findings"] == []
