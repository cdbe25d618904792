"""The renaming tool: the program does the same, and none of its own names or remarks is left."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import tokenize

import pytest

from tests.rename_script import renamed

PROGRAM = '''"""Scores chunks first, then adapts."""
import os as system
from collections import deque
from dataclasses import dataclass
from functools import partial

CHUNK = int(system.environ.get("CHUNK", "3"))  # tokens a chunk
history = deque(maxlen=8)


@dataclass
class Settings:
    """What can be set."""
    rate: float = 0.5
    depth: int = int(system.environ.get("DEPTH", 2))
    doubled = depth * 2


class Layer:
    unit = 1

    def __init__(self, width, *, gain=1):
        self.width = width
        self.gain = gain
        self.ttt_gate = 3

    @property
    def area(self):
        return self.width * self.gain * self.unit

    def forward(self, value, extra=0):
        return value * self.area + extra + getattr(self, "ttt_gate")

    def __call__(self, *values, **options):
        return self.forward(*values, **options)


def eval_ttt(tokens, *, layer, chunk=CHUNK):
    """Score, then update."""
    global history
    total = 0
    for start in range(0, len(tokens), chunk):
        piece = tokens[start : start + chunk]
        losses = [layer(token, extra=index) for index, token in enumerate(piece)]
        total += sum(losses)
        try:
            history.append(max(losses, key=lambda loss: -loss))
        except ValueError as problem:
            print("failed", problem)
        else:
            layer.gain += len(piece)
    def report(prefix="total"):
        nonlocal total
        total = round(total, ndigits=1)
        return f"{prefix}: {total} gain={layer.gain!r} {sorted([total], reverse=True)[0]:>8}"
    return report()


def main():
    settings = Settings(rate=0.25)
    layer = Layer(settings.depth, gain=settings.doubled)
    state = {"ttt_gate": layer.ttt_gate, "unit": Layer.unit}
    run = partial(eval_ttt, layer=layer)
    match settings.rate:
        case float() as rate if rate < 1:
            print("rated", rate, state)
    print(run([1, 2, 3, 4, 5]), list(history), settings.rate)


if __name__ == "__main__":
    main()
'''


def output_of(program: str) -> str:
    captured = io.StringIO()
    with contextlib.redirect_stdout(captured):
        exec(compile(program, "program", "exec"), {"__name__": "__main__"})
    return captured.getvalue()


def test_renamed_program_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "DEPTH", "5")
    assert "gain=" in output_of(PROGRAM)
    assert output_of(renamed(PROGRAM)) == output_of(PROGRAM)


def test_no_own_name_is_left() -> None:
    tokens = tokenize.generate_tokens(io.StringIO(renamed(PROGRAM)).readline)
    words = {token.string for token in tokens if token.type == tokenize.NAME}
    own = {
        "CHUNK", "history", "Settings", "rate", "depth", "doubled", "Layer", "width", "gain", "area", "eval_ttt",
        "tokens", "total", "piece", "losses", "token", "index", "loss", "problem", "report", "prefix", "main",
        "settings", "run", "self",
    }  # fmt: skip
    assert words & own == set()


def test_remarks_are_gone() -> None:
    result = renamed(PROGRAM)
    for remark in ("Scores chunks", "tokens a chunk", "What can be set", "Score, then update"):
        assert remark in PROGRAM
        assert remark not in result


def test_what_belongs_to_others_stays() -> None:
    tree = ast.parse(renamed(PROGRAM))
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    attributes = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    keywords = {k.arg for n in ast.walk(tree) if isinstance(n, ast.Call) for k in n.keywords}
    methods = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    assert {"system", "deque", "partial", "dataclass", "range", "sorted"} <= names
    assert {"environ", "get", "append"} <= attributes
    assert {"maxlen", "ndigits", "reverse", "key"} <= keywords
    assert {"forward", "__init__", "__call__"} <= methods
    assert "ttt_gate" in attributes, "getattr speaks of it"


def test_renaming_is_deterministic_and_leaves_nothing_more_to_rename() -> None:
    once = renamed(PROGRAM)
    assert renamed(PROGRAM) == once
    assert len(renamed(once).splitlines()) == len(once.splitlines())


def test_keyword_of_an_unknown_callee_keeps_the_parameter_name() -> None:
    program = "def f(size):\n    return size\nfor g in (f, dict):\n    print(g(size=1))\n"
    assert output_of(renamed(program)) == output_of(program)


def test_names_in_saved_state_patterns_stay() -> None:
    program = (
        "class A:\n    def __init__(self):\n        self.mlp_scale = 1\n"
        "        self.other = 2\n        self.c_gate = 3\n"
        "print([n for n in sorted(vars(A())) if n.endswith('scale') or 'gate' in n])\n"
    )
    assert output_of(program) == output_of(renamed(program)) == "['c_gate', 'mlp_scale']\n"
    assert "other" not in renamed(program)
