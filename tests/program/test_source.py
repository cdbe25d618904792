"""Reading source: every input gives a tree or one typed error with one clear line."""

from __future__ import annotations

import ast
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.program import fstrings
from auditor.program.source import UnreadableSource, parse, read_source
from auditor.submission.text import LIMIT

on_old_grammar = pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python reads PEP 701 itself")


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"a = 1\n", "a = 1\n"),
        (b"\xef\xbb\xbfa = 1\n", "a = 1\n"),
        (b"a = 1\r\nb = 2\rc = 3\n", "a = 1\nb = 2\nc = 3\n"),
        ("# -*- coding: latin-1 -*-\na = 'é'\n".encode("latin-1"), "# -*- coding: latin-1 -*-\na = 'é'\n"),
        ("a = 'é'\n".encode(), "a = 'é'\n"),
    ],
    ids=["plain", "byte-order mark", "line ends", "cookie", "utf-8"],
)
def test_text_is_decoded_as_python_does(data: bytes, expected: str) -> None:
    assert read_source(data) == expected


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        ("a = 1\n".encode("utf-16"), "UTF-16"),
        ("a = 1\n".encode("utf-32"), "UTF-32"),
        ("a = 1\n".encode("utf-16-le"), "looks like UTF-16"),
        (b"a = 1\nb = '\0'\n", "NUL byte at offset 11"),
        (b"a = 1\nb = '\xff'\n", "not valid utf-8: bad byte in line 2"),
        (b"# coding: rot13\na = 1\n", "encoding"),
        (b"# coding: zlib\na = 1\n", "encoding"),
        (b"# coding: \x1b[31m\na = 1\xff\n", "bad byte in line 2"),
        (b"# coding: utf-7\na = 1\n", "encoding utf-7"),
        (b"#" * (LIMIT + 1), "at most 8,388,608"),
    ],
)
def test_what_is_no_source_is_named_in_one_line(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableSource, match=reason) as caught:
        read_source(data)
    assert caught.value.kind == "bytes"
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_end_in_a_tree_or_the_typed_error(data: bytes) -> None:
    try:
        assert isinstance(parse(read_source(data)), ast.Module)
    except UnreadableSource as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "text, line",
    [
        ("a = 1\nb = = 2\n", 2),
        ("def f(:\n    pass\n", 1),
        ("a = 1\n  b = 2\n", 2),
        ("print('a\n", 1),
        ("a = f'{b'\n", 1),
        ("type = 1\nclass A[T:\n    pass\n", 2),
    ],
)
def test_broken_script_is_broken_at_its_line(text: str, line: int) -> None:
    with pytest.raises(UnreadableSource) as caught:
        parse(text)
    assert (caught.value.kind, caught.value.line) == ("broken", line)
    assert str(caught.value).startswith(f"line {line}: ")


DEEP = {
    "sum": "a = " + " + ".join(["b"] * 20_000),
    "unary": "a = " + "-" * 50_000 + "1",
    "long unary": "a = " + "-" * 500_000 + "1",
    "attributes": "a" + ".a" * 20_000,
    "calls": "a" + "()" * 100_000,
    "many else-if": "if a: pass\n" + "elif b: pass\n" * 100_000,
    "lambdas": "lambda: " * 100_000 + "1",
    "statements": "a\n" * 1_000_000,
}


@pytest.mark.parametrize("case", DEEP)
def test_too_deep_or_too_large_is_told_from_broken(case: str) -> None:
    with pytest.raises(UnreadableSource) as caught:
        parse(DEEP[case])
    assert caught.value.kind == "deep"


@pytest.mark.parametrize("opening, closing", ["()", "[]", "{}"])
def test_brackets_nested_3000_deep_end_in_the_typed_error(opening: str, closing: str) -> None:
    with pytest.raises(UnreadableSource):
        parse(opening * 3_000 + "1" + closing * 3_000)


def test_parser_warnings_about_foreign_code_are_silent(recwarn: pytest.WarningsRecorder) -> None:
    parse("a = '\\d'\nassert (a, 'b')\nif a is 1: pass\n")
    assert not recwarn.list


NEW_FSTRINGS = {
    "same quotes": ('a = f"{b["c"]}"\n', "a = f'{b[\"c\"]}'\n"),
    "backslash": ("a = f\"{'\\n'.join(b)}\"\n", "c = '\\n'\na = f'{c.join(b)}'\n"),
    "conversion and format": ('a = f"{b["c"]!r:>{w["d"]}}"\n', "a = f'{b[\"c\"]!r:>{w[\"d\"]}}'\n"),
    "concatenation": ("a = 'x' f'{b['c']}' \"y\"\n", "a = 'x' f'{b[\"c\"]}' \"y\"\n"),
    "nested": ('a = f"{f"{f"{b}"}"}"\n', "a = f'{f\"\"\"{f\"{b}\"}\"\"\"}'\n"),
    "triple quotes": ('a = f"""x {b["""c"""]}\n y"""\n', "a = f'''x {b[\"c\"]}\n y'''\n"),
    "doubled braces": ('a = f"{{{b["c"]}}}"\n', "a = f'{{{b[\"c\"]}}}'\n"),
    "dict in field": ("a = f'{ {'k': 1}['k'] }'\n", "a = f'{ {\"k\": 1}[\"k\"] }'\n"),
    "comparison": ("a = f'{b['c'] != d}'\n", "a = f'{b[\"c\"] != d}'\n"),
    "named character": ("a = f'\\N{BULLET} {b['c']}'\n", "a = f'\\N{BULLET} {b[\"c\"]}'\n"),
    "raw": ("a = rf'\\d{b['c']}\\{d}'\n", "a = rf'\\d{b[\"c\"]}\\{d}'\n"),
    "keyword before a string": ("a = 1 if'x'else f'{b['c']}'\n", "a = 1 if'x'else f'{b[\"c\"]}'\n"),
}  # fmt: skip


@on_old_grammar
@pytest.mark.parametrize("case", NEW_FSTRINGS)
def test_new_fstrings_give_the_tree_of_their_old_spelling(case: str) -> None:
    new, old = NEW_FSTRINGS[case]
    with pytest.raises(SyntaxError):
        ast.parse(new)
    if case == "backslash":
        statement = parse(new).body[0]
        assert ast.unparse(statement).count("join") == 1
        return
    assert ast.dump(parse(new)) == ast.dump(ast.parse(old))


@on_old_grammar
def test_lines_stay_where_they_are_around_and_inside_new_fstrings() -> None:
    text = 'a = 1\nb = f"{[\n    k["d"]  # a comment\n    for c in e\n]}" + f(\n    g)\nh = 2\n'
    tree = parse(text)
    assert [node.lineno for node in tree.body] == [1, 2, 7]
    names = {node.id: node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert names == {"a": 1, "b": 2, "c": 4, "e": 4, "f": 5, "g": 6, "h": 7, "k": 3}


pieces = st.sampled_from(
    [
        "'a'",
        '"b"',
        "f'{x}'",
        'f"{y!r:>{w}}"',
        "rb'\\x'",
        "f'''{\nz}\n'''",
        "'''t\n'''",
        "f'{x[0]}{{}}'",
        "# c\n",
        "f(1)",
    ]
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(parts=st.lists(pieces, min_size=1, max_size=6))
def test_text_that_this_python_reads_gives_the_same_tree_through_the_fallback(parts: list[str]) -> None:
    text = "v = [\n" + "".join(f"{part}\n,\n" if not part.startswith("#") else part for part in parts) + "]\nw = 1\n"
    assert ast.dump(fstrings.parse(text)) == ast.dump(ast.parse(text))
    assert [node.lineno for node in fstrings.parse(text).body] == [node.lineno for node in ast.parse(text).body]  # type: ignore[attr-defined]


@on_old_grammar
def test_type_parameters_are_read_past() -> None:
    pytest.importorskip("libcst")
    tree = parse("class A[T]:\n    pass\ndef f[T](x: T) -> T:\n    return x\ntype B = int\nc = 1\n")
    assert [(type(node).__name__, node.lineno) for node in tree.body] == [
        ("ClassDef", 1), ("FunctionDef", 3), ("Assign", 5), ("Assign", 6),
    ]  # fmt: skip
