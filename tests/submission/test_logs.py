"""Training logs: recognised, decoded, freed of the echoed source, and read for settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.submission import logs as module
from auditor.submission.logs import (
    claimed_first,
    decode,
    echo_lines,
    is_log_name,
    printed_settings,
    read_log,
    without_echo,
)
from auditor.submission.model import Log

SCRIPT = '''"""The trainer. val_bpb:9.9999 is what this docstring says."""
import os
import sys
import torch

# ----------------
# settings

def log(text):
    print(text)

class Model:
    def forward(self):
        return 1

def evaluate():
    log(f"final val_bpb:{1.5:.4f}")
    return "ttt_enabled:1"

def train():
    pass

def main():
    train()
    evaluate()

from math import log as ln
from functools import lru_cache
import json
import glob

if __name__ == "__main__":
    main()
'''
HEADER = "W0320 torch/distributed/run.py:803] hello\nlogs/1.txt\n"
BODY = "world_size:8 grad_accum_steps:1\nseed:1337\nstep:0/9 val_loss:6.9 val_bpb:4.1\n"
BODY += "step:9/9 val_loss:1.9 val_bpb:1.12\n"
RULE = "=" * 100


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f"{HEADER}{SCRIPT}\n{RULE}\nRunning Python 3.12\n{RULE}\n{BODY}", SCRIPT),
        (f"{HEADER}{SCRIPT}\n{RULE}\n{BODY}", ""),
        (f"{HEADER}{SCRIPT}{BODY}", SCRIPT),
        (f"{HEADER}{SCRIPT}{BODY}", ""),
        (f"{HEADER}\n{RULE}\n{SCRIPT}\n{RULE}\n{BODY}", SCRIPT),
        (f"{SCRIPT}\n{RULE}\n{BODY}{SCRIPT}\n{RULE}\nsecond:run\n", SCRIPT),
    ],
    ids=["usual", "source differs", "no separator", "no separator, source differs", "between separators", "two runs"],
)
def test_the_echoed_source_is_cut_and_the_run_is_kept(text: str, lines: str) -> None:
    kept = without_echo(text, echo_lines(lines))
    assert "def evaluate" not in kept
    assert "9.9999" not in kept
    assert "{1.5:.4f}" not in kept
    for line in BODY.splitlines():
        assert line in kept
    assert ("second:run" in kept) == ("second:run" in text)


def test_a_log_without_an_echo_is_untouched() -> None:
    assert without_echo(HEADER + BODY, echo_lines(SCRIPT)) == HEADER + BODY


def test_a_packed_echo_is_cut() -> None:
    packed = 'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("' + "x" * 20_000 + '")))\n'
    kept = without_echo(f"{packed}{RULE}\n{BODY}", ())
    assert "xxxx" not in kept
    assert "val_bpb:1.12" in kept


def test_a_separator_inside_the_source_does_not_loop() -> None:
    source = f"'''\n{RULE}\n'''\n" + SCRIPT
    kept = without_echo(f"{source}{RULE}\n{BODY}", echo_lines(source))
    assert "val_bpb:1.12" in kept
    assert "def evaluate" not in kept


def test_hyperparameters_that_are_dumped_line_by_line() -> None:
    text = "Hyperparameters:\n  beta1: 0.9\n  datasets_dir: /data/with space\n  ttt_enabled: True\n"
    text += "  loops: [1, 2]\nval_tokens: 40540160\n"
    config = printed_settings(text)
    assert config["beta1"] == "0.9"
    assert config["datasets_dir"] == "/data/with space"
    assert config["ttt_enabled"] == "True"
    assert config["loops"] == "[1, 2]"
    assert config["val_tokens"] == "40540160"


def test_several_settings_on_one_line_in_either_spelling() -> None:
    config = printed_settings("tie_embeddings:True embed_lr:0.035\nalpha=0.4 name='x y' layers:[8, 9]\nMODE=fast\n")
    assert config == {
        "tie_embeddings": "True",
        "embed_lr": "0.035",
        "alpha": "0.4",
        "name": "x y",
        "layers": "[8, 9]",
        "MODE": "fast",
    }


def test_settings_of_a_part_are_known_by_its_name_too() -> None:
    config = printed_settings("cache: mode=on order=5\n")
    assert config["mode"] == config["cache_mode"] == "on"
    assert config["cache_order"] == "5"


def test_the_first_value_wins() -> None:
    assert printed_settings("seed:1\nseed:2\n")["seed"] == "1"


def test_after_the_first_step_only_announced_phases_count() -> None:
    text = (
        BODY
        + "ttt_sliding:start chunks=1893 ttt_lr=0.002 elapsed=3s\nnote lr:5\n"
        + "ngram_cache:enabled alpha=0.4\nfinal val_bpb:1.1\n"
    )
    config = printed_settings(text)
    assert config["world_size"] == "8"
    assert config["ttt_lr"] == "0.002"
    assert config["ngram_cache"] == "enabled"
    assert config["alpha"] == "0.4"
    assert not {"lr", "val_bpb", "val_loss", "elapsed"} & set(config)


def test_fused_lines_of_two_ranks_still_give_the_setting() -> None:
    fused = BODY + "ngram_cache:enabled alpha=0.4ngram_cache:enabled alpha=0.4\n"
    assert printed_settings(fused)["ngram_cache"] == "enabled"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train.log", True),
        ("logs/seed1.txt", True),
        ("run.out", True),
        ("requirements.txt", False),
        ("x/README.txt", False),
        ("final_model.ptz", False),
        ("train_gpt.py", False),
    ],
)
def test_names_of_logs(name: str, expected: bool) -> None:
    assert is_log_name(name) is expected


def test_a_text_file_without_training_output_is_no_log() -> None:
    assert read_log("notes2.txt", b"shopping list\n", ()) == (None, None)
    assert read_log("seed.txt", BODY.encode(), ())[0] is not None
    assert read_log("crash.log", b"Traceback\n", ())[0] is not None


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("é\n".encode("utf-16"), "é\n"),
        (b"\xef\xbb\xbfa\r\nb\rc", "a\nb\nc"),
        (b"a\0b\x1b[31mred\x1b[0m\x07", "abred"),
        (b"ok \xff\xfe end", "ok \ufffd\ufffd end"),
    ],
)
def test_hostile_bytes_become_plain_text(data: bytes, text: str) -> None:
    assert decode(data) == text


def test_a_long_log_keeps_its_head_and_its_tail_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LOG", 1000)
    monkeypatch.setattr(module, "_KEPT_HEAD", 600)
    monkeypatch.setattr(module, "_KEPT_TAIL", 400)
    log, note = read_log("a.log", b"seed:7\n" + b"filler line\n" * 500 + b"final val_bpb:1.1\n", ())
    assert log is not None
    assert log.config["seed"] == "7"
    assert "val_bpb:1.1" in log.text
    assert len(log.text) <= 1001
    assert note is not None
    assert "6,025 bytes" in note


@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_make_it_fail(data: bytes, with_echo: bool) -> None:
    log, _ = read_log("a.log", (SCRIPT.encode() if with_echo else b"") + data, echo_lines(SCRIPT))
    assert log is not None
    assert "\x1b" not in log.text
    assert "\0" not in log.text


@given(st.lists(st.sampled_from([*SCRIPT.splitlines(), *BODY.splitlines(), RULE, ""]), max_size=120))
def test_any_mixture_of_lines_ends_and_adds_nothing(lines: list[str]) -> None:
    kept = without_echo("\n".join(lines), echo_lines(SCRIPT))
    remaining = iter(lines)
    assert all(any(line == other for other in remaining) for line in kept.split("\n") if kept)


@pytest.mark.parametrize(
    "line", ["import os", RULE, "a:" * 900, "x=1 " * 400, "[" * 1900, "a=[" * 600, "from x import y"]
)
def test_many_hostile_lines_take_bounded_time(line: str) -> None:
    read_log("a.log", ((line + "\n") * (400_000 // len(line))).encode(), echo_lines(SCRIPT))


def test_a_log_that_ends_with_the_claimed_number_comes_first() -> None:
    plain = Log("a.log", "final val_bpb:1.1477", {})
    adapted = Log("b.log", "final val_bpb:1.1477\nadapted val_bpb:1.1160", {})
    assert claimed_first([plain, adapted], 1.116) == (adapted, plain)
    assert claimed_first([plain, adapted], 1.1477) == (plain, adapted)
    assert claimed_first([plain, adapted], 1.2) == (plain, adapted)
    assert claimed_first([plain, adapted], None) == (plain, adapted)


@pytest.mark.parametrize(
    "stamp", ["1776143355.743 ", "[12:03:59] ", "2026-04-01 12:03:59,120 ", "2026-04-01T12:03:59Z "]
)
def test_the_time_before_a_message_is_no_part_of_it(stamp: str) -> None:
    log, _ = read_log("a.log", f"{stamp}final val_bpb:1.1477\n{stamp}4832/20000 val_loss: 2.7711\n".encode(), ())
    assert log is not None
    assert log.text.splitlines() == ["final val_bpb:1.1477", "4832/20000 val_loss: 2.7711"]


def test_a_log_that_ends_with_the_claimed_score_of_a_seed_comes_first() -> None:
    old = Log("a.log", "prequant val_bpb:1.34567891\nfinal val_bpb:1.12345678", {})
    new = Log("b.log", "prequant val_bpb:1.34567891\nfinal val_bpb:1.23456789", {})
    declared = '{"val_bpb": 1.2, "seed_results": {"42": {"prequant_bpb": 1.34567891, "val_bpb": 1.23456789}}}'
    assert claimed_first([old, new], 1.2, declared) == (new, old)
    assert claimed_first([old, new], 1.2, declared.replace("1.23456789", "1.12345678")) == (old, new)
    assert claimed_first([new, old], 1.12345678, declared) == (old, new), "the claim before the other scores"


def test_a_log_of_another_program_comes_last_of_equals() -> None:
    old = Log("a.log", "Code size: 900 bytes\nadapted val_bpb:1.1193", {})
    own = Log("b.log", "Code size: 1,000 bytes\nadapted val_bpb:1.1204\nafresh val_bpb:1.1172", {})
    assert claimed_first([old, own], 1.1164, size=1000) == (own, old)
    assert claimed_first([old, own], 1.1193, size=1000) == (old, own), "the claimed number is stronger"
    assert claimed_first([old, own], 1.1164, size=1100) == (old, own)


def test_the_longest_of_several_runs_gives_the_settings() -> None:
    """A smoke run comes first in many logs, with other settings (RULES, trap 17)."""
    text = (
        "smoke_test:True\nadapt:0\nstep:1/3 train_loss:6.9\nstep:3/3 train_loss:6.8\nadapt:done val_bpb:3.4\n"
        "smoke_test:False\nadapt:1\nstep:1/900 train_loss:6.9\nstep:900/900 train_loss:2.1\nval_bpb:1.2\n"
    )
    config = printed_settings(text)
    assert (config["smoke_test"], config["adapt"]) == ("False", "1")


def test_of_runs_of_one_length_the_first_gives_the_settings() -> None:
    """Runs of several seeds in one log differ in their seed alone."""
    run = "seed:{}\nstep:1/9 train_loss:6.9\nstep:9/9 train_loss:2.1\nval_bpb:1.2\n"
    assert printed_settings(run.format(7) + run.format(8))["seed"] == "7"


def test_a_process_before_each_line_is_no_part_of_the_message() -> None:
    """`torchrun --tee 3` writes which process printed a line."""
    data = b"[default0]:seed:7\n[rank0]:step:1/9 train_loss:6.9\n[default0]:final val_bpb:1.2000\n"
    log, _ = read_log("run.log", data, frozenset())
    assert log is not None and log.config["seed"] == "7"
    assert "\nfinal val_bpb" in log.text
