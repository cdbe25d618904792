from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.github.hint import sentence


def said(tmp_path: Path, content: bytes) -> str:
    (tmp_path / "hint.json").write_bytes(content)
    return sentence([tmp_path / "hint.json"])


def test_a_hint_is_told_as_one(tmp_path: Path) -> None:
    data = {"status": "pass", "dim": 512, "layers": 11, "params": 26_993_756, "reason": "**APPROVED**"}
    found = said(tmp_path, json.dumps(data).encode())
    assert "nobody has verified" in found and found.endswith("passes (dim=512, layers=11, params=26,993,756).")


@pytest.mark.parametrize(
    "content",
    [b"", b"[", b"[]", b"\xff", b'{"status": "APPROVED"}', b'{"status": ["pass"]}', b"[" * 60_000, b" " * 70_000, b"1"],
)
def test_what_is_no_hint_says_only_that(tmp_path: Path, content: bytes) -> None:
    assert said(tmp_path, content) == "The pull request's own job left no hint that can be read."


def test_an_absent_hint(tmp_path: Path) -> None:
    assert "no hint" in sentence([tmp_path / "absent.json"])


def test_smoke_and_probe_are_told_together(tmp_path: Path) -> None:
    answers = {"C1": "not-refuted", "C2": "inconclusive", "C3": "violated", "C4": "not-refuted"}
    conditions = {name: {"answer": answer, "reason": "**APPROVED**"} for name, answer in answers.items()}
    (tmp_path / "smoke.json").write_text('{"status": "pass"}')
    (tmp_path / "probe.json").write_text(json.dumps({"conditions": conditions, "env": {"A": "@all"}}))
    found = sentence([tmp_path / "smoke.json", tmp_path / "probe.json"])
    assert found.endswith(
        "the smoke test passes; its probe: C1 not refuted, C2 inconclusive, C3 violated, C4 not refuted."
    )
    (tmp_path / "smoke.json").write_text("[")
    assert "smoke" not in sentence([tmp_path / "smoke.json", tmp_path / "probe.json"])
    (tmp_path / "probe.json").write_text(json.dumps({"conditions": {**conditions, "C4": {"answer": "fine"}}}))
    assert "no hint" in sentence([tmp_path / "smoke.json", tmp_path / "probe.json"])


values = st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.text(), max_size=2))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.fixed_dictionaries(
        {"status": st.just("fail")}, optional=dict.fromkeys(("dim", "layers", "vocab", "reason"), values)
    )
)
def test_no_word_of_it_gets_through(tmp_path: Path, data: dict[str, Any]) -> None:
    found = said(tmp_path, json.dumps(data).encode())
    rest = found.removeprefix("A hint that nobody has verified, from the pull request's own job: the smoke test fails")
    assert set(rest) <= set("(dimlayersvocab=0123456789, ).")
