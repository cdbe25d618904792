from __future__ import annotations

import copy
import pickle
import traceback

import pytest

from auditor.token import Token, find, required
from auditor.verdict import PgolfError

SECRET = "ghp_0123456789secret"


def test_the_first_variable_that_is_not_empty_counts() -> None:
    assert find({}) is None
    assert find({"GITHUB_TOKEN": " ", "GH_TOKEN": SECRET}).reveal() == SECRET  # type: ignore[union-attr]
    assert find({"GITHUB_TOKEN": SECRET + "\n", "GH_TOKEN": "other"}).reveal() == SECRET  # type: ignore[union-attr]


def test_without_one_it_says_where_it_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.delenv("GH_TOKEN", raising=False)
    with pytest.raises(PgolfError, match="GITHUB_TOKEN or GH_TOKEN"):
        required()


@pytest.mark.parametrize("text", [f"{SECRET}\r\nHost: evil", f"{SECRET} {SECRET}", f"{SECRET}\x00", SECRET + "é"])
def test_a_token_that_would_break_the_header_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(PgolfError) as caught:
        Token(text)
    assert SECRET not in "".join(traceback.format_exception(caught.value)).replace(f"Token({text!r})", "")
    assert SECRET not in str(caught.value)


def test_it_cannot_be_shown_or_written_by_accident() -> None:
    token = Token(SECRET)
    assert SECRET not in f"{token} {token!r} {[token]} {token.__slots__}"
    for write in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            write(token)
