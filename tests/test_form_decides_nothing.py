"""A program written otherwise gets the same verdict: layout, order of branches, harmless blocks, wrappers."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from auditor.engine import audit
from rules import catalogue
from tests.scripts import outline
from tests.timeline.literate import Case
from tests.timeline.test_cases import CASES, of_case

Outline = tuple[str, str, list[tuple[str, str, str]]]


class Guarded(ast.NodeTransformer):
    """Each loop stands in a branch that is always taken."""

    def visit_For(self, node: ast.For | ast.While) -> ast.AST:
        self.generic_visit(node)
        return ast.If(ast.Constant(True), [node], [])

    visit_While = visit_For


class InContext(ast.NodeTransformer):
    """Each loop body stands in a context that does nothing."""

    def visit_For(self, node: ast.For | ast.While) -> ast.AST:
        self.generic_visit(node)
        context = ast.parse("__import__('contextlib').nullcontext()", mode="eval").body
        node.body = [ast.With([ast.withitem(context)], node.body)]
        return node

    visit_While = visit_For


class Swapped(ast.NodeTransformer):
    """The branches of each `if` change places."""

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        return ast.If(ast.UnaryOp(ast.Not(), node.test), node.orelse or [ast.Pass()], node.body)


class Named(ast.NodeTransformer):
    """What a function returns has a name first."""

    def visit_Return(self, node: ast.Return) -> ast.AST | list[ast.stmt]:
        if node.value is None:
            return node
        name = "returned_value"
        return [ast.Assign([ast.Name(name, ast.Store())], node.value), ast.Return(ast.Name(name, ast.Load()))]


class Aliased(ast.NodeTransformer):
    """Each parameter is known by a second name."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        table = {a.arg: f"{a.arg}_too" for a in node.args.args if a.arg not in ("self", "cls")}
        inner = {n.arg for f in ast.walk(node) if isinstance(f, ast.Lambda) for n in f.args.args}
        nested = any(
            isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Nonlocal) for s in node.body for n in ast.walk(s)
        )
        if nested or not table or inner & set(table):
            return node
        for statement in node.body:
            for name in ast.walk(statement):
                if isinstance(name, ast.Name):
                    name.id = table.get(name.id, name.id)
        head = [ast.parse(f"{new} = {old}").body[0] for old, new in table.items()]
        node.body = [*head, *node.body]
        return node


def laid_out(tree: ast.Module) -> ast.Module:
    return tree


def with_bystanders(tree: ast.Module) -> ast.Module:
    """Functions that are defined and never called, among them an illegal one."""
    bystanders = ast.parse(
        "def unused(model, opt, tokens):\n    for epoch in range(3):\n"
        "        model(tokens[:-1], tokens[1:]).backward()\n        opt.step()\n"
        "class Unused:\n    def step(self):\n        raise RuntimeError\n"
    ).body
    future = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    rest = [n for n in tree.body if n not in future]
    return ast.Module([*future, *bystanders, *rest], [])


FORMS: dict[str, Callable[[ast.Module], ast.Module]] = {
    "laid out anew": laid_out,
    "with functions that nobody calls": with_bystanders,
    "loops under a branch that is always taken": lambda tree: Guarded().visit(tree),
    "loop bodies in a context": lambda tree: InContext().visit(tree),
    "branches swapped": lambda tree: Swapped().visit(tree),
    "results named before they are returned": lambda tree: Named().visit(tree),
    "parameters under a second name": lambda tree: Aliased().visit(tree),
}
FILES = ("order", "loops", "calls", "ngram", "slot", "patterns")
SUBJECTS = [case for case in CASES if case.source.stem in FILES and not case.xfail]
KNOWN: dict[tuple[str, str], str] = {}
"""Gaps; each fails the suite as soon as it is closed, and then goes."""
PAIRS = [
    pytest.param(
        case,
        form,
        id=f"{case.source.stem}: {case.name}: {form}",
        marks=[pytest.mark.xfail(reason=KNOWN[case.name, form])] if (case.name, form) in KNOWN else [],
    )
    for case in SUBJECTS
    for form in FORMS
]


@cache
def usual(name: str, source: str) -> Outline:
    case = next(c for c in SUBJECTS if (c.name, str(c.source)) == (name, source))
    return outline(audit(of_case(case), catalogue(), env=case.run.get("env", {})))


@pytest.mark.parametrize(("case", "form"), PAIRS)
def test_another_form_is_judged_the_same(case: Case, form: str) -> None:
    tree = FORMS[form](ast.parse(case.code))
    code = ast.unparse(ast.fix_missing_locations(tree)) + "\n"
    report = audit(replace(of_case(case), code=code.encode()), catalogue(), env=case.run.get("env", {}))
    assert outline(report) == usual(case.name, str(case.source))
