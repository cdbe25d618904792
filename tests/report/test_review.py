"""The Markdown review: complete, calm, short enough, and only our own links."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from markdown_it import MarkdownIt

from auditor.report.markdown import MAX_CHARACTERS, render
from auditor.verdict import Evidence, Finding, Report, Step
from rules.rulings import rulings
from tests.report.hostile import reports
from tests.report.report_rules import RULES
from tests.report.report_samples import ALL, CLEAN, FLAG, HEAD, NGRAM, SCRIPT

RULINGS = rulings()
OUR_LINKS = {r.url for r in RULINGS.rulings.values()} | {p.url for p in RULINGS.precedents}
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
OUR_BLOCKS = {
    "heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline", "fence", "bullet_list_open",
    "bullet_list_close", "ordered_list_open", "ordered_list_close", "list_item_open", "list_item_close",
}  # fmt: skip
OUR_TABLE = {f"{part}_{end}" for part in ("table", "thead", "tbody", "tr", "th", "td") for end in ("open", "close")}
"""Of the experiment."""
OUR_INLINES = {
    "text",
    "text_special",
    "code_inline",
    "strong_open",
    "strong_close",
    "link_open",
    "link_close",
    "softbreak",
}


def review(report: Report) -> str:
    return render(report, RULES, RULINGS)


@given(reports)
def test_no_foreign_text_becomes_a_link_an_image_html_a_heading_or_a_mention(report: Report) -> None:
    tokens = PARSER.parse(review(report))
    assert {t.type for t in tokens} <= OUR_BLOCKS | (OUR_TABLE if report.probe else set())
    tables, rows, cells = (sum(t.type == kind for t in tokens) for kind in ("table_open", "tr_open", "td_open"))
    assert (rows, cells) == (5 * tables, 12 * tables)
    assert tables <= 1
    assert sum(t.type == "heading_open" for t in tokens) == 1
    children = [child for t in tokens for child in t.children or []]
    assert {c.type for c in children} <= OUR_INLINES
    assert {c.attrs["href"] for c in children if c.type == "link_open"} <= OUR_LINKS
    prose = " ".join(c.content for c in children if c.type != "code_inline")
    assert not re.search(r"@\w|#\d|://|\bwww\.|:[\w+-]+:", prose)
    bold = [children[i + 1].content for i, c in enumerate(children) if c.type == "strong_open"]
    assert all(re.fullmatch(r"[A-Z][A-Za-z ]*(: [A-Z ]+)?[:.]?|What the code shows", label) for label in bold)


@pytest.mark.parametrize("kind", sorted(ALL))
def test_every_review_says_how_it_can_be_disputed_and_recommends_something(kind: str) -> None:
    text = review(ALL[kind])
    assert text.startswith("## Compliance review: ")
    for part in ("**BPB:**", "**Compliance:**", "**Verdict", "**Recommendation:**", "**To dispute it:**"):
        assert part in text, part
    assert "@" not in text


def test_a_flag_gives_place_snippet_rule_ruling_legal_pattern_and_remedy() -> None:
    text = review(FLAG)
    assert f"head `{HEAD[:12]}`, file `{SCRIPT}`" in text
    assert "**BPB:** 1.0337 (read from `submission.json`)" in text
    assert "at line 5 in `score_cached` (line 1), on by the script's defaults" in text
    assert ">     5 |         full = (key ^ (tokens[t] * primes[7])) & mask" in text
    assert "[PR 779](https://github.com/openai/parameter-golf/pull/779#issuecomment-4145781641), valerio-oai" in text
    assert "**The legal pattern** (`context-only-ngram`)" in text
    assert "[PR 1514](https://github.com/openai/parameter-golf/pull/1514)" in text
    assert "take the scored token out of the lookup" in text
    assert "`NGRAM_CACHE=1` (`default:L97`)" in text


def test_a_clean_review_shows_the_score_before_the_update_and_cites_accepted_rows() -> None:
    text = review(CLEAN)
    assert "**BPB:** pending" in text
    assert text.index(": SCORE") < text.index(": UPDATE, afterwards")
    assert "pull/549" in text and "pull/1413" in text
    assert "**Verdict: CLEAN.** At this commit" in text


def test_wrongly_cited_precedents_are_never_cited() -> None:
    cited = " ".join(review(report) for report in ALL.values())
    assert not re.search(r"\b(1416|1423|1376)\b", cited)


def test_a_second_flag_is_shown_with_its_own_rule_and_pattern() -> None:
    other = Finding(
        "val-token-ttt", "flag", "trained, then scored", SCRIPT, 2, rulings=("issue677",), conditions=("C3",)
    )
    text = review(dataclasses.replace(FLAG, findings=(NGRAM, other)))
    assert "`val-token-ttt` at line 2" in text
    assert "issues/677" in text
    assert "(`score-first-ttt`)" in text and "(`context-only-ngram`)" in text


def test_the_worst_case_fits_into_a_comment() -> None:
    nasty = "<&@`*" * 500
    step = Step(1, nasty, nasty, nasty, nasty)
    finding = dataclasses.replace(
        NGRAM, message=nasty, function=nasty, evidence=(Evidence("static", (step,) * 50, (nasty,) * 50),) * 4
    )
    findings = tuple(dataclasses.replace(finding, line=n) for n in range(1, 40))
    report = dataclasses.replace(FLAG, findings=findings, source_lines=(nasty,) * 50)
    assert len(review(report)) <= MAX_CHARACTERS
    assert "`ngram-target-in-key`" in review(report)


@pytest.mark.parametrize("word", ["cheat", "guilty", "violator", "dishonest", "illegal"])
def test_the_tone_accuses_nobody(word: str) -> None:
    assert word not in " ".join(review(report) for report in ALL.values()).lower()
