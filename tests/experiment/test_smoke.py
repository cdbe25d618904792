"""The smoke test on miniature submissions, inside the sandbox."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from auditor import cli
from auditor.experiment import smoke as smoke_module
from auditor.experiment.smoke import Smoke, SmokeResult, Step, Taps, smoke
from auditor.experiment.stage import PLACES, Ran, is_plain, is_setting, read_program
from auditor.report.as_json import dumps
from auditor.report.schema import schema
from auditor.sandbox import NoSandbox, Outcome, Status, Unavailable, availability
from auditor.submission import open_target
from auditor.verdict import Claims, ExitCode, PgolfError, Report, ScriptInfo, Target
from tests.experiment import scripts

Submit = Callable[..., Path]


@pytest.fixture
def submit(tmp_path: Path) -> Submit:
    """A folder with a script and files beside it."""

    def make(script: str, **files: str) -> Path:
        for name, text in {"train_gpt.py": script, "README.md": "# A miniature\n", **files}.items():
            (tmp_path / name.replace("__", ".")).write_text(text, encoding="utf-8")
        return tmp_path

    return make


@pytest.fixture
def sandbox() -> None:
    """Only where scripts can be run."""
    pytest.importorskip("torch", reason="torch is not installed: pip install 'pgolf[probe]'")
    pytest.importorskip("sentencepiece", reason="sentencepiece is not installed: pip install 'pgolf[probe]'")
    found = availability()
    if isinstance(found, Unavailable):
        pytest.skip(f"no sandbox: {found.reason}; {found.remedy}")


def run(folder: Path, **env: str) -> Smoke:
    return smoke(open_target(str(folder), mirror=None, repo="a/b"), env)


def parameters(vocab: int, dim: int, layers: int) -> int:
    return vocab * dim + layers * (4 * dim * dim + dim)


def test_settings_from_the_environment(sandbox: None, submit: Submit) -> None:
    found = run(submit(scripts.PLAIN), NUM_LAYERS="4")
    assert (found.status, found.reason, found.fault) == ("pass", None, None)
    assert (found.dim, found.layers, found.vocab, found.params) == (32, 4, 512, parameters(512, 32, 4))
    assert found.code_bytes == len(scripts.PLAIN.encode())
    assert found.env["NUM_LAYERS"] == "4" and found.env["TRAIN_SEQ_LEN"] == "128"
    assert found.sandbox is not None and found.sandbox.status == "OK" and found.sandbox.max_rss_mb > 50
    assert found.exit_code is ExitCode.CLEAN
    report = json.loads(dumps(Report(Target(path="x"), ScriptInfo(), Claims(), "clean", "x", smoke=found.data())))
    jsonschema.validate(report, schema())


def test_kernels_literals_other_paths_and_a_sibling(sandbox: None, submit: Submit) -> None:
    found = run(submit("\ufeff" + scripts.KERNELS, helpers__py="WIDTH = 24\n"))
    assert (found.status, found.reason) == ("pass", None)
    assert (found.dim, found.layers, found.vocab, found.params) == (24, 2, 512, parameters(512, 24, 2))


def test_options_in_a_packed_script(sandbox: None, submit: Submit) -> None:
    packed = base64.b85encode(zlib.compress(scripts.ARGPARSE.encode())).decode()
    found = run(submit(f"import zlib,base64\nexec(zlib.decompress(base64.b85decode({packed!r})))\n"), VOCAB_SIZE="512")
    assert (found.status, found.reason) == ("pass", None)
    assert found.params == parameters(512, 16, 1)


@pytest.mark.parametrize(
    ("script", "fault", "reason"),
    [
        (scripts.BROKEN, "script", "NameError: name 'modell' is not defined (train_gpt.py:"),
        (scripts.ABSENT, "environment", "the package 'mamba_ssm' is not installed (train_gpt.py:"),
        (scripts.UNSUPPORTED, "runtime", "CUDAGraph"),
        (scripts.NO_STEP, "script", "no training step"),
    ],
    ids=["broken", "absent package", "unsupported", "no step"],
)
def test_failures_have_a_fault_and_a_place(sandbox: None, submit: Submit, script: str, fault: str, reason: str) -> None:
    found = run(submit(script))
    assert (found.status, found.fault) == ("fail", fault)
    assert reason in (found.reason or "")
    assert found.exit_code is (ExitCode.FLAG if fault == "script" else ExitCode.HOLD)


def ran(**result: object) -> Ran[SmokeResult]:
    """A run with that result, or without any."""
    step = Step(**{name: result.pop(name) for name in ("forward", "backward", "loss")}, params=5)  # type: ignore[arg-type]
    found = SmokeResult(**{"fault": None, "reason": None, **result}, import_s=0.0, stubbed=[], taps=Taps(step))  # type: ignore[arg-type]
    return Ran(Outcome(Status.OK), found)


PASSED = ran(ended="stopped", forward=True, backward=True, loss=6.9)
NOT_FINITE = ran(ended="stopped", forward=True, backward=True, loss=None)
SHAPES = ran(ended="raised", fault="script", reason="RuntimeError: shapes", forward=True, backward=False, loss=None)
NAME = ran(ended="raised", fault="script", reason="NameError: x", forward=False, backward=False, loss=None)
MISSING = ran(ended="raised", fault="environment", reason="no scipy", forward=False, backward=False, loss=None)
NOTHING = ran(ended="returned", forward=False, backward=False, loss=None)
TOO_LONG: Ran[SmokeResult] = Ran(Outcome(Status.TO, reason="time"), None, "time")


@pytest.mark.parametrize(
    ("first", "second", "status", "fault", "runs"),
    [
        (PASSED, None, "pass", None, 1),
        (SHAPES, PASSED, "pass", None, 2),
        (NOT_FINITE, PASSED, "pass", None, 2),
        (SHAPES, SHAPES, "fail", "script", 2),
        (NOT_FINITE, NOT_FINITE, "fail", "script", 2),
        (SHAPES, TOO_LONG, "fail", "runtime", 2),
        (SHAPES, MISSING, "fail", "runtime", 2),
        (NAME, None, "fail", "script", 1),
        (MISSING, None, "fail", "environment", 1),
        (NOTHING, None, "fail", "script", 1),
        (TOO_LONG, None, "fail", "runtime", 1),
    ],
)
def test_a_script_is_blamed_when_longer_sequences_fail_too(
    submit: Submit, monkeypatch: pytest.MonkeyPatch, first: Ran[SmokeResult], second: Ran[SmokeResult] | None,
    status: str, fault: str | None, runs: int,
) -> None:  # fmt: skip
    queue = [first, second]
    monkeypatch.setattr(smoke_module, "attempt", lambda *args: (queue.pop(0), {}))
    found = run(submit(scripts.PLAIN))
    assert (found.status, found.fault, 2 - len(queue)) == (status, fault, runs)


def test_an_import_without_end_is_ended(sandbox: None, submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke_module, "LIMITS", replace(smoke_module.LIMITS, cpu_s=4.0))
    found = run(submit(scripts.ENDLESS))
    assert (found.status, found.fault) == ("fail", "runtime")
    assert (found.reason or "").replace(":1 ", ":LINE ").replace(
        ":2 ", ":LINE "
    ) == "its time ran out (train_gpt.py:LINE in <module>)"


@pytest.mark.parametrize(
    ("script", "fault", "reason"),
    [
        (scripts.UNREADABLE, "script", "SyntaxError: invalid syntax (train_gpt.py:1)"),
        (f"x = {'-' * 3000}1\n", "runtime", "its source is nested too deeply to be prepared"),
    ],
    ids=["no Python", "nested"],
)
def test_a_script_that_cannot_be_read_fails_without_being_run(
    submit: Submit, script: str, fault: str, reason: str
) -> None:
    pytest.importorskip("sentencepiece", reason="sentencepiece is not installed: pip install 'pgolf[probe]'")
    folder = submit(scripts.PLAIN)
    submission = replace(open_target(str(folder), mirror=None, repo="a/b"), code=script.encode())
    found = smoke(submission, {})
    assert (found.status, found.fault, found.reason) == ("fail", fault, reason)


def test_without_a_sandbox_nothing_is_run(submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise NoSandbox("no sandbox: bubblewrap is not installed; type: sudo apt-get install bubblewrap")

    monkeypatch.setattr(smoke_module, "attempt", refuse)
    folder = submit(scripts.PLAIN)
    result = CliRunner().invoke(cli.app, ["smoke", str(folder), "--format", "json"])
    assert result.exit_code == ExitCode.USAGE
    assert json.loads(result.stdout)["status"] == "skipped"
    assert result.stderr.count("\n") == 1 and "type: sudo apt-get install bubblewrap" in result.stderr
    audit = CliRunner().invoke(cli.app, ["audit", str(folder), "--smoke", "--format", "json"])
    report = json.loads(audit.stdout)
    assert report["smoke"]["reason"].startswith("no sandbox")
    jsonschema.validate(report, schema())
    assert audit.exit_code != ExitCode.USAGE


@pytest.mark.parametrize(
    ("found", "code", "line"),
    [
        (Smoke("pass", None, None, 0.04, 512, 11, 1024, 26_993_756, 94_098), 0,
         "PASS: import OK in 0.04s, dim=512, layers=11, vocab=1024, params=26,993,756, code=94098 B"),
        (Smoke("pass", None, None, None, None, 11, None, 5, 7), 0, "PASS: import OK, layers=11, params=5, code=7 B"),
        (Smoke("fail", "NameError: x", "script", code_bytes=5), 1, "FAIL: the script itself fails: NameError: x"),
        (Smoke("fail", "no scipy", "environment"), 3, "FAIL: something is missing here: no scipy"),
        (Smoke("fail", "graphs", "runtime"), 3, "FAIL: a CPU cannot run this: graphs"),
    ],
)  # fmt: skip
def test_the_command_prints_one_line_and_exits_by_the_outcome(
    submit: Submit, monkeypatch: pytest.MonkeyPatch, found: Smoke, code: int, line: str
) -> None:
    monkeypatch.setattr(smoke_module, "smoke", lambda submission, env: found)
    result = CliRunner().invoke(cli.app, ["smoke", str(submit(scripts.PLAIN))])
    assert result.exit_code == code
    assert line in result.stdout


def test_a_submission_without_a_script_is_skipped(tmp_path: Path) -> None:
    with pytest.raises(PgolfError):
        read_program(replace(open_target(str(cli.__file__), mirror=None, repo="a/b"), script=None), {})


def test_which_settings_reach_the_script() -> None:
    text = 'os.environ.get("DEPTH", 9), os.environ["RANK"], os.environ.get("DATA_PATH"), env("NAME", "x")'
    assert is_setting(text, "DEPTH", "eleven", "command")
    assert is_setting(text, "DEPTH", "11", "log:train.log")
    assert not is_setting(text, "DEPTH", "[1, 2]", "log:train.log")
    assert is_setting(text, "NAME", "y", "command") and not is_setting(text, "NAME", "0", "log:train.log")
    assert not is_setting(text, "LD_PRELOAD", "x.so", "command")
    assert not any(is_setting(text, name, "1", "command") for name in ("RANK", *PLACES))


@pytest.mark.parametrize("path", ["../x.py", "/etc/passwd", "a/../../x", "", "a\0b"])
def test_a_path_that_leaves_the_folder_is_not_written(path: str) -> None:
    assert not is_plain(path)
    assert is_plain("a/b.py")
