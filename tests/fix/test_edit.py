"""Edits change what they name, and nothing else."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.fix.edit import Edit, apply, begin, end
from auditor.fix.scope import unresolved
from rules import catalogue

SCRIPTS = [example.code for rule in catalogue() for example in rule.examples if rule.kind == "violation"]


def statement(source: str, text: str) -> ast.stmt:
    return next(
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt) and ast.unparse(node) == text
    )


def removed(source: str, text: str) -> str | None:
    return apply(source, Edit("", remove=(begin(statement(source, text), source.split("\n")),)))


@pytest.mark.parametrize(
    ("source", "text", "after"),
    [
        ("a = 1\nb = 2  # two\nc = 3\n", "b = 2", "a = 1\nc = 3\n"),
        ("a = 1; b = 2; c = 3\n", "b = 2", "a = 1; c = 3\n"),
        ("a = 1; b = 2\n", "b = 2", "a = 1\n"),
        ("if x: f()\ny = 1\n", "f()", "if x: pass\ny = 1\n"),
        ("if x:\n    f()\ny = 1\n", "f()", "if x:\n    pass\ny = 1\n"),
        ("s = 'é漢🏌'; f(); g()\n", "f()", "s = 'é漢🏌'; g()\n"),
        ("for i in x:\n\tf()\n\tg()\n", "f()", "for i in x:\n\tg()\n"),
        ("a = 1\r\nb = 2\r\n", "b = 2", "a = 1\r\n"),
    ],
)
def test_a_statement_goes_and_the_rest_stays(source: str, text: str, after: str) -> None:
    assert removed(source, text) == after


def test_an_expression_is_replaced_within_its_parentheses() -> None:
    source = "loss = -log((0.7 * p + 0.3 * q)).sum()  # é\n"
    node = next(n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Add))
    lines = source.split("\n")
    edit = Edit("", replace={(begin(node, lines), end(node, lines)): "p"})
    assert apply(source, edit) == "loss = -log((p)).sum()  # é\n"


def test_statements_change_places_with_their_comments() -> None:
    source = "def f():\n    # one\n    a()\n    # two\n    b()\n"
    assert apply(source, Edit("", order=((5, 4), (3, 4)))) == "def f():\n    # two\n    b()\n    # one\n    a()\n"


def test_a_place_that_is_not_there_is_no_edit() -> None:
    assert apply("a = 1\n", Edit("", remove=((7, 0),))) is None
    assert apply("def f():\n    a()\n    b()\n", Edit("", order=((2, 4),))) is None


def test_what_libcst_does_not_read_is_not_edited() -> None:
    assert apply("def f(:\n", Edit("", remove=((1, 0),))) is None


@settings(max_examples=25)
@given(st.data())
def test_without_any_one_statement_the_script_still_parses(data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(SCRIPTS))
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assign | ast.Expr | ast.For | ast.If)]
    node = data.draw(st.sampled_from(nodes))
    edited = apply(source, Edit("", remove=(begin(node, source.split("\n")),)))
    assert edited is not None
    gone = ast.unparse(node)
    left = [ast.unparse(n) for n in ast.walk(ast.parse(edited)) if isinstance(n, type(node))]
    assert left.count(gone) == [ast.unparse(n) for n in nodes if isinstance(n, type(node))].count(gone) - 1


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("x = 1\nprint(x, len('a'), __file__)\n", set()),
        ("print(y)\n", {"y"}),
        ("def f():\n    return z\n", {"z"}),
        ("def f(a):\n    b = a\n    return lambda: b\n", set()),
        ("class A:\n    k = 1\n    def f(self):\n        return k\n", {"k"}),
        ("import a.b\nprint(a)\n", set()),
        ("def f():\n    global w\n    w = 1\nprint(w)\n", {"w"}),
    ],
)
def test_names_that_nothing_binds_are_found(source: str, names: set[str]) -> None:
    assert unresolved(source) == names
