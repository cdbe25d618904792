"""A program written otherwise gets the same verdict: layout, order of branches, harmless blocks, wrappers, files."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.demo import MINIATURES, Miniature
from auditor.engine import audit
from auditor.submission import open_target
from auditor.submission.model import Submission
from rules import catalogue
from tests.rewrites import (
    Program,
    Rewriting,
    functions_in_another_order,
    packed,
    split_into_a_module,
    under_other_names,
    unparsed,
    with_a_helper_inlined,
    with_dead_code,
)
from tests.scripts import active, outline, submission
from tests.test_names_decide_nothing import with_code
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


# Whole submissions, rewritten several times over.

REWRITINGS: dict[str, Rewriting] = {
    "other names": under_other_names,
    "functions in another order": functions_in_another_order,
    "dead code": with_dead_code,
    "a helper inlined": with_a_helper_inlined,
    "a part in a module beside it": split_into_a_module,
}
SUBMISSIONS = {m.name: open_target(str(m.folder), mirror=None, repo="owner/name") for m in MINIATURES}
EXAMPLES = {
    f"{rule.id}: {example.title}": (example, submission(example.code))
    for rule in catalogue()
    for example in rule.examples
    if not example.files and not (rule.kind == "readability" and example.fires)
}
rewritings = st.lists(st.sampled_from(sorted(REWRITINGS)), min_size=1, max_size=4)


def rewritten(subject: Submission, steps: list[str], seed: int, pack: bool) -> Submission:
    """The submission after these steps; its log is of the new script, as it prints the script's size."""
    text, chance = subject.code.decode(), random.Random(seed)
    program = Program(text)
    for step in steps:
        program = REWRITINGS[step](program, chance)
    if pack:
        program = packed(program, chance)
    modules = {name: code.encode() for name, code in program.modules.items()}
    return replace(with_code(subject, program.text.encode(), text), modules=modules)


def judged(subject: Submission, env: Mapping[str, str] | None = None) -> tuple[str, str, list[tuple[str, str]]]:
    """Verdict, class and findings of the run; dead code may be noted as such."""
    report = audit(subject, catalogue(), env=env)
    return report.verdict, report.cls, sorted((f.rule, f.level) for f in active(report))


@settings(max_examples=40)
@given(st.sampled_from(MINIATURES), rewritings, st.integers(0, 999), st.booleans())
def test_a_rewritten_submission_is_judged_the_same(
    miniature: Miniature, steps: list[str], seed: int, pack: bool
) -> None:
    subject = SUBMISSIONS[miniature.name]
    found = judged(rewritten(subject, steps, seed, pack))
    assert found[:2] == (miniature.verdict, miniature.cls)
    assert found == judged(subject)


@settings(max_examples=60)
@given(st.sampled_from(sorted(EXAMPLES)), rewritings, st.integers(0, 999), st.booleans())
def test_a_rewritten_example_is_judged_the_same(name: str, steps: list[str], seed: int, pack: bool) -> None:
    example, subject = EXAMPLES[name]
    env = dict(example.env)
    assert judged(rewritten(subject, steps, seed, pack), env) == judged(subject, env)


ILLEGAL = {"adapt_first": "TTT_ENABLED", "ngram_cache": "NGRAM_CACHE"}
"""The setting that switches the illegal path of a miniature."""


@settings(max_examples=16)
@given(st.sampled_from(sorted(ILLEGAL)), rewritings, st.integers(0, 999), st.booleans())
def test_with_the_illegal_path_off_a_rewritten_submission_is_clean(
    name: str, steps: list[str], seed: int, pack: bool
) -> None:
    subject = rewritten(SUBMISSIONS[name], steps, seed, pack)
    verdicts = [judged(subject, {ILLEGAL[name]: switch})[0] for switch in ("1", "0")]
    assert verdicts == ["flag", "clean"]


@pytest.mark.parametrize("step", REWRITINGS)
def test_each_rewriting_takes_hold_somewhere(step: str) -> None:
    changed = 0
    for subject in SUBMISSIONS.values():
        before = Program(unparsed(ast.parse(subject.code)))
        after = REWRITINGS[step](before, random.Random(1))
        assert after == before or {**after.modules, "": after.text} != {"": before.text}
        changed += after != before
    assert changed >= 2
