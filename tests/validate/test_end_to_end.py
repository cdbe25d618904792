"""The whole way on a CPU: three seeds of a submission of ours, and everything that can be wrong with one."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from auditor.cli import app
from auditor.sandbox import Unavailable, availability
from auditor.validate.outcome import schema_text
from tests.validate.submissions import FAILS, OVER_CAP, SLOW, claim, submission

TOY = ("--device", "cpu", "--toy", "--format", "json")
SEEDS = (1337, 42, 2024)


@pytest.fixture(autouse=True, scope="module")
def runnable() -> None:
    found = availability()
    if isinstance(found, Unavailable):
        pytest.skip(f"no sandbox: {found.reason}; {found.remedy}")
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")


def validate(folder: Path, out: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit code and validation.json."""
    result = CliRunner().invoke(app, ["validate", str(folder), "--out", str(out), *TOY, *options])
    assert result.exit_code in (0, 1, 3), result.output
    data: dict[str, Any] = json.loads(result.stdout)
    jsonschema.validate(data, json.loads(schema_text()))
    assert data == json.loads((out / "validation.json").read_text())
    return result.exit_code, data


def found(data: Mapping[str, Any], status: str) -> dict[tuple[int | None, str], dict[str, Any]]:
    """Rows of one status, by seed and quantity."""
    return {(row["seed"], row["quantity"]): row for row in data["rows"] if row["status"] == status}


def changed(out: Path) -> dict[str, int]:
    """When each seed's result was written."""
    return {path.name: path.stat().st_mtime_ns for path in out.glob("seed-*.json")}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A submission that was validated once before it claims anything, and that validation, killed after one seed."""
    root = tmp_path_factory.mktemp("sound")
    folder, out = submission(root / "sound"), root / "out"
    words = [sys.executable, "-m", "auditor.cli", "validate", str(folder), "--out", str(out), *TOY]
    words += ["--seeds", ",".join(map(str, SEEDS))]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"COLUMNS": "80"}
    ) as it:
        first = out / "seed-1337.json"
        for _ in range(1200):
            if first.exists() or it.poll() is not None:
                break
            time.sleep(0.05)
        it.send_signal(signal.SIGKILL)
    assert it.returncode == -signal.SIGKILL
    assert changed(out).keys() == {"seed-1337.json"}
    return folder, out


def test_three_seeds_pass_though_the_first_call_was_killed(sound: tuple[Path, Path]) -> None:
    folder, out = sound
    before = changed(out)
    code, data = validate(folder, out, "--seeds", ",".join(map(str, SEEDS)))
    assert (code, data["verdict"]) == (3, "undecided")  # it claims nothing yet
    assert [run["seed"] for run in data["runs"]] == list(SEEDS)
    assert {run["ended"] for run in data["runs"]} == {"finished"}
    assert changed(out)["seed-1337.json"] == before["seed-1337.json"]

    scores = {run["seed"]: run["val_bpb"] for run in data["runs"]}
    sizes = [run["code_bytes"] + run["weights_bytes"] for run in data["runs"]]
    assert sizes == [run["said_bytes"] for run in data["runs"]]
    assert len(set(scores.values())) == 3
    claim(folder, scores, max(sizes))
    before = changed(out)
    code, data = validate(folder, out)  # the seeds are those that are claimed now
    assert (code, data["verdict"]) == (0, "reproduced")
    assert changed(out) == before
    for seed in SEEDS:
        for quantity in ("run", "val_bpb", "byte cap", "training budget", "evaluation budget", "steps"):
            assert (seed, quantity) in found(data, "reproduced")
    assert (None, "mean val_bpb") in found(data, "reproduced")

    lying = submission(folder.parent / "lying")
    claim(lying, {seed: score - (0.02 if seed == 42 else 0.0) for seed, score in scores.items()}, max(sizes) // 2)
    code, data = validate(lying, out)
    assert (code, data["verdict"]) == (1, "contradicted")
    assert found(data, "contradicted").keys() == {
        (42, "val_bpb"), (None, "mean val_bpb"), *((seed, "artifact bytes") for seed in SEEDS)
    }  # fmt: skip
    assert changed(out) == before


def test_one_over_the_byte_cap_is_found_though_it_prints_less(tmp_path: Path) -> None:
    code, data = validate(submission(tmp_path / "large", OVER_CAP), tmp_path / "out", "--seeds", "1337")
    assert code == 1
    cap, printed = (found(data, "contradicted")[1337, quantity] for quantity in ("byte cap", "printed bytes"))
    assert cap["measured"] > 16_000_000 == cap["claimed"]
    assert printed["measured"] == printed["claimed"] + 10**6


def test_one_that_evaluates_too_long_is_ended(tmp_path: Path) -> None:
    folder = submission(tmp_path / "slow", SLOW)
    code, data = validate(folder, tmp_path / "out", "--seeds", "1337", "--budget", "1")
    assert code == 1
    rows = found(data, "contradicted")
    assert "evaluation: ended after" in rows[1337, "run"]["note"]
    assert 1.0 < rows[1337, "evaluation budget"]["measured"] < 20


def test_a_seed_that_fails_loses_no_other_and_is_tried_again(tmp_path: Path) -> None:
    folder, out = submission(tmp_path / "fails", FAILS), tmp_path / "out"
    code, data = validate(folder, out, "--seeds", "1337,42,2024")
    assert code == 1
    assert [run["ended"] for run in data["runs"]] == ["finished", "failed", "finished"]
    [(_, row)] = found(data, "contradicted").items()
    assert (row["seed"], row["quantity"]) == (42, "run")
    assert row["note"].startswith("AssertionError: the loss is not finite (train_gpt.py:")
    before = changed(out)
    assert validate(folder, out, "--seeds", "1337,42,2024")[0] == 1
    assert {name for name, when in changed(out).items() if when != before[name]} == {"seed-42.json"}
