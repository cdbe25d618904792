"""Which lines of a script can lead to which others."""

from __future__ import annotations

import ast
from textwrap import dedent

from auditor.program.index import CallIndex, texts

SCRIPT = dedent(
    """
    class Net(nn.Module):
        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    def adapt(net, tokens):
        for chunk in tokens:
            net(chunk).backward()

    def train(net, data):
        for batch in data:
            net(batch).backward()

    def main(args, net, data, tokens):
        for step in range(args.steps):
            train(net, data)
        for epoch in range(args.epochs):
            if args.adapts:
                adapt(net, tokens)
        for name in names:
            report(name)
    """
)


def line_of(text: str) -> int:
    return SCRIPT[: SCRIPT.index(text)].count("\n") + 1


def index() -> CallIndex:
    return CallIndex(ast.parse(SCRIPT), SCRIPT)


def test_only_branches_that_may_update_are_switches() -> None:
    assert index().switches() == {line_of("if args.adapts")}


def test_loops_apart_neither_lead_to_the_explored_branch_nor_are_reached_from_it() -> None:
    explored = line_of("if args.adapts")
    hidden = line_of("adapt(net, tokens)\n    for name")
    apart = index().loops_apart({explored}, [(hidden, hidden)])
    assert apart == {line_of(text) for text in ("for batch", "for step", "for name")}


def test_a_definition_is_no_call() -> None:
    assert {name for _, name in index().calls} == {"train", "adapt"}


def test_texts_are_all_string_constants() -> None:
    assert sorted(texts(ast.parse("a = 'x'\nprint(f'y{a}', b'z', 1)"))) == ["x", "y"]
