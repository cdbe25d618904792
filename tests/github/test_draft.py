from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from auditor.github.draft import dumps, loads
from auditor.verdict import PgolfError
from tests.github.conftest import draft


def test_there_and_back() -> None:
    made = draft("Any “text”\u2028 and\nlines", lines=(1, 2))
    assert loads(dumps(made)) == made


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    data = json.loads(dumps(draft(lines=(1,))))
    change(data)
    return json.dumps(data)


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "no schema": lambda d: d.pop("schema"),
    "other schema": lambda d: d.update(schema="pgolf.draft/2"),
    "repo": lambda d: d.update(repo="../../x"),
    "repo path": lambda d: d.update(repo="a/b/issues"),
    "pr text": lambda d: d.update(pr="7"),
    "pr bool": lambda d: d.update(pr=True),
    "pr zero": lambda d: d.update(pr=0),
    "head": lambda d: d.update(head="main"),
    "verdict": lambda d: d.update(verdict="approved"),
    "extra": lambda d: d.update(extra=1),
    "missing": lambda d: d.pop("head"),
    "no marker": lambda d: d["review"].update(body="LGTM"),
    "other marker": lambda d: d["review"].update(digest="0" * 16),
    "long": lambda d: d["review"].update(body=d["review"]["body"] + "x" * 70_000),
    "level": lambda d: d["review"]["annotations"][0].update(level="error"),
    "line": lambda d: d["review"]["annotations"][0].update(line="1"),
    "many": lambda d: d["review"].update(annotations=d["review"]["annotations"] * 1001),
    "no review": lambda d: d.update(review=None),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_a_draft_is_refused(name: str) -> None:
    with pytest.raises(PgolfError, match="not a draft"):
        loads(changed(WRONG[name]))


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, '"x"'])
def test_what_is_not_even_an_object_is_refused(text: str) -> None:
    with pytest.raises(PgolfError, match="not a draft"):
        loads(text)
