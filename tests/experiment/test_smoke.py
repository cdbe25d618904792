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
from auditor.experiment.smoke import Smoke, smoke
from auditor.experiment.stage import PLACES, is_plain, is_setting, read_program
from auditor.report.as_json import dumps
from auditor.report.schema import schema
from auditor.sandbox import NoSandbox, Unavailable, availability
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


def test_an_import_without_end_is_ended(sandbox: None, submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke_module, "LIMITS", replace(smoke_module.LIMITS, cpu_s=8.0))
    found = run(submit(scripts.ENDLESS))
    assert (found.status, found.sandbox and found.sandbox.status) == ("fail", "TO")
    assert "processor time" in (found.reason or "")


def test_a_script_that_is_no_python_fails_without_being_run(submit: Submit) -> None:
    folder = submit(scripts.PLAIN)
    submission = replace(open_target(str(folder), mirror=None, repo="a/b"), code=scripts.UNREADABLE.encode())
    found = smoke(submission, {})
    assert (found.status, found.fault) == ("fail", "script")
    assert (found.reason or "").startswith("SyntaxError")


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
    text = 'os.environ.get("DEPTH"), os.environ["RANK"], os.environ.get("DATA_PATH"), env("NAME")'
    assert is_setting(text, "DEPTH", "eleven", "command")
    assert is_setting(text, "DEPTH", "11", "log:train.log")
    assert not is_setting(text, "NAME", "['a', 'b']", "log:train.log")
    assert not is_setting(text, "LD_PRELOAD", "x.so", "command")
    assert not any(is_setting(text, name, "1", "command") for name in ("RANK", *PLACES))


@pytest.mark.parametrize("path", ["../x.py", "/etc/passwd", "a/../../x", "", "a\0b"])
def test_a_path_that_leaves_the_folder_is_not_written(path: str) -> None:
    assert not is_plain(path)
    assert is_plain("a/b.py")
