"""The Markdown review: complete, calm, short enough, and only our own links."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from markdown_it import MarkdownIt
from markdown_it.token import Token

from auditor.report import rule_text
from auditor.review import MAX_CHARACTERS, render, stale
from auditor.verdict import Evidence, Finding, Report, Step
from rules import catalogue
from rules.base import Rule
from rules.rulings import rulings
from tests.report.hostile import reports
from tests.report.report_rules import RULES
from tests.report.report_samples import ALL, CLEAN, FLAG, HEAD, NGRAM, NO_SUBMISSION, SCRIPT

RULEBOOK = catalogue()
RULINGS = rulings()
OUR_LINKS = {r.url for r in RULINGS.rulings.values()} | {p.url for p in RULINGS.precedents}
OUR_PLACES = re.compile(
    f"https://github\\.com/openai/parameter-golf/(commit/{HEAD}|blob/{HEAD}/[A-Za-z0-9/_.~%-]+(#L[0-9]+(-L[0-9]+)?)?)"
)
PARSER = MarkdownIt("gfm-like")
assert PARSER.linkify is not None
# GitHub links neither a bare `README.md` nor an address with U+200B behind its `@`, as linkify-it does.
PARSER.linkify.set({"fuzzy_link": False, "fuzzy_email": False})
TRIGGER = re.compile(r"@\w|#\d|://|\bwww\.|:[\w+-]+:|\bGH-\d", re.IGNORECASE)
OUR_HTML = re.compile(
    r"<!-- pgolf:review v1 [ a-f0-9=a-z]*-->\n|</details>\n?"
    r"|<details><summary>(Settings of the reported run that bear on this|The change)</summary>\n"
)
OUR_BLOCKS = {
    "heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline", "fence", "bullet_list_open",
    "bullet_list_close", "ordered_list_open", "ordered_list_close", "list_item_open", "list_item_close", "html_block",
    *(f"{part}_{end}" for part in ("table", "thead", "tbody", "tr", "th", "td") for end in ("open", "close")),
}  # fmt: skip
OUR_INLINES = {"text", "text_special", "code_inline", "strong_open", "strong_close", "link_open", "link_close",
               "softbreak"}  # fmt: skip


def review(report: Report, **more: str) -> str:
    return render(report, rules=RULES, rulings=RULINGS, **more).body


def inlines(tokens: list[Token]) -> list[Token]:
    return [child for token in tokens for child in token.children or []]


def nothing_foreign(text: str) -> None:
    """Whatever the input was, what GitHub would make of the text is what the templates say, and nothing more."""
    assert len(text) <= MAX_CHARACTERS
    tokens = PARSER.parse(text)
    assert {t.type for t in tokens} <= OUR_BLOCKS
    html = [t.content for t in tokens if t.type == "html_block"]
    assert all(OUR_HTML.fullmatch(block) for block in html), html
    assert sum("<details>" in block for block in html) == sum("</details>" in block for block in html) <= 2
    assert sum(t.type == "table_open" for t in tokens) <= 1
    assert sum(t.type == "heading_open" for t in tokens) == 1
    children = inlines(tokens)
    assert {c.type for c in children} <= OUR_INLINES
    links = {str(c.attrs["href"]) for c in children if c.type == "link_open"} - OUR_LINKS
    assert all(OUR_PLACES.fullmatch(link) and "/../" not in link for link in links), links
    prose = " ".join(c.content for c in children if c.type != "code_inline")
    assert not TRIGGER.search(prose)
    bold = [children[i + 1].content for i, c in enumerate(children) if c.type == "strong_open"]
    assert all(re.fullmatch(r"[A-Z][A-Za-z ,]*(: [A-Z ]+)?([:.]| \(|)", label) for label in bold), bold
    assert sum(label.startswith("Verdict") for label in bold) == 1


@given(reports)
def test_nothing_foreign_becomes_more_than_text(report: Report) -> None:
    nothing_foreign(review(report))


@given(reports)
def test_nothing_foreign_becomes_more_than_text_beside_a_repair(report: Report) -> None:
    diff = "\n".join(report.source_lines) + "\n```\n# APPROVED\n@user <img src=x>\n~~~\n</details>"
    text = review(report, repair=diff)
    nothing_foreign(text)
    fences = [t.content for t in PARSER.parse(text) if t.type == "fence" and t.info == "diff"]
    assert len(fences) == (report.verdict == "flag" and report.cls != "not-a-submission")
    assert all(fence.rstrip().endswith("</details>") for fence in fences)


@pytest.mark.parametrize("kind", sorted(ALL))
def test_every_review_says_how_it_can_be_disputed_and_recommends_something(kind: str) -> None:
    text = review(ALL[kind])
    assert text.partition("\n\n")[2].startswith("## Compliance review: ")
    for part in ("**Compliance:**", "**Verdict", "**Recommendation:**", "**To dispute this:**", "`pgolf review "):
        assert part in text, part
    assert "@" not in text
    assert "None" not in text
    assert not re.search(r"\n\n\n|[ \t]\n|:\*\*\s*\n\s*\*\*", text)


@pytest.mark.parametrize("kind", sorted(ALL))
def test_nothing_is_clean_but_by_these_checks(kind: str) -> None:
    made = render(ALL[kind], rules=RULES, rulings=RULINGS)
    said = " ".join(c.content for c in inlines(PARSER.parse(made.body)) if c.type != "code_inline")
    for text in (said, made.title, made.summary):
        for found in re.finditer("clean", text, re.IGNORECASE):
            assert re.match(r"clean[* ]+by these checks, (at this commit|for these files)", text[found.start() :], re.I)


def test_a_flag_gives_place_snippet_rule_ruling_legal_pattern_and_remedy() -> None:
    text = review(FLAG)
    blob = f"https://github.com/openai/parameter-golf/blob/{HEAD}/{SCRIPT}"
    assert f"commit [`{HEAD[:12]}`](https://github.com/openai/parameter-golf/commit/{HEAD}), file [`{SCRIPT}`]" in text
    assert "**BPB:** 1.0337 (claimed in `submission.json`)" in text
    assert (
        f"at [lines 5 to 6]({blob}#L5-L6) in `score_cached` ([line 1]({blob}#L1)), on by the script's defaults" in text
    )
    assert ">     5 |         full = (key ^ (tokens[t] * primes[7])) & mask" in text
    assert "[PR 779](https://github.com/openai/parameter-golf/pull/779#issuecomment-4145781641), valerio-oai" in text
    assert "**Why it matters:** Only the true token gains" in text
    assert "**The legal pattern:** `context-only-ngram`" in text
    assert "[PR 1514](https://github.com/openai/parameter-golf/pull/1514)" in text
    assert "**The shortest repair:** Look up the context alone" in text
    assert "could not show that the rule is kept" in text


def test_settings_on_the_way_to_a_finding_are_shown_with_what_decided_them() -> None:
    settings = ("NGRAM_CACHE=1 (default:L97)", "TTT=0 (log:a`b.log)", "SEED=7 (--env)", "the branch at line 5 (logs)")
    finding = dataclasses.replace(NGRAM, evidence=(Evidence("static", NGRAM.evidence[0].path, settings),))
    text = review(dataclasses.replace(FLAG, findings=(finding,)))
    blob = f"https://github.com/openai/parameter-golf/blob/{HEAD}/{SCRIPT}"
    assert (
        f"It is reached with `NGRAM_CACHE=1` (the script's default, [line 97]({blob}#L97)), `TTT=0` (log ``a`b.log``),"
        " `SEED=7` (`--env`), the branch at line 5 (logs)."
    ) in text
    assert "switched off (`NGRAM_CACHE`)" in text


def test_a_packed_script_is_quoted_and_its_lines_are_not_linked() -> None:
    finding = dataclasses.replace(NGRAM, file=f"{SCRIPT}!unpacked")
    info = dataclasses.replace(FLAG.submission, packing=("lzma", "b85"))
    text = review(dataclasses.replace(FLAG, submission=info, findings=(finding,)))
    assert "at lines 5 to 6 in `score_cached`" in text
    assert "unpacked from `lzma, b85`: lines are those of the unpacked source" in text
    assert "#L" not in text


@pytest.mark.parametrize("path", ["../../evil/x/train_gpt.py", "a//b.py", "/etc/passwd", "a/./b.py", ""])
def test_a_path_that_leads_out_of_the_repository_is_not_linked(path: str) -> None:
    info = dataclasses.replace(FLAG.submission, script=path)
    text = review(dataclasses.replace(FLAG, submission=info, findings=(dataclasses.replace(NGRAM, file=path),)))
    assert f"/blob/{HEAD}" not in text


def test_a_clean_review_shows_the_score_before_the_update_and_cites_accepted_rows() -> None:
    text = review(CLEAN)
    assert "**BPB:** pending" in text
    assert text.index(": SCORE") < text.index(": UPDATE, afterwards")
    assert "pull/549" in text and "pull/1413" in text
    assert "**Verdict: LOOKS CLEAN** by these checks, at this commit." in text


def test_records_that_leave_something_open_show_in_every_part_that_is_read_first() -> None:
    open_record = Finding("missing-seeds", "warning", "Logs show 1 of the 3 runs.", "train.log", 3, activation="run")
    report = dataclasses.replace(CLEAN, claims=FLAG.claims, findings=(*CLEAN.findings, open_record))
    text = render(report, rules=RULEBOOK, rulings=RULINGS)
    assert "the records leave open: `missing-seeds`" in text.body.partition("\n\n**What")[0]
    assert "- open: `missing-seeds`: Logs show 1 of the 3 runs." in text.body
    assert "see `missing-seeds` above" in text.body.partition("**Recommendation:**")[2]


def test_what_is_no_submission_is_not_judged() -> None:
    text = review(NO_SUBMISSION)
    assert "the pull request adds nothing under records/" in text
    assert "**Verdict: NOT A SUBMISSION.**" in text
    assert "BPB" not in text


def test_wrongly_cited_precedents_are_never_cited() -> None:
    cited = " ".join(review(report) for report in ALL.values())
    assert not re.search(r"\b(1416|1423|1376)\b", cited)


def test_a_second_flag_is_shown_with_its_own_rule_and_pattern() -> None:
    other = Finding(
        "val-token-ttt", "flag", "trained, then scored", SCRIPT, 2, rulings=("issue677",), conditions=("C3",)
    )
    text = review(dataclasses.replace(FLAG, findings=(NGRAM, other)))
    assert "`val-token-ttt` at [line 2]" in text
    assert "(also `val-token-ttt`)" in text
    assert "issues/677" in text
    assert "`score-first-ttt`: " in text and "`context-only-ngram`: " in text


def test_the_worst_case_fits_into_a_comment_stale_and_repaired() -> None:
    nasty = "<&@`*" * 500
    step = Step(1, nasty, nasty, nasty, nasty)
    finding = dataclasses.replace(
        NGRAM, message=nasty, function=nasty, evidence=(Evidence("static", (step,) * 50, (nasty,) * 50),) * 4
    )
    findings = tuple(dataclasses.replace(finding, line=n) for n in range(1, 40))
    report = dataclasses.replace(FLAG, findings=findings, source_lines=(nasty,) * 50)
    text = review(report, repair=f"{nasty}\n" * 4)
    assert len(text) <= MAX_CHARACTERS
    assert len(stale(text, "f" * 40)) <= 65_536
    assert "`ngram-target-in-key`" in text


@pytest.mark.parametrize("word", ["cheat", "guilty", "violator", "dishonest", "illegal"])
def test_the_tone_accuses_nobody(word: str) -> None:
    assert word not in " ".join(review(report) for report in ALL.values()).lower()


@pytest.mark.parametrize("rule", RULEBOOK, ids=lambda rule: rule.id)
def test_what_a_rule_says_calls_nothing_clean(rule: Rule) -> None:
    text = rule_text.read(rule)
    said = [text.summary, *(text.section(name) for name in ("Why it matters", "What helps", "Limits"))]
    assert "clean" not in " ".join(said).lower()
