"""`pgolf review`: what it prints and how it ends; and the check of form that the benchmark makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from auditor.cli import app
from auditor.demo import MINIATURES
from auditor.review import MAX_CHARACTERS, read_marker
from benchmarks.reviews import defects

FOLDERS = {m.name: str(m.folder) for m in MINIATURES}


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["review", *words])
    return result.exit_code, result.output


@pytest.mark.parametrize(("name", "code"), [("chunked_sgd", 0), ("ngram_cache", 1)])
def test_the_exit_code_is_that_of_the_audit(name: str, code: int) -> None:
    status, text = run(FOLDERS[name])
    assert status == code
    assert read_marker(text)
    assert f"`pgolf review {FOLDERS[name]}`" in text


def test_the_markdown_format_of_the_audit_is_the_same_text() -> None:
    audited = CliRunner().invoke(app, ["audit", FOLDERS["chunked_sgd"], "--format", "markdown"])
    assert audited.output == run(FOLDERS["chunked_sgd"])[1]


def test_a_flagged_submission_is_reviewed_with_a_repair() -> None:
    text = run(FOLDERS["ngram_cache"])[1]
    assert f"**A repair:** `pgolf fix --diff {FOLDERS['ngram_cache']}` prints a change" in text
    assert "-                p_model[len(where) - len(at) :] = np.where(\n" in text


def test_an_undecided_submission_exits_with_three(tmp_path: Path) -> None:
    (tmp_path / "train_gpt.py").write_text("def f(:\n", encoding="utf-8")
    status, text = run(str(tmp_path))
    assert status == 3
    assert "does not run as it stands" in text


def test_what_cannot_be_read_is_one_line_and_exits_with_two() -> None:
    status, text = run("nowhere/at/all")
    assert status == 2
    assert text.startswith("pgolf: ") and text.count("\n") == 1


def test_in_json_the_body_comes_with_what_a_check_run_needs(tmp_path: Path) -> None:
    file = tmp_path / "review.json"
    assert run(FOLDERS["adapt_first"], "--format", "json", "--output", str(file)) == (1, "")
    made = json.loads(file.read_text(encoding="utf-8"))
    assert made["title"] == "flag: val-token-ttt"
    marker = read_marker(made["body"])
    assert marker is not None and marker.digest == made["digest"]
    assert {"path", "line", "level", "title", "message"} == set(made["annotations"][0])


def test_settings_are_part_of_the_command_that_gives_the_same_text() -> None:
    status, text = run(FOLDERS["adapt_first"], "--env", "TTT_ENABLED=0")
    assert status == 0
    assert f"`pgolf review {FOLDERS['adapt_first']} --env TTT_ENABLED=0`" in text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is None.", "prints None"),
        ("[x](https://evil.example/)", "link https://evil.example/"),
        (f"[x](https://github.com/openai/parameter-golf/blob/{'a' * 40}/a/../b)", "link "),
        ("one\n\n\ntwo", "two blank lines"),
        ("**Records:**\n\n**Verdict: FLAG.**", "empty section **Records:**"),
        ("**Records:**\n", "empty section **Records:**"),
        ("x" * (MAX_CHARACTERS + 1), "60,001 characters"),
    ],
)
def test_the_check_of_form_sees_each_defect(text: str, found: str) -> None:
    assert [defect[: len(found)] for defect in defects(text)] == [found]


def test_the_check_of_form_leaves_quoted_lines_alone() -> None:
    assert defects("**Records:**\n\n```text\nNone\n\n\n[x](y)\n```\n") == []
