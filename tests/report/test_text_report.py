"""The terminal report: stable in a pipe, within its width, and deaf to what submissions say."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from rich.cells import cell_len

from auditor.report import render, view
from auditor.report.text import render as render_text
from auditor.verdict import ConfigValue, Finding, PgolfError, Report
from rules.rulings import rulings
from tests.report.hostile import reports
from tests.report.report_rules import RULES
from tests.report.report_samples import ALL, CLEAN, ERROR, FLAG, NGRAM, SCRIPT

RULINGS = rulings()


def shown(report: Report, *, color: bool = False, width: int | None = None) -> str:
    return render_text(report, RULINGS, color=color, width=width)


@given(reports)
def test_no_control_character_and_no_workflow_command_reaches_the_terminal(report: Report) -> None:
    for line in shown(report).removesuffix("\n").split("\n"):
        assert line.isprintable() or not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", line)
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
        assert line == line.rstrip()


@given(reports)
def test_lines_fit_the_width_except_what_is_there_to_be_copied(report: Report) -> None:
    for line in shown(report, width=60).splitlines():
        copied = line.removeprefix("next").lstrip()
        assert cell_len(line) <= 60 or copied.startswith(("https://github.com/openai/parameter-golf", "pgolf "))


@given(reports)
def test_colour_changes_nothing_but_colour(report: Report) -> None:
    coloured = shown(report, color=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == shown(report).split()


def test_colour_is_given_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR"):
        monkeypatch.setenv(name, "1")
        assert "\x1b" not in shown(FLAG)
        assert "\x1b[" in shown(FLAG, color=True)


def test_the_width_of_the_caller_s_terminal_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    before = shown(FLAG)
    monkeypatch.setenv("COLUMNS", "200")
    assert shown(FLAG) == before


def test_the_offending_lines_are_shown_with_two_lines_of_context() -> None:
    lines = shown(FLAG).splitlines()
    marked = [line for line in lines if line.startswith("  >")][:2]
    assert [int(line.split()[1]) for line in marked] == [5, 6]
    first = lines.index(marked[0])
    assert [
        int(line.split()[0]) for line in (lines[first - 2], lines[first - 1], lines[first + 2], lines[first + 3])
    ] == [
        3,
        4,
        7,
        8,
    ]


def test_the_flag_comes_before_the_note_and_the_next_command_is_named() -> None:
    text = shown(FLAG)
    assert text.startswith("FLAG  ngram-target-in-key")
    assert text.index("flag ngram-target-in-key") < text.index("note val-token-ttt")
    assert "pgolf explain ngram-target-in-key" in text
    assert "https://github.com/openai/parameter-golf/pull/779#issuecomment-4145781641\n" in text


def test_settings_that_the_findings_speak_of_are_shown_and_the_rest_counted() -> None:
    text = shown(FLAG)
    assert "NGRAM_CACHE=1  (default:L97)" in text
    assert "HIDDEN" not in text and "and 2 more" in text


def test_without_findings_the_settings_of_the_run_command_are_shown() -> None:
    text = shown(dataclasses.replace(FLAG, findings=(), verdict="clean", cls="pure-neural"))
    assert "NGRAM_ORDER=7  (command)" in text
    assert "HIDDEN" not in text


def test_settings_that_the_code_around_a_finding_reads_are_shown() -> None:
    source = ("def adapt(args):", "    step(args.ttt_lr)", *["    pass"] * 60, "if args.elsewhere: pass")
    config = {name: ConfigValue("1", "default:L1") for name in ("TTT_LR", "ELSEWHERE")}
    finding = Finding("val-token-ttt", "flag", "m", SCRIPT, 2, function_line=1)
    info = dataclasses.replace(FLAG.submission, config=config)
    text = shown(dataclasses.replace(FLAG, submission=info, findings=(finding,), source_lines=source))
    assert "TTT_LR=1" in text
    assert "ELSEWHERE" not in text


def test_a_switch_that_the_run_set_is_shown_first_when_the_call_of_the_finding_s_function_hangs_on_it() -> None:
    source = (
        "def adapt(args):",
        "    step(args.ttt_lr)",
        "if args.ttt_enabled:",
        "    adapt(args)",
        "if args.other: pass",
    )
    config = {
        "OTHER": ConfigValue("1", "command"),
        "TTT_ENABLED": ConfigValue("1", "command"),
        "TTT_LR": ConfigValue("1", "default:L1"),
    }
    finding = Finding("val-token-ttt", "flag", "m", SCRIPT, 2, function="adapt", function_line=1)
    info = dataclasses.replace(FLAG.submission, config=config)
    shown_config = view.telling_config(
        dataclasses.replace(
            FLAG, submission=info, findings=(finding,), source_lines=(*source[:2], *[""] * 40, *source[2:])
        )
    )
    assert [name for name, _ in shown_config] == ["TTT_ENABLED", "TTT_LR"]


def test_a_ruling_is_spelled_out_once_however_many_findings_rest_on_it() -> None:
    twin = dataclasses.replace(NGRAM, rule="unnormalized-mixture", rulings=NGRAM.rulings[1:], line=6)
    text = shown(dataclasses.replace(FLAG, findings=(NGRAM, twin)))
    assert text.count("#issuecomment-4146407380") == 1
    assert "  rulings: [1] [2]\n" in text
    assert "  rulings: [2]\n" in text


def test_code_that_is_off_takes_a_line_and_its_place() -> None:
    text = shown(FLAG)
    note = text[text.index("note val-token-ttt") : text.index("\nrulings\n")]
    assert "train_gpt.py:2 in ttt_adapt" in note
    assert "rulings:" not in note
    assert "evidence" not in note


def test_an_unreadable_target_is_not_called_clean() -> None:
    assert shown(ERROR).startswith("ERROR  could not be read")
    assert "clean" not in shown(ERROR).lower()


def test_one_json_report_is_indented_and_several_are_one_a_line() -> None:
    def as_json(*some: Report) -> str:
        return render(some, "json", rules=RULES, rulings=RULINGS, color=False, width=None)

    assert as_json(FLAG).startswith('{\n  "schema": "pgolf.report/1"')
    assert len(as_json(FLAG, CLEAN).splitlines()) == 2


@pytest.mark.parametrize("fmt", ["text", "json", "sarif", "github", "markdown"])
def test_every_format_renders_every_kind_of_report(fmt: str) -> None:
    for report in ALL.values():
        assert render([report], fmt, rules=RULES, rulings=RULINGS, color=False, width=None).endswith("\n")


def test_an_unknown_format_is_one_clear_line() -> None:
    with pytest.raises(PgolfError, match="unknown format 'xml'; choose one of text, json"):
        render([FLAG], "xml", rules=RULES, rulings=RULINGS, color=False, width=None)
