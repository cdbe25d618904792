"""Calibration moves to training tokens, read by the script's own reader."""

from __future__ import annotations

import pytest

from rules.calibration.val_calibration import ValCalibration
from tests.fix.offers import code_of, offered

VAL = next(example.code for example in ValCalibration.examples if example.fires)
LOOP = VAL.replace(
    "    stats = collect(model, val, s)\n",
    """    stats = {}
    for start in range(0, 8 * s.seq_len, s.seq_len):
        part = val[start:start + s.seq_len]
        with torch.no_grad():
            hidden = model.embed(part)
        for name in model.state_dict():
            stats[name] = stats.get(name, 1.0) + hidden.square().mean().item()
""",
)


def test_the_statistic_is_taken_from_the_first_training_shard() -> None:
    found = offered(VAL)
    assert found is not None and found.cls == "pure-neural"
    assert found.steps == ("calibrate on training tokens at line 76",)
    assert "    calibration_tokens = read_shards(sorted(glob.glob(s.train_files))[0])\n" in code_of(found)
    assert "collect(model, calibration_tokens, s)" in code_of(found)
    assert "return plain_eval(s, model, val)" in code_of(found)


def test_the_shard_is_read_once_before_the_loop() -> None:
    found = offered(LOOP)
    assert found is not None
    body = code_of(found).partition("def evaluate")[2]
    assert body.index("calibration_tokens = read_shards") < body.index("for start in range")
    assert "part = calibration_tokens[start:start + s.seq_len]" in body


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fineweb_train_*.bin", "*.bin"),  # which files are for training is not said
        ("import glob, math, os", "import math, os\nfrom glob import glob as find"),
        ("def evaluate(s, model, val)", "def evaluate(settings, model, val)"),  # nothing to find them with in scope
    ],
)
def test_without_training_files_at_hand_it_is_not_offered(old: str, new: str) -> None:
    code = VAL.replace(old, new).replace("glob.glob(", "find(" if "find" in new else "glob.glob(")
    if "settings" in new:
        head, _, tail = code.partition("def evaluate")
        code = (
            head
            + "def evaluate"
            + tail.replace("val, s)", "val, settings)").replace("plain_eval(s,", "plain_eval(settings,")
        )
    found = offered(code)
    assert found is None or "training tokens" not in found.steps[0]
