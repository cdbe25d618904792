"""The Action itself: from its inputs to its outputs."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from auditor.cli.action import act, fenced, inputs
from auditor.github.draft import loads
from auditor.report.tool import RULESET
from auditor.verdict import ExitCode, PgolfError
from tests.action.examples import ROOT
from tests.action.test_steps import outputs
from tests.github.conftest import HEAD, NEXT, SECRET
from tests.github.fake import Fault, GitHub, serving
from tests.watch.conftest import files_of

DEMO = ROOT / "auditor" / "demo" / "submissions"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "INPUT_FAIL_ON": "flag",
        "INPUT_FORMAT": "github",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "GITHUB_REPOSITORY": "golf/course",
    }


def acted(environment: dict[str, str], **more: str) -> tuple[ExitCode, str, dict[str, str]]:
    """Exit code, what was printed, outputs."""
    Path(environment["GITHUB_OUTPUT"]).unlink(missing_ok=True)
    out = io.StringIO()
    code = act({**environment, **more}, out)
    return code, out.getvalue(), outputs(Path(environment["GITHUB_OUTPUT"]))


def test_the_worst_verdict_and_all_files(environment: dict[str, str]) -> None:
    code, shown, found = acted(environment, INPUT_PATHS=f"{DEMO / 'ngram_cache'}\n\n  {DEMO / 'chunked_sgd'}\n")
    assert code == ExitCode.FLAG
    assert found["verdict"] == "flag" and json.loads(found["counts"]) == {"flag": 1, "error": 0, "hold": 0, "clean": 1}
    assert [json.loads(line)["verdict"] for line in Path(found["report-path"]).read_text().splitlines()] == [
        "flag",
        "clean",
    ]
    assert json.loads(Path(found["sarif-path"]).read_text())["version"] == "2.1.0"
    assert found["draft-path"] == ""
    assert shown.startswith("::error file=")
    assert "ngram-target-in-key" in Path(environment["GITHUB_STEP_SUMMARY"]).read_text()


@pytest.mark.parametrize("path", ["records/t/n", "records/t/n/train_gpt.py", "./records/../records/t/n/"])
def test_files_are_named_as_the_repository_has_them(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    shutil.copytree(DEMO / "ngram_cache", tmp_path / "records" / "t" / "n")
    monkeypatch.chdir(tmp_path)
    _, shown, found = acted(environment, INPUT_PATHS=path)
    report = json.loads(Path(found["report-path"]).read_text())
    for file in [report["submission"]["script"], *(each["file"] for each in report["findings"])]:
        assert (tmp_path / file).is_file(), file
    assert "::error file=records/t/n/train_gpt.py,line=" in shown


@pytest.mark.parametrize(
    "fail_on, folder, code",
    [
        ("flag", "ngram_cache", ExitCode.FLAG),
        ("hold", "ngram_cache", ExitCode.FLAG),
        ("never", "ngram_cache", ExitCode.CLEAN),
        ("flag", "chunked_sgd", ExitCode.CLEAN),
        ("hold", "chunked_sgd", ExitCode.CLEAN),
        ("flag", "absent", ExitCode.USAGE),
        ("never", "absent", ExitCode.CLEAN),
        ("flag", "held", ExitCode.CLEAN),
        ("hold", "held", ExitCode.HOLD),
    ],
)
def test_what_fails_the_step(
    environment: dict[str, str], tmp_path: Path, fail_on: str, folder: str, code: ExitCode
) -> None:
    (tmp_path / "held").mkdir()
    (tmp_path / "held" / "train_gpt.py").write_text("x = (\n")
    path = tmp_path / "held" if folder == "held" else DEMO / folder
    found = acted(environment, INPUT_PATHS=str(path), INPUT_FAIL_ON=fail_on)
    assert found[0] == code
    if folder == "absent":
        assert found[2]["verdict"] == "error"


@pytest.mark.parametrize(
    "name, value", [("RULESET", "1999-01-01"), ("FAIL_ON", "always"), ("FAIL_ON", ""), ("FORMAT", "pdf")]
)
def test_a_wrong_input_is_one_line(environment: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(PgolfError) as caught:
        inputs({**environment, f"INPUT_{name}": value})
    assert "\n" not in str(caught.value)


def test_the_rule_set_that_is_expected_is_taken(environment: dict[str, str]) -> None:
    assert inputs({**environment, "INPUT_RULESET": RULESET}).targets == ["."]


def test_foreign_lines_are_no_commands(environment: dict[str, str]) -> None:
    shown = fenced("::error::forged\n##[error]forged").splitlines()
    end = shown[0].removeprefix("::stop-commands::")
    assert len(end) == 32 and shown[-1] == f"::{end}::"
    _, printed, _ = acted(environment, INPUT_PATHS=str(DEMO / "ngram_cache"), INPUT_FORMAT="text")
    assert printed.startswith("::stop-commands::")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    hub = GitHub()
    hub.tokens = {SECRET}
    hub.pull(7, HEAD, files_of("ngram_cache"))
    hub.pull(8, NEXT, {"README.md": b"a typo\n"})
    with serving(hub) as url:
        monkeypatch.setenv("GITHUB_API_URL", url)
        monkeypatch.setenv("GITHUB_TOKEN", SECRET)
        yield hub


def test_the_pull_request_of_the_event_and_its_draft(hub: GitHub, environment: dict[str, str]) -> None:
    code, _, found = acted(environment, PULL_NUMBER="7", INPUT_HEAD=HEAD)
    draft = loads(Path(found["draft-path"]).read_text())
    assert code == ExitCode.FLAG and (draft.pr, draft.head, draft.verdict) == (7, HEAD, "flag")
    for path in Path(environment["RUNNER_TEMP"]).rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()


def test_another_head_than_the_one_of_the_event_gets_no_review(hub: GitHub, environment: dict[str, str]) -> None:
    code, _, found = acted(environment, PULL_NUMBER="7", INPUT_HEAD=NEXT, INPUT_FAIL_ON="never")
    assert code == ExitCode.CLEAN and found["verdict"] == "error" and found["draft-path"] == ""


def test_a_github_that_does_not_answer_fails_the_step(hub: GitHub, environment: dict[str, str]) -> None:
    hub.faults = [Fault(path="pulls/7$", status=502)]
    code, _, found = acted(environment, PULL_NUMBER="7", INPUT_FAIL_ON="never")
    assert code == ExitCode.USAGE and found["verdict"] == "error" and found["draft-path"] == ""


def test_a_pull_request_without_a_submission_gets_no_review(hub: GitHub, environment: dict[str, str]) -> None:
    _, _, found = acted(environment, PULL_NUMBER="8", INPUT_FAIL_ON="never")
    assert found["verdict"] == "hold" and found["draft-path"] == ""


def test_what_lies_in_the_working_directory_is_not_imported(environment: dict[str, str], tmp_path: Path) -> None:
    """The step of action.yml itself, in a folder whose modules have the names of ours and of what we import."""
    work = tmp_path / "work"
    for name in ("auditor", "rules", "rich", "typer", "github", "json", "libcst"):
        (work / name).mkdir(parents=True)
        (work / name / "__init__.py").write_text("raise SystemExit('a foreign module was imported')")
    (work / "sitecustomize.py").write_text("raise SystemExit('a foreign module was imported')")
    (step,) = [s for s in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"] if s["name"] == "Audit"]
    variables = {
        **environment,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),  # stands in for the installation
        "PGOLF": str(Path(sys.executable).parent / "pgolf"),
        "INPUT_PATHS": str(DEMO / "chunked_sgd"),
    }
    done = subprocess.run(["bash", "-eo", "pipefail", "-c", step["run"]], cwd=work, env=variables, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert outputs(Path(environment["GITHUB_OUTPUT"]))["verdict"] == "clean"


def test_installing_reads_nothing_from_the_working_directory(tmp_path: Path) -> None:
    script = (ROOT / ".github" / "actions" / "setup" / "install.sh").read_text()
    calls = [line for line in script.splitlines() if "python" in line and not line.startswith(("#", "printf"))]
    assert calls and all(" -I " in line for line in calls)
    assert "--require-hashes --only-binary :all:" in script
