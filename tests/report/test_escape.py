"""Foreign text stays text, wherever it is shown. markdown-it-py is the oracle for Markdown."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from auditor.report import escape
from tests.report.hostile import FRAGMENTS, text

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
# What GitHub turns into a link, a mention or an image after Markdown is done.
TRIGGER = re.compile(
    r"@\w|#\d|://|\bwww\.|\bGH-\d|:[\w+-]+:|mailto:|\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,40}\b", re.IGNORECASE
)
CONTEXTS = ["{}", "Before {} after", "**Bold** {}", "- {}", "1. {}", "## {}", "Line\n{}", "> {}", "a [b](c) {}"]


def inline(source: str) -> list[Token]:
    return [child for token in PARSER.parse(source) if token.type == "inline" for child in token.children or []]


def plain(tokens: list[Token]) -> str:
    return "".join(t.content for t in tokens if t.type in ("text", "text_special"))


def test_every_control_format_and_surrogate_character_is_replaced() -> None:
    left = [
        hex(point)
        for point in range(0x110000)
        if unicodedata.category(chr(point)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        and escape.visible(chr(point)) != escape.REPLACEMENT
    ]
    assert left == []


@pytest.mark.parametrize("kept", ["é", "漢", "🏌", "\u0301", "ش", "~", " "])
def test_ordinary_characters_are_kept(kept: str) -> None:
    assert escape.visible(kept) == kept


@given(text, st.integers(1, 60))
def test_one_line_is_one_printable_line_within_its_limit(raw: str, limit: int) -> None:
    shown = escape.one_line(raw, limit)
    assert len(shown) <= limit
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)


def test_a_line_of_code_keeps_its_indentation() -> None:
    assert escape.code_line("\tif x:  \n") == "    if x:"


def test_huge_text_is_cut_before_it_is_worked_on() -> None:
    assert len(escape.markdown_text("@" * 50_000_000, 100)) < 1000


def renders_as_itself(raw: str, context: str) -> None:
    with_it = inline(context.format(escape.markdown_text(raw)))
    without = inline(context.format("X" if escape.one_line(raw) else ""))
    marks, plain_marks = ([t.type for t in tokens if not t.type.startswith("text")] for tokens in (with_it, without))
    assert marks == plain_marks
    shown = plain(with_it)
    expected = plain(without).replace("X", escape.one_line(raw)).strip()
    assert re.sub(r"\s+", " ", shown.replace("\u200b", "")).strip() == re.sub(r"\s+", " ", expected)
    assert not TRIGGER.search(plain(inline("x " + escape.markdown_text(raw) + " x")))


@given(text, st.sampled_from(CONTEXTS))
def test_foreign_text_in_a_sentence_renders_as_itself_and_nothing_else(raw: str, context: str) -> None:
    renders_as_itself(raw, context)


@pytest.mark.parametrize(
    "raw", [*FRAGMENTS, "10) x", "    code", "---", "+ x", "x@user", "https://e.example", "a  \nb"]
)
def test_every_known_trick_renders_as_itself_and_nothing_else(raw: str) -> None:
    for context in CONTEXTS:
        renders_as_itself(raw, context)
        renders_as_itself(f"a{raw}b", context)


def test_the_detector_of_triggers_sees_the_raw_forms() -> None:
    for raw in ("@user", "#12", "http://e", "www.e", "GH-1", ":tada:", "deadbeef1", "0123456789abcdef"):
        assert TRIGGER.search(raw), raw


@given(text, st.sampled_from(CONTEXTS))
def test_a_code_span_holds_exactly_the_foreign_text(raw: str, context: str) -> None:
    spans = [t for t in inline(context.format(escape.markdown_code(raw))) if t.type == "code_inline"]
    wanted = escape.one_line(raw, 200)
    assert [span.content for span in spans] == ([wanted] if wanted else [])


@given(st.lists(text, max_size=5))
@example(["```", "# out"])
@example(["`````", "~~~", "> x"])
def test_a_fence_holds_exactly_the_foreign_lines(raw: list[str]) -> None:
    tokens = PARSER.parse(f"Before\n\n{escape.markdown_fence(raw, 'text')}\n\nAfter")
    fences = [t for t in tokens if t.type == "fence"]
    assert [fence.content for fence in fences] == ["".join(escape.code_line(r, 200) + "\n" for r in raw)]
    assert [t.content for t in tokens if t.type == "inline"] == ["Before", "After"]


def test_a_long_fence_says_how_much_is_left_out() -> None:
    assert "... 3 more lines" in escape.markdown_fence(["x"] * 43)


@given(text)
def test_a_message_renders_as_text_and_code_only(raw: str) -> None:
    tokens = inline("x " + escape.markdown_message(raw) + " x")
    assert {t.type for t in tokens} <= {"text", "text_special", "code_inline"}
    assert not TRIGGER.search(plain(tokens))


@pytest.mark.parametrize("raw", ["#``8", "@` `user", "GH-``1"])
def test_empty_quotes_do_not_join_what_they_part(raw: str) -> None:
    assert not TRIGGER.search(plain(inline(f"x {escape.markdown_message(raw)} x")))


def test_quoted_parts_of_a_message_become_code() -> None:
    tokens = inline(escape.markdown_message("the lookup `table[a_b]` is *keyed* by it"))
    assert [(t.type, t.content) for t in tokens if t.type == "code_inline"] == [("code_inline", "table[a_b]")]
    assert plain(tokens) == "the lookup  is *keyed* by it"


def decode(value: str) -> str:
    for code, character in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        value = value.replace(code, character)
    return value


@given(text)
def test_workflow_data_is_one_line_that_decodes_to_the_message(raw: str) -> None:
    encoded = escape.workflow_data(raw)
    assert encoded.isprintable() or not (set(encoded) & set("\r\n\x1b"))
    assert decode(encoded) == escape.clip("\n".join(map(_no_controls, re.split(r"\r\n|\r|\n", raw))), 1000)


@given(text)
def test_a_workflow_property_cannot_end_itself(raw: str) -> None:
    assert not set(escape.workflow_property(raw)) & set(":,\r\n")


def _no_controls(line: str) -> str:
    return escape.visible(line.replace("\t", " "))
