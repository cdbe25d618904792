"""`pgolf.report/1`: every report fits the schema, and the same report gives the same bytes."""

from __future__ import annotations

import dataclasses
import json

import jsonschema
import pytest
from hypothesis import given

from auditor.report.as_json import dumps, to_dict
from auditor.report.schema import schema, schema_text
from auditor.verdict import Report
from tests.report.hostile import reports
from tests.report.report_samples import ALL, CLAIMS, FLAG, NGRAM

VALIDATOR = jsonschema.Draft202012Validator(schema())


def test_the_schema_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text()))


@pytest.mark.parametrize("kind", sorted(ALL))
def test_every_kind_of_report_fits_the_schema(kind: str) -> None:
    VALIDATOR.validate(json.loads(dumps(ALL[kind])))


@given(reports)
def test_any_report_fits_the_schema_and_is_pure_ascii(report: Report) -> None:
    printed = dumps(report, indent=None)
    assert printed.isascii() and "\n" not in printed
    VALIDATOR.validate(json.loads(printed))
    json.dumps(json.loads(printed), ensure_ascii=False).encode("utf-8")


def test_keys_come_in_the_published_order() -> None:
    data = to_dict(FLAG)
    assert list(data) == [
        "schema", "tool", "target", "submission", "claims", "verdict", "class", "findings", "smoke", "probe", "records",
        "timings_ms",
    ]  # fmt: skip
    assert list(data["findings"][0]) == [
        "rule", "level", "activation", "file", "line", "end_line", "function", "function_line", "message", "conditions",
        "rulings", "evidence", "fingerprint",
    ]  # fmt: skip
    assert list(data["findings"][0]["evidence"][0]["path"][0])[:3] == ["line", "text", "note"]
    assert list(schema()["properties"]) == list(data)


def test_values_are_where_the_published_example_has_them() -> None:
    data = to_dict(FLAG)
    assert data["schema"] == "pgolf.report/1"
    assert data["class"] == "ngram-target-in-key"
    assert data["submission"]["config"]["NGRAM_CACHE"] == {"value": "1", "from": "default:L97"}
    assert data["submission"]["model"] == {"dim": 512, "layers": 11, "vocab": 1024}
    assert data["claims"]["from"] == "submission.json"
    assert (data["smoke"], data["probe"], data["records"]) == (None, None, None)


def test_a_finding_without_an_end_ends_where_it_begins() -> None:
    finding = dataclasses.replace(NGRAM, end_line=None)
    assert to_dict(dataclasses.replace(FLAG, findings=(finding,)))["findings"][0]["end_line"] == finding.line


def test_a_number_that_is_none_is_null() -> None:
    report = dataclasses.replace(FLAG, claims=dataclasses.replace(CLAIMS, val_bpb=float("nan")))
    assert json.loads(dumps(report))["claims"]["val_bpb"] is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.update(extra=1),
        lambda d: d.pop("class"),
        lambda d: d.update(verdict="fine"),
        lambda d: d["findings"][0].update(fingerprint="not hex"),
        lambda d: d["findings"][0]["evidence"][0]["path"][0].pop("note"),
        lambda d: d["submission"]["config"].update(X={"value": "1"}),
    ],
)
def test_the_schema_is_strict(damage) -> None:
    data = to_dict(FLAG)
    damage(data)
    assert not VALIDATOR.is_valid(data)


def test_equal_findings_get_distinct_fingerprints_whatever_their_order() -> None:
    first, second, third = (dataclasses.replace(NGRAM, line=line, end_line=line) for line in (2, 4, 6))

    def by_line(*findings):
        data = to_dict(dataclasses.replace(FLAG, findings=findings))
        return {finding["line"]: finding["fingerprint"] for finding in data["findings"]}

    one_way, other_way = by_line(first, second, third), by_line(third, first, second)
    assert one_way == other_way
    assert one_way == {2: NGRAM.fingerprint, 4: f"{NGRAM.fingerprint}-2", 6: f"{NGRAM.fingerprint}-3"}


def test_a_finding_that_moves_keeps_its_fingerprint() -> None:
    moved = dataclasses.replace(NGRAM, line=7, end_line=8, file="elsewhere/train_gpt.py")
    assert to_dict(dataclasses.replace(FLAG, findings=(moved,)))["findings"][0]["fingerprint"] == NGRAM.fingerprint


def test_two_serialisations_differ_in_the_timings_only() -> None:
    again = dataclasses.replace(FLAG, timings_ms={"parse": 99.0})
    one, other = to_dict(FLAG), to_dict(again)
    assert one.pop("timings_ms") != other.pop("timings_ms")
    assert json.dumps(one) == json.dumps(other)
