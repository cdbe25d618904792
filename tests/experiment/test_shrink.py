"""Toy sizes: environment where a script reads a name, literals where it assigns one, nothing else."""

from __future__ import annotations

import ast
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.experiment.grammar import runnable
from auditor.experiment.shrink import assigned, shrink

SIZES = {"TRAIN_SEQ_LEN": 128, "BATCH_TOKENS": 1024}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("class H:\n    train_seq_len = 2048  # long\n", "class H:\n    train_seq_len = 128  # long\n"),
        ("class H:\n    batch_tokens: int = 2048 * 48 * 8\n", "class H:\n    batch_tokens: int = 1024\n"),
        ("TRAIN_SEQ_LEN = (1 << 11)\n", "TRAIN_SEQ_LEN = 128\n"),
        ('p.add_argument("--train-seq-len", default=2048)\n', 'p.add_argument("--train-seq-len", default=128)\n'),
        ('p.add_argument("-b", "--batch_tokens", type=int, default=4)\n',
         'p.add_argument("-b", "--batch_tokens", type=int, default=1024)\n'),
    ],
)  # fmt: skip
def test_literals_are_replaced(before: str, after: str) -> None:
    small = shrink(before, SIZES)
    assert small.text == after
    assert len(small.rewritten) == 1


@pytest.mark.parametrize(
    "text",
    [
        "train_seq_len = other\n",
        "train_seq_len = 2048.5\n",
        "my_train_seq_len = 2048\n",
        "def f():\n    train_seq_len = 2048\n",
        'p.add_argument("--train-seq-len", type=int)\n',
        "a = b = 3\n",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert shrink(text, SIZES).text == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f():\n    BUCKETS = 1 << 22\n", "def f():\n    BUCKETS = 64\n"),
        ("def f(a, buckets=4_194_304): pass\n", "def f(a, buckets=64): pass\n"),
        ("class C:\n    def f(self, *, buckets: int = 2 ** 22): pass\n",
         "class C:\n    def f(self, *, buckets: int = 64): pass\n"),
        ("def f(buckets=n): pass\n", "def f(buckets=n): pass\n"),
    ],
)  # fmt: skip
def test_some_literals_are_replaced_wherever_they_stand(before: str, after: str) -> None:
    assert shrink(before, {}, {"BUCKETS": 64}).text == after


def test_assigned_numbers() -> None:
    text = (
        "A = 4 * 2\nB = 1 << 22\nA = 3\nC = -1\nD = 'x'\nE = 9 ** 9 ** 9\ndef f(g, h=2 ** 4, *, i=5):\n    j: int = 7\n"
    )
    assert assigned(text, everywhere=False) == {"A": 8, "B": 4194304}
    assert assigned(text, everywhere=True) == {"A": 8, "B": 4194304, "H": 16, "I": 5, "J": 7}


def test_names_that_are_read_go_to_the_environment() -> None:
    small = shrink("x = int(os.environ.get('TRAIN_SEQ_LEN', 2048))\ny = BATCH_TOKENS\n", SIZES)
    assert small.env == {"TRAIN_SEQ_LEN": "128"}
    assert small.rewritten == ()


names = st.sampled_from(("train_seq_len", "TRAIN_SEQ_LEN", "batch_tokens", "num_layers", "seq"))


@given(lines=st.lists(st.tuples(names, st.integers(0, 10**6)), min_size=1, max_size=6))
def test_exactly_the_wanted_numbers_change(lines: list[tuple[str, int]]) -> None:
    text = "class H:\n" + "".join(f"    {name} = {value}\n" for name, value in lines)
    body = ast.parse(shrink(text, SIZES).text).body[0]
    assert isinstance(body, ast.ClassDef)
    found = [(ast.unparse(node.targets[0]), ast.literal_eval(node.value)) for node in body.body]  # type: ignore[attr-defined]
    assert found == [(name, SIZES.get(name.upper(), value)) for name, value in lines]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python reads PEP 701 itself")
@pytest.mark.parametrize(
    "expression",
    [
        'f"{names["a"]}"',
        'f"{names["a"]!r:>10}"',
        'f"{"-" * 3} {1.5:.{names["width"]}f} {{}}"',
        'f\'{"\\n".join(["a", "b"])}\'',
    ],
)
def test_newer_strings_say_the_same(expression: str) -> None:
    expected = {
        'f"{names["a"]}"': "x",
        'f"{names["a"]!r:>10}"': "       'x'",
        'f"{"-" * 3} {1.5:.{names["width"]}f} {{}}"': "--- 1.50 {}",
        'f\'{"\\n".join(["a", "b"])}\'': "a\nb",
    }[expression]
    with pytest.raises(SyntaxError):
        ast.parse(expression)
    assert eval(runnable(f"{expression}\n"), {"names": {"a": "x", "width": 2}}) == expected


def test_source_that_is_read_as_it_is_stays() -> None:
    text = "x = f'{1}'  # kept\n"
    assert runnable(text) is text
    with pytest.raises(SyntaxError):
        runnable("def (:\n")
