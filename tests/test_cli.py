"""The command line: exit codes, bad input, output that is whole or absent."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from auditor import cli
from auditor.cli import auditing
from auditor.cli.steps import settings_from
from auditor.demo import MINIATURES
from auditor.verdict import Claims, Outcome, PgolfError, Report, ScriptInfo, Target

ROOT = Path(__file__).parent.parent
LEGAL, ILLEGAL = (str(next(m.folder for m in MINIATURES if m.verdict == verdict)) for verdict in ("clean", "flag"))
OPAQUE = "import sys\nexec(''.join(chr(int(c) ^ len(sys.argv)) for c in open('weights.txt').read().split()))\n"


def pgolf(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def one_line_on_stderr(result: Result) -> str:
    assert result.stderr.startswith("pgolf: ")
    assert result.stderr.count("\n") == 1
    assert result.stderr.isprintable() or result.stderr[:-1].isprintable()
    return result.stderr


def report(verdict: Outcome) -> Report:
    return Report(Target(path="x"), ScriptInfo(), Claims(), verdict, "made-for-a-test")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes | str], Path]:
    """Make a script with the given content."""
    numbers = itertools.count()

    def make(content: bytes | str) -> Path:
        folder = tmp_path / f"submission_{next(numbers)}"
        folder.mkdir()
        path = folder / "train_gpt.py"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets named after a verdict get that verdict; `unreadable` and `defect` fail as their names say."""

    def audit_one(target: str, **_: object) -> Report:
        if target == "unreadable":
            raise PgolfError("there is nothing to read")
        if target == "defect":
            raise RuntimeError("a bug of ours")
        return report(target)  # type: ignore[arg-type]

    monkeypatch.setattr(auditing, "audit_one", audit_one)


# The documented rows, on real input where real input can lead there.


def test_exit_0_when_nothing_is_found() -> None:
    assert pgolf("audit", LEGAL).exit_code == 0


def test_exit_1_when_something_is_flagged() -> None:
    assert pgolf("audit", ILLEGAL).exit_code == 1


def test_exit_2_on_input_that_cannot_be_read(tmp_path: Path) -> None:
    result = pgolf("audit", tmp_path / "absent.py")
    assert result.exit_code == 2
    assert "absent.py" in one_line_on_stderr(result)


def test_exit_2_on_wrong_usage() -> None:
    assert pgolf("audit").exit_code == 2
    assert pgolf("audit", ".", "--no-such-option").exit_code == 2
    assert pgolf("no-such-command").exit_code == 2


def test_exit_3_when_undecided(write: Callable[[str], Path]) -> None:
    assert pgolf("audit", write(OPAQUE)).exit_code == 3


def test_exit_4_on_a_defect_of_pgolf_with_one_line_that_names_the_target(verdicts: None) -> None:
    result = pgolf("audit", "defect")
    assert result.exit_code == 4
    line = one_line_on_stderr(result)
    assert "defect" in line
    assert "RuntimeError: a bug of ours" in line
    assert "PGOLF_DEBUG=1" in line


def test_a_run_out_of_memory_is_one_line_and_not_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> Report:
        raise MemoryError

    monkeypatch.setattr("auditor.engine.audit", exhausted)
    result = pgolf("audit", LEGAL)
    assert result.exit_code == 2
    assert "MB" in one_line_on_stderr(result)


def test_the_command_limits_its_memory() -> None:
    code = "from auditor.cli import limit_memory\nlimit_memory()\nx = bytearray(3 << 30)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "MemoryError"


def test_the_traceback_of_a_defect_is_shown_on_request(verdicts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOLF_DEBUG", "1")
    assert "Traceback (most recent call last)" in pgolf("audit", "defect").stderr


@pytest.mark.parametrize(
    ("targets", "code"),
    [
        (["clean", "clean"], 0),
        (["clean", "hold"], 3),
        (["hold", "flag"], 1),
        (["flag", "hold"], 1),
        (["flag", "unreadable", "clean"], 2),
        (["unreadable", "defect", "flag"], 4),
    ],
)
def test_with_several_targets_the_most_severe_code_wins(verdicts: None, targets: list[str], code: int) -> None:
    assert pgolf("audit", *targets).exit_code == code


def test_an_unreadable_target_does_not_stop_the_others_and_is_in_the_json(verdicts: None) -> None:
    result = pgolf("audit", "clean", "unreadable", "defect", "flag", "--format", "json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["verdict"] for each in found] == ["clean", "error", "error", "flag"]
    assert "nothing to read" in found[1]["findings"][0]["message"]
    assert "a bug of ours" in found[2]["findings"][0]["message"]


# Wrong targets and settings; bad content is in test_bad_input.


@pytest.mark.parametrize("target", ["999999999999", "0", "-5", "https://example.com/pull/1", "a\x00b", "x" * 5000, ""])
def test_a_target_that_names_nothing_is_one_clear_line(target: str, tmp_path: Path) -> None:
    result = pgolf("audit", "--mirror", tmp_path, "--", target)
    assert result.exit_code == 2
    one_line_on_stderr(result)


def test_terminal_escapes_in_a_target_do_not_reach_the_terminal() -> None:
    result = pgolf("audit", "\x1b[2J\x1b]0;owned\x07\u202egpj.py")
    assert result.exit_code == 2
    assert "\x1b" not in one_line_on_stderr(result)
    assert "\u202e" not in result.stderr


@pytest.mark.parametrize("pair", ["TTT_ENABLED", "=1", " =1", ""])
def test_a_malformed_setting_is_named_with_an_example(pair: str) -> None:
    result = pgolf("audit", LEGAL, "--env", pair)
    assert result.exit_code == 2
    assert "KEY=VALUE" in one_line_on_stderr(result)


def test_a_setting_may_hold_equals_signs_and_nothing() -> None:
    assert settings_from(["A=b=c", "B="]) == {"A": "b=c", "B": ""}


def test_settings_decide_what_ran() -> None:
    illegal_off = pgolf("audit", ILLEGAL, "--env", "TTT_ENABLED=0")
    assert illegal_off.exit_code == 0, illegal_off.stdout


def test_an_unknown_format_is_wrong_usage() -> None:
    result = pgolf("audit", LEGAL, "--format", "yaml")
    assert result.exit_code == 2
    assert "json" in result.stderr


def test_an_unknown_rule_gets_the_nearest_one() -> None:
    result = pgolf("explain", "val-tokens-ttt")
    assert result.exit_code == 2
    assert "pgolf explain val-token-ttt" in one_line_on_stderr(result)


def test_a_rule_that_is_like_no_other_gets_the_list() -> None:
    assert "pgolf rules" in one_line_on_stderr(pgolf("explain", "zzzzzz"))


# Output: whole or absent.


def test_output_goes_to_the_file_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    result = pgolf("audit", LEGAL, "--format", "json", "--output", path)
    assert result.stdout == ""
    assert json.loads(path.read_text())["verdict"] == "clean"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_output_directory_is_found_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "audit_one", lambda *_, **__: pytest.fail("audited before looking at --output"))
    result = pgolf("audit", LEGAL, "--output", tmp_path / "absent" / "report.txt")
    assert result.exit_code == 2
    assert "mkdir -p" in one_line_on_stderr(result)


def test_an_output_that_is_a_directory_is_refused(tmp_path: Path) -> None:
    assert "is a directory" in one_line_on_stderr(pgolf("audit", LEGAL, "--output", tmp_path))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    result = pgolf("audit", LEGAL, "--output", path)
    assert result.exit_code == 2
    assert "No space left on device" in one_line_on_stderr(result)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_input_gives_the_same_json_but_for_timings() -> None:
    first, second = (json.loads(pgolf("audit", ILLEGAL, "--format", "json").stdout) for _ in range(2))
    assert first.pop("timings_ms")
    second.pop("timings_ms")
    assert first == second


@pytest.mark.parametrize(
    ("choice", "no_color", "colored"),
    [("always", "", True), ("always", "1", True), ("never", "", False), ("auto", "1", False)],
)
def test_colour_follows_the_option_then_the_environment(
    choice: str, no_color: str, colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    assert ("\x1b[" in pgolf("audit", LEGAL, "--color", choice).stdout) is colored


@pytest.mark.parametrize("format", ["text", "json", "sarif", "github", "markdown"])
def test_every_format_renders(format: str) -> None:
    result = pgolf("audit", ILLEGAL, "--format", format)
    assert result.exit_code == 1
    assert "val-token-ttt" in result.stdout


# The other commands.


def test_the_timeline_shows_scoring_and_update_with_their_lines() -> None:
    rows = pgolf("timeline", LEGAL).stdout.splitlines()
    assert rows
    assert all(re.match(r"L\d+ ", row) for row in rows)


def test_rules_lists_ids_and_explain_takes_each() -> None:
    listed = json.loads(pgolf("rules", "--format", "json").stdout)
    assert listed
    for rule in listed:
        assert pgolf("explain", rule["id"]).exit_code == 0


def test_schema_is_json() -> None:
    assert "pgolf.report/1" in json.dumps(json.loads(pgolf("schema").stdout))


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"pgolf \d+\S*\n", pgolf("--version").stdout)


# Processes: what only a real one shows.


def command(code: str = "from auditor.cli import main; main()") -> list[str]:
    return [sys.executable, "-c", code]


def test_help_does_not_load_the_analysis_or_the_network_stack() -> None:
    code = "import sys\nfrom auditor.cli import app\nprint(sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run(command(code), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"rich", "github", "requests", "libcst", "brotli", "rules"} & set(eval(loaded))


def test_a_reader_that_leaves_early_is_no_error() -> None:
    process = subprocess.Popen([*command(), "audit", ILLEGAL], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr
    assert process.stderr.read() == b""
    process.stderr.close()


def test_an_interrupt_exits_with_130_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    code = (
        "import time; from auditor import cli; from auditor.cli import auditing\n"
        "auditing.audit_one = lambda *a, **k: (print('busy', flush=True), time.sleep(60))\n"
        "cli.main()"
    )
    process = subprocess.Popen(
        [*command(code), "audit", ".", "--output", str(path)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    assert process.stdout.readline() == b"busy\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in complaint
    assert list(tmp_path.iterdir()) == []
