"""Results are data: forged ones are refused, whatever they are."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.sandbox import BadResult, Status, decode
from auditor.sandbox.result import collect

from .conftest import Script


@dataclass(frozen=True)
class Inner:
    name: str
    values: list[float]


@dataclass(frozen=True)
class Shape:
    answer: Literal["yes", "no"]
    count: int
    loss: float | None
    inner: Inner
    table: dict[str, tuple[int, ...]] = field(default_factory=dict)
    pair: tuple[int, str] | None = None
    certain: bool = False


INTEGER = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(allow_nan=False, allow_infinity=False)
SHAPES = st.builds(
    Shape,
    answer=st.sampled_from(["yes", "no"]),
    count=INTEGER,
    loss=st.none() | FLOAT,
    inner=st.builds(Inner, name=st.text(), values=st.lists(FLOAT)),
    table=st.dictionaries(st.text(), st.lists(INTEGER).map(tuple)),
    pair=st.none() | st.tuples(INTEGER, st.text()),
    certain=st.booleans(),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["answer", "count", "inner"]), inner),
)
GOOD = {"answer": "yes", "count": 3, "loss": 1.5, "inner": {"name": "", "values": [1, 2.5]}}


@given(SHAPES)
def test_what_has_the_shape_is_decoded(shape: Shape) -> None:
    assert decode(json.dumps(asdict(shape)).encode(), Shape) == shape


@given(JSON)
def test_what_has_not_is_refused(value: object) -> None:
    with pytest.raises(BadResult):
        decode(json.dumps(value).encode(), Shape)


@given(st.binary())
def test_no_bytes_crash_it(data: bytes) -> None:
    with pytest.raises(BadResult):
        decode(data, Shape)


@given(SHAPES, st.sampled_from(sorted(GOOD)), JSON)
def test_one_changed_field_is_refused_or_of_the_shape(shape: Shape, name: str, value: object) -> None:
    try:
        decoded = decode(json.dumps(asdict(shape) | {name: value}).encode(), Shape)
    except BadResult:
        return
    assert decoded.answer in ("yes", "no")
    assert type(decoded.count) is int
    assert decoded.loss is None or math.isfinite(decoded.loss)
    assert all(type(item) is float and math.isfinite(item) for item in decoded.inner.values)


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("", "not JSON"),
        ("[]", "result: not an object"),
        (json.dumps(GOOD)[:-1], "not JSON"),
        (json.dumps(GOOD | {"loss": math.nan}), "NaN is not a number"),
        (json.dumps(GOOD | {"loss": -math.inf}), "-Infinity is not a number"),
        (json.dumps(GOOD).replace("1.5", "1e999"), "too large"),
        (json.dumps(GOOD | {"count": 2**63}), "64 bits"),
        (json.dumps(GOOD | {"count": 10**4000}), "64 bits"),
        (json.dumps(GOOD).replace('"loss": 1.5', '"loss": ' + "9" * 4000), "64 bits"),
        (json.dumps(GOOD | {"count": True}), "result.count: not int"),
        (json.dumps(GOOD | {"count": "3"}), "result.count: not int"),
        (json.dumps(GOOD | {"answer": "maybe"}), "result.answer: not 'yes' or 'no'"),
        (json.dumps(GOOD | {"more": 1}), "no field 'more'"),
        (json.dumps({"answer": "yes"}), "field 'count' is missing"),
        (json.dumps(GOOD | {"inner": {"name": "", "values": [1, None]}}), "result.inner.values[1]: not float"),
        (json.dumps(GOOD | {"pair": [1]}), "result.pair: not a list of 2"),
        (json.dumps(GOOD | {"table": {"x" * 999: 1}}), "result.table." + "x" * 40 + ": not a list"),
        ('{"count": 1, "count": 2}', "occurs twice"),
        (json.dumps(GOOD | {"inner": {"name": "\ud800", "values": []}}), "result.inner.name: not text"),
        (json.dumps(GOOD | {"table": {"\ud800": [1]}}), "result.table: not text"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_the_refusal_says_where(text: str, complaint: str) -> None:
    with pytest.raises(BadResult) as refusal:
        decode(text.encode(), Shape)
    assert complaint in str(refusal.value)


FORGERIES = {
    "a link to a file of the system": ("os.symlink('/usr/bin/env', 'result')", "cannot be opened"),
    "a link to a file of its own": ("open('x', 'w').write('{}'); os.symlink('x', 'result')", "cannot be opened"),
    "a link to itself": ("os.symlink('result', 'result')", "cannot be opened"),
    "a pipe": ("os.mkfifo('result')", "not a regular file"),
    "a socket": ("socket.socket(socket.AF_UNIX).bind('result')", "cannot be opened"),
    "a folder": ("os.mkdir('result')", "not a regular file"),
    "a huge file": ("open('result', 'w').write('1' * (2 << 20))", "2,097,152 bytes, 1,048,576 allowed"),
    "a file of holes": ("os.truncate(os.open('result', os.O_CREAT | os.O_WRONLY), 8 << 20)", "8,388,608 bytes"),
    "a link to its interpreter": ("os.link(os.path.realpath(sys.executable), 'result')", "cannot be opened"),
    "nothing": ("pass", "cannot be opened"),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_only_a_small_file_of_its_own_is_collected(script: Script, what: str) -> None:
    text, complaint = FORGERIES[what]
    outcome = script(f"import os, socket, sys\n{text}", collect=("result",))
    assert outcome.files == {}
    assert complaint in outcome.refused["result"], outcome.stderr


@pytest.mark.parametrize("name", ["../x", "folder/x", "/etc/passwd", "..", ""])
def test_a_name_with_folders_is_not_looked_up(tmp_path: Path, name: str) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(ValueError, match="not the name of a file"):
            collect(folder, name, limit=1, owner=os.geteuid())
    finally:
        os.close(folder)


def test_a_pickle_is_not_opened(script: Script) -> None:
    outcome = script(
        """
        import os, pickle
        class Bomb:
            def __reduce__(self):
                return os.system, ("touch /tmp/pickled",)
        open("result", "wb").write(pickle.dumps(Bomb()))
        """,
        collect=("result",),
    )
    assert outcome.status is Status.OK
    with pytest.raises(BadResult, match="not JSON"):
        decode(outcome.files["result"], Shape)


def test_a_folder_that_was_swapped_is_not_followed(script: Script) -> None:
    outcome = script(
        """
        import os
        os.chdir("/tmp")
        os.rename("work", "old")
        os.mkdir("work")
        open("work/result", "w").write("forged")
        open("old/result", "w").write("real")
        """,
        collect=("result",),
    )
    assert outcome.files == {"result": b"real"}
