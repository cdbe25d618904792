"""SARIF 2.1.0: valid, within GitHub's limits, and no foreign text where a reader would obey it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest
from hypothesis import given

from auditor.report.sarif import MAX_RESULTS, relative_uri, render, to_dict
from auditor.verdict import Evidence, Report, Step
from rules.rulings import rulings
from tests.report.fetch_sarif_schema import SCHEMA
from tests.report.hostile import reports, text
from tests.report.report_rules import RULES
from tests.report.report_samples import ALL, CLEAN, ERROR, FLAG, HOLD, NGRAM, NO_SUBMISSION, SCRIPT

RULINGS = rulings()


def run_of(*some: Report) -> dict[str, Any]:
    return to_dict(some, RULES, RULINGS)["runs"][0]


@pytest.fixture(scope="module")
def official() -> jsonschema.Draft4Validator:
    if not SCHEMA.exists():
        pytest.skip("the official schema is not here; python -m tests.report.fetch_sarif_schema gets it")
    return jsonschema.Draft4Validator(
        json.loads(SCHEMA.read_text(encoding="utf-8")), format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER
    )


@pytest.mark.parametrize("kind", sorted(ALL))
def test_every_kind_of_report_fits_the_official_schema(kind: str, official: jsonschema.Draft4Validator) -> None:
    official.validate(json.loads(render([ALL[kind]], RULES, RULINGS)))


def test_all_reports_together_fit_the_official_schema(official: jsonschema.Draft4Validator) -> None:
    official.validate(json.loads(render(list(ALL.values()), RULES, RULINGS)))


def test_any_report_fits_the_official_schema(official: jsonschema.Draft4Validator) -> None:
    @given(reports)
    def check(report: Report) -> None:
        official.validate(json.loads(render([report], RULES, RULINGS)))

    check()


@given(reports)
def test_results_point_at_their_rules_and_into_the_repository(report: Report) -> None:
    printed = render([report], RULES, RULINGS)
    assert printed.isascii()
    run = json.loads(printed)["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["kind"] == "fail" or result["level"] == "none"
        location = result["locations"][0]["physicalLocation"]
        assert location["region"]["startLine"] >= 1
        assert location["region"].get("endLine", 10**9) > location["region"]["startLine"]
    names = [result["partialFingerprints"]["pgolf/v1"] for result in run["results"]]
    assert len(set(names)) == len(names)


@given(text)
def test_a_hostile_name_is_a_relative_uri_below_the_root(name: str) -> None:
    uri = relative_uri(name)
    parts = urlsplit(uri)
    assert uri.isascii() and uri
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    assert not uri.startswith("/")
    assert ".." not in [unquote(segment) for segment in uri.split("/")]


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("records/a b/train_gpt.py", "records/a%20b/train_gpt.py"),
        ("records/x.py!unpacked", "records/x.py"),
        ("../../etc/passwd", "__/__/etc/passwd"),
        ("//host/share", "host/share"),
        ("C:\\x", "C%3A%5Cx"),
        ("a\nb%0A#?.py", "a%0Ab%250A%23%3F.py"),
        ("", "unnamed"),
    ],
)
def test_names_are_percent_encoded(name: str, uri: str) -> None:
    assert relative_uri(name) == uri


def test_every_rule_is_described_whether_or_not_it_fired() -> None:
    rules = {rule["id"]: rule for rule in run_of(FLAG)["tool"]["driver"]["rules"]}
    assert {"ngram-target-in-key", "score-first-ttt"} <= set(rules)
    described = rules["ngram-target-in-key"]
    assert described["name"] == "NgramTargetInKey"
    assert described["shortDescription"]["text"].startswith("The token that is being scored")
    assert described["fullDescription"]["text"].startswith("Follows the scored token")
    assert described["defaultConfiguration"]["level"] == "error"
    assert described["properties"]["tags"] == ["parameter-golf", "violation", "C1", "C2"]
    assert described["helpUri"].endswith("issuecomment-4145781641")
    assert "Limits" in described["help"]["markdown"]


def test_the_path_becomes_a_code_flow() -> None:
    (result,) = [r for r in run_of(FLAG)["results"] if r["ruleId"] == NGRAM.rule]
    steps = result["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [s["location"]["physicalLocation"]["region"]["startLine"] for s in steps] == [5, 6, 7]
    assert steps[0]["location"]["message"]["text"] == "the scored token enters the key"
    region = result["locations"][0]["physicalLocation"]["region"]
    assert (region["startLine"], region["endLine"]) == (5, 6)
    assert region["snippet"]["text"].startswith("        full = ")


@pytest.mark.parametrize(
    ("report", "kinds"),
    [
        (FLAG, [("fail", "error"), ("informational", "none")]),
        (CLEAN, [("pass", "none")]),
        (HOLD, [("open", "none")]),
        (ERROR, []),
    ],
)
def test_kind_and_level_say_how_serious_a_result_is(report: Report, kinds: list[tuple[str, str]]) -> None:
    assert [(r["kind"], r["level"]) for r in run_of(report)["results"]] == kinds


def test_what_was_not_decided_or_read_is_a_notification() -> None:
    invocation = run_of(HOLD, ERROR, NO_SUBMISSION)["invocations"][0]
    assert invocation["executionSuccessful"] is False
    told = [(n["level"], n["descriptor"]["id"]) for n in invocation["toolExecutionNotifications"]]
    assert told == [("warning", "hold"), ("error", "error"), ("note", "not-a-submission")]
    assert run_of(FLAG)["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]


def test_lines_of_unpacked_source_are_told_not_pointed_at() -> None:
    packed = dataclasses.replace(NGRAM, file=f"{SCRIPT}!unpacked", line=900, end_line=901)
    (result,) = run_of(dataclasses.replace(FLAG, findings=(packed,)))["results"]
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == 1
    assert result["message"]["text"].startswith("Line 900 of the unpacked source: ")


def test_a_message_holds_no_link_and_no_placeholder() -> None:
    sly = dataclasses.replace(NGRAM, message="see [this](http://evil.example) {0}")
    (result,) = run_of(dataclasses.replace(FLAG, findings=(sly,)))["results"]
    assert "](" not in result["message"]["text"]
    assert "{{0}}" in result["message"]["text"]


def test_too_many_results_are_cut_worst_first() -> None:
    notes = tuple(dataclasses.replace(NGRAM, level="note", anchor=str(n)) for n in range(MAX_RESULTS + 5))
    long = dataclasses.replace(NGRAM, evidence=(Evidence("static", tuple(Step(n, "x") for n in range(2000))),))
    results = run_of(dataclasses.replace(FLAG, findings=(*notes, long)))["results"]
    assert len(results) == MAX_RESULTS
    assert results[0]["level"] == "error"
    assert len(results[0]["codeFlows"][0]["threadFlows"][0]["locations"]) == 1000


def test_the_commit_is_named_once() -> None:
    provenance = run_of(FLAG, FLAG)["versionControlProvenance"]
    assert provenance == [{"repositoryUri": "https://github.com/openai/parameter-golf", "revisionId": FLAG.target.head}]
