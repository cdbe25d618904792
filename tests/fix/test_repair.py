"""Repairs: what is offered audits clean, runs, and applies; where nothing is safe nothing is offered."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from auditor.cli import app
from auditor.cli.steps import audit_one, open_submission
from auditor.demo import MINIATURES, Miniature
from auditor.engine import audit
from auditor.fix import repair
from auditor.fix.repairs.score_chunks import CHUNK
from auditor.review import render
from auditor.sandbox import Unavailable, availability
from auditor.submission.model import Log
from rules.base import Example, Rule
from rules.miniature import script
from rules.rulings import rulings
from tests.fix.offers import RULES, code_of, offered
from tests.scripts import of_example, submission

FLAGGED = [
    pytest.param(rule, example, id=f"{rule.id}: {example.title}")
    for rule in RULES
    for example in rule.examples
    if example.fires and rule.level == "flag" and rule.kind == "violation"
]
OFFERED = {
    "Hessians of the quantiser are collected on validation tokens": "calibrate on training tokens at line 76",
    "Three epochs over the validation set, then the evaluation": (
        "score chunk by chunk at line 73, and adapt to each chunk after its score"
    ),
    "The key of the numerator holds the target": "leave out the mixture at line 75",
    "Score-first training, then everything is scored afresh": "leave out the call of `stage`",
    "A count looked up for the target only is mixed in": "leave out the mixture at line 75",
    "Mixed only where the cache has seen the token": "leave out the mixture at line 75",
    "The offset is fitted on a window and the window is scored with it": (
        "score before the update: move line 74 before line 68"
    ),
    "The token's probability is spread over its bytes and mixed with byte counts": (
        "score with `share` alone at line 82"
    ),
}
"""What is offered for the examples of the rules, by title; for the others nothing is."""
MINIATURE = {m.name: m for m in MINIATURES}


@pytest.mark.parametrize(("rule", "example"), FLAGGED)
def test_a_repaired_example_audits_clean(rule: Rule, example: Example) -> None:
    given, env = of_example(example), dict(example.env)
    found = repair(given, audit(given, RULES, env=env), RULES, env)
    assert (found.steps if found else None) == ((OFFERED[example.title],) if example.title in OFFERED else None)
    if found is not None:
        report = audit(submission(code_of(found)), RULES, env=env)
        assert (report.verdict, report.cls) == ("clean", found.cls)


def test_every_offer_is_for_an_example() -> None:
    assert set(OFFERED) <= {param.values[1].title for param in FLAGGED}  # type: ignore[union-attr]


def repaired(miniature: Miniature, folder: Path) -> Path:
    """A copy of a miniature to which the offered diff was applied by git."""
    copy = folder / miniature.name
    shutil.copytree(miniature.folder, copy)
    result = CliRunner().invoke(app, ["fix", "--diff", str(copy)])
    assert result.exit_code == 0, result.output
    subprocess.run(["git", "apply", "-"], input=result.stdout, text=True, cwd=folder, check=True)
    return copy


@pytest.mark.parametrize(
    ("name", "switch", "cls"),
    [("adapt_first", "TTT_ENABLED", "score-first-ttt"), ("ngram_cache", "NGRAM_CACHE", "pure-neural")],
)
def test_the_diff_of_a_miniature_applies_and_makes_it_clean(name: str, switch: str, cls: str, tmp_path: Path) -> None:
    folder = repaired(MINIATURE[name], tmp_path)
    (folder / "train.log").unlink()  # of the program as it was
    report = audit_one(str(folder), mirror=None, repo="a/b", env={switch: "1"})
    assert (report.verdict, report.cls) == ("clean", cls)


@pytest.mark.parametrize("name", ["adapt_first", "ngram_cache"])
def test_no_experiment_refutes_a_repaired_miniature(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[probe]'")
    pytest.importorskip("sentencepiece", reason="sentencepiece is not installed: pip install 'pgolf[probe]'")
    sandbox = availability()
    if isinstance(sandbox, Unavailable):
        pytest.skip(f"no sandbox: {sandbox.reason}; {sandbox.remedy}")
    folder = repaired(MINIATURE[name], tmp_path)
    script = folder / "train_gpt.py"
    script.write_text(script.read_text().replace(CHUNK, "1 << 9"))  # several chunks of the toy's 2,049 tokens
    done = subprocess.run(
        [sys.executable, "-m", "auditor.cli", "probe", str(folder), "--format", "json"],
        capture_output=True,
        check=False,
    )
    found = json.loads(done.stdout)["conditions"]
    assert {name: each["answer"] for name, each in found.items()} == dict.fromkeys(
        ("C1", "C2", "C3", "C4"), "not-refuted"
    )
    assert (found["C3"]["numbers"].get("updates", 0) > 0) == (name == "adapt_first")


def test_the_review_shows_the_change() -> None:
    folder = str(MINIATURE["ngram_cache"].folder)
    report = audit_one(folder, mirror=None, repo="a/b", env={})
    found = repair(open_submission(folder, mirror=None, repo="a/b"), report, RULES)
    assert found is not None
    text = render(report, rules=RULES, rulings=rulings(), repair=found.diff).body
    assert f"```diff\n{found.diff}```" in text
    assert f"`pgolf fix --diff {folder}`" in text


@pytest.mark.parametrize("name", ["chunked_sgd", "last_blocks_adamw"])
def test_what_is_clean_is_not_repaired(name: str) -> None:
    folder = str(MINIATURE[name].folder)
    report = audit_one(folder, mirror=None, repo="a/b", env={})
    assert repair(open_submission(folder, mirror=None, repo="a/b"), report, RULES) is None
    result = CliRunner().invoke(app, ["fix", folder])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "clean, nothing to repair" in result.stderr


def test_where_nothing_helps_the_command_says_what_does(tmp_path: Path) -> None:
    example = next(p.values[1] for p in FLAGGED if p.values[1].title == "Attention without a mask")  # type: ignore[union-attr]
    (tmp_path / "train_gpt.py").write_text(example.code, encoding="utf-8")  # type: ignore[union-attr]
    result = CliRunner().invoke(app, ["fix", str(tmp_path / "train_gpt.py")])
    assert (result.exit_code, result.stdout) == (3, "")
    assert "pgolf explain non-causal says what helps" in result.stderr


LOOP = script("""
    def evaluate(s, model, val):
        opt = torch.optim.SGD(model.parameters(), lr=0.01)
        total, count = torch.zeros(()), 0
        for start in range(0, val.numel() - s.seq_len, s.seq_len):
            x, y = window(val, start, s.seq_len)
            # learn from the window
            opt.zero_grad()
            model(x, y).backward()
            opt.step()
            # and score it
            with torch.no_grad():
                total += model(x, y) * y.numel()
            count += y.numel()
        return (total / count).item()
""")


def test_a_score_after_the_update_is_moved_before_it_with_its_comment() -> None:
    found = offered(LOOP)
    assert found is not None and found.cls == "score-first-ttt"
    body = code_of(found).partition("def evaluate")[2]
    marks = ["window(val", "# and score it", "total +=", "# learn from", "opt.zero_grad", "opt.step", "return"]
    assert [body.index(mark) for mark in marks] == sorted(body.index(mark) for mark in marks)


def test_statements_that_need_each_other_stay_in_order() -> None:
    found = offered(LOOP.replace("total += model(x, y)", "total += model(x, y) * scale").replace(
        "        opt.step()\n", "        scale = opt.step() or 1.0\n"))  # fmt: skip
    assert found is None or "score before the update" not in found.steps[0]


@pytest.mark.parametrize(
    "use",
    [
        "return adapt(s, model, val)",  # what is reported
        "best = adapt(s, model, val)\n    return plain_eval(s, model, val) + 0 * best",
        "stats = []\n    stats.append(adapt(s, model, val))\n    return plain_eval(s, model, val) + stats[0]",
    ],
)
def test_an_adaptation_whose_result_is_used_is_not_left_out(use: str) -> None:
    code = script(f"""
def adapt(s, model, val):
    opt = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = window(val, 0, s.seq_len)
    loss = model(x, y)
    loss.backward()
    opt.step()
    return loss.item()

def evaluate(s, model, val):
    {use}
""")
    found = offered(code)
    assert found is None or "call of `adapt`" not in found.steps[0]


def test_the_settings_are_those_of_the_run() -> None:
    code = LOOP.replace("        opt.step()\n", "        if s.adapt:\n            opt.step()\n")
    assert offered(code, ADAPT="0") is None  # clean as it is
    assert offered(code, ADAPT="1") is not None


def test_what_only_the_logs_show_is_not_repaired() -> None:
    log = Log("train.log", "train_loader:dataset:fineweb_val_only train_shards:1\nval_bpb:1.2\n")
    given = replace(submission(LOOP.replace("        opt.step()\n", "")), logs=(log,))
    report = audit(given, RULES)
    assert "val-in-train" in {f.rule for f in report.findings if f.level == "flag"}
    assert repair(given, report, RULES) is None
