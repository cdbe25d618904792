"""How a script is split, how its end is described, and what is written of it."""

from __future__ import annotations

import builtins
import json
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from auditor.runtime import job, packed
from auditor.runtime.__main__ import described, fault_of, parts
from auditor.runtime.deadline import place
from auditor.runtime.device import OnCpu

SCRIPT = """from __future__ import annotations
seen = ["body"]
if __name__ == "__main__":
    seen.append("main")
    def late(x: undefined): ...
seen.append("behind")
"""


def test_the_main_part_is_left_out_of_an_import() -> None:
    body, main = parts(SCRIPT, "script.py")
    names: dict[str, object] = {"__name__": "__main__"}
    packed.real_exec(body, names)
    assert names["seen"] == ["body"]
    packed.real_exec(main, names)
    assert names["seen"] == ["body", "main", "behind"], "and the future import holds there too"


def test_a_script_without_a_main_part_is_all_body() -> None:
    body, main = parts("x = 1\n", "script.py")
    assert "x" in body.co_names and "x" not in main.co_names


def raised(tmp_path: Path, text: str) -> BaseException:
    path = tmp_path / "script.py"
    try:
        with OnCpu():
            packed.real_exec(packed.real_compile(text, str(path), "exec"), {"torch": torch, "limit": job.RuntimeLimit})
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x = undefined", "script"),
        ("torch.zeros(2) @ torch.zeros(3)", "script"),
        ("raise limit('no')", "runtime"),
        ("raise RuntimeError('CUDA error')", "runtime"),
        ("raise ValueError('VOCAB_SIZE=8192 does not match tokenizer vocab_size=1024')", "runtime"),
        ("import package_that_is_not_here", "environment"),
        ("open('file_that_is_not_here')", "environment"),
        ("raise RuntimeError('operator mine::op does not exist')", "environment"),
    ],
)
def test_faults(tmp_path: Path, text: str, fault: str) -> None:
    assert fault_of(raised(tmp_path, text)) == fault


def test_an_error_is_one_line_with_the_innermost_place_of_the_script(tmp_path: Path) -> None:
    error = raised(tmp_path, "def f():\n    torch.zeros(2).view(\n3)\nf()")
    line = described(error, str(tmp_path / "script.py"))
    assert line.startswith("RuntimeError: shape '[3]' is invalid") and line.endswith("(script.py:2 in f)")
    assert "\n" not in described(raised(tmp_path, "raise ValueError('a\\nb')"), str(tmp_path / "script.py"))


def test_the_place_of_a_frame_is_that_of_the_submission(tmp_path: Path) -> None:
    found: list[str] = []
    call: Callable[[], object] = lambda: found.append(place(__import__("sys")._getframe(), str(tmp_path)))  # noqa: E731
    packed.real_exec(packed.real_compile("def f():\n    call()\nf()", str(tmp_path / "s.py"), "exec"), {"call": call})
    assert found == [" (s.py:2 in f)"]
    assert place(None, str(tmp_path)) == ""


def test_a_result_is_whole_bounded_and_has_numbers_only(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    job.write_result(
        str(path), {"ended": "stopped", "taps": {"step": {"loss": float("nan"), "all": [float("inf"), 1.5]}}}
    )
    assert json.loads(path.read_text())["taps"]["step"] == {"loss": None, "all": [None, 1.5]}
    job.write_result(str(path), {"ended": "stopped", "taps": {"step": "x" * job.RESULT_BYTES}})
    refused = json.loads(path.read_text())
    assert (refused["ended"], refused["fault"], refused["taps"]) == ("raised", "runtime", {})
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_packed_source_keeps_its_lines_and_the_future_imports_of_whoever_executes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("exec", "compile"):
        monkeypatch.setattr(builtins, name, getattr(builtins, name))  # put back afterwards
    packed.install()
    outer = (
        "from __future__ import annotations\n"
        "exec('\\ufeffdef f(x: undefined):\\n    return 1 / x\\n')\n"
        "exec(compile('y = 2\\ndef g(x: undefined): pass', '<string>', 'exec'))\n"
    )
    names: dict[str, object] = {}
    packed.real_exec(packed.real_compile(outer, "outer.py", "exec"), names)
    assert names["y"] == 2
    with pytest.raises(ZeroDivisionError) as caught:
        names["f"](0)  # type: ignore[operator]
    assert "return 1 / x" in "".join(traceback.format_exception(caught.value))
