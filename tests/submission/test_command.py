"""Run commands: how READMEs and scripts write them, and which of several is the headline's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.submission.command import read_command, read_commands, read_renamed_command, read_settings
from auditor.submission.model import RunCommand

NAMES = ["train_gpt.py"]


def fenced(*lines: str) -> str:
    return "\n".join(["## Run", "```bash", *lines, "```"])


@pytest.mark.parametrize(
    ("text", "env", "nproc", "argv"),
    [
        (fenced("SEED=1 A=x torchrun --nproc_per_node=8 train_gpt.py"), {"SEED": "1", "A": "x"}, 8, ()),
        (
            fenced("A=1 \\", "B='two words' \\", "  torchrun --nproc-per-node 4 train_gpt.py"),
            {"A": "1", "B": "two words"},
            4,
            (),
        ),
        (fenced("export A=1", "export B=2 C=3", "python train_gpt.py"), {"A": "1", "B": "2", "C": "3"}, None, ()),
        (fenced("env A=1 python3 train_gpt.py --flag x -v"), {"A": "1"}, None, ("--flag", "x", "-v")),
        (
            fenced("cd /workspace && A=1 python -m torch.distributed.run --nproc_per_node=2 ./train_gpt.py"),
            {"A": "1"},
            2,
            (),
        ),
        (fenced("A=1 torchrun --nproc_per_node=8 records/t/x/train_gpt.py 2>&1 | tee log"), {"A": "1"}, 8, ()),
        (fenced("docker run -e A=1 image torchrun --nproc_per_node=8 train_gpt.py"), {"A": "1"}, 8, ()),
        (
            fenced("environment:", "  - TTT_ENABLED: 1", "  COUNT: '7'", "python train_gpt.py"),
            {"TTT_ENABLED": "1", "COUNT": "7"},
            None,
            (),
        ),
        (fenced("set A=1", "set B=2", "python train_gpt.py"), {"A": "1", "B": "2"}, None, ()),
        (fenced('$env:A="1"; $env:B=2', "python train_gpt.py"), {"A": "1", "B": "2"}, None, ()),
        (fenced("$ A=1 python train_gpt.py"), {"A": "1"}, None, ()),
        (
            fenced("for S in 42 7; do", "SEED=$S A=1 torchrun --nproc_per_node=8 train_gpt.py", "done"),
            {"SEED": "42", "A": "1"},
            8,
            (),
        ),
        (fenced("SEED=<seed> A=${A:-3} B=$B python train_gpt.py"), {"A": "3"}, None, ()),
        (fenced("A=1 torchrun --nproc_per_node=${GPUS:-8} train_gpt.py"), {"A": "1"}, 8, ()),
        (fenced("NAME=it's python train_gpt.py"), {"NAME": "it's"}, None, ()),
        ("Run with `A=1 torchrun --nproc_per_node=8 train_gpt.py` on the node.", {"A": "1"}, 8, ()),
        ("> ```\n> A=1 python train_gpt.py\n> ```", {"A": "1"}, None, ()),
        ("- `A=1`\n- B=2\n\n```\npython train_gpt.py\n```", {"A": "1", "B": "2"}, None, ()),
        (fenced("torchrun --standalone --nproc\\_per\\_node=8 train\\_gpt.py"), {}, 8, ()),
        ("A=1 \\\r\ntorchrun --nproc_per_node=8 train_gpt.py\r\n", {"A": "1"}, 8, ()),
    ],
)
def test_a_command_as_people_write_it(text: str, env: dict[str, str], nproc: int | None, argv: tuple[str, ...]) -> None:
    command = read_command(text, NAMES)
    assert command.script == "train_gpt.py"
    assert (dict(command.env), command.nproc, command.argv) == (env, nproc, argv)


def test_the_command_on_most_processes_wins_over_a_smoke_run_on_one() -> None:
    text = (
        fenced("A=1 torchrun --nproc_per_node=1 train_gpt.py")
        + "\n"
        + fenced("A=8 torchrun --nproc_per_node=8 train_gpt.py")
    )
    command = read_command(text, NAMES)
    assert command.env == {"A": "8"}
    assert "2 commands" in command.chosen_because


def test_an_ablation_section_does_not_speak_for_the_headline() -> None:
    text = (
        "## Ablations\n```\nA=off torchrun --nproc_per_node=8 train_gpt.py\n```\n"
        "## Reproduce\n```\nA=on torchrun --nproc_per_node=8 train_gpt.py\n```\n"
    )
    assert read_command(text, NAMES).env == {"A": "on"}


def test_a_block_that_shows_how_to_override_does_not_speak_for_the_headline() -> None:
    text = fenced("torchrun --nproc_per_node=8 train_gpt.py")
    text += "\n\nOverride with variables if needed:\n\n```bash\nTTT=0 torchrun --nproc_per_node=8 train_gpt.py\n```\n"
    assert read_command(text, NAMES).env == {}
    assert read_command(text.replace("Override with variables if needed", "The record"), NAMES).env == {"TTT": "0"}


@pytest.mark.parametrize("comment", ["# Ablation: no cache", "# control, cache disabled", "# baseline", "# smoke test"])
def test_a_command_under_a_comment_on_another_run_does_not_speak_for_the_headline(comment: str) -> None:
    plain, other = "torchrun --nproc_per_node=8 train_gpt.py", "CACHE=0 torchrun --nproc_per_node=8 train_gpt.py"
    for commands in ((plain, "", comment, other), (comment, other, "", plain)):
        assert read_command(fenced(*commands), NAMES).env == {}


def test_a_comment_on_hardware_does_not_outweigh_a_mention_of_the_script() -> None:
    text = (
        fenced("# 1xA100, local data", "A=1 torchrun --nproc_per_node=1 train_gpt.py") + "\n\n- `train_gpt.py`: all\n"
    )
    assert read_command(text, NAMES).env == {"A": "1"}


def test_the_first_of_equal_commands_is_taken() -> None:
    text = fenced("SEED=1 torchrun --nproc_per_node=8 train_gpt.py", "SEED=2 torchrun --nproc_per_node=8 train_gpt.py")
    assert read_command(text, NAMES).env == {"SEED": "1"}


def test_a_script_that_prose_mentions_gives_way_to_one_that_is_started() -> None:
    text = "Reading `old.py` once more showed it.\n\n```\npython new.py --mixed\n```\n"
    command = read_command(text, ["old.py", "new.py"])
    assert (command.script, command.argv) == ("new.py", ("--mixed",))


def test_a_mention_of_the_script_gives_way_to_a_command_beside_the_point() -> None:
    text = "Only one lever is overridden:\n\n```\nA=1 torchrun train_gpt.py\n```\n\n## Files\n\n- `train_gpt.py`\n"
    assert read_command(text, NAMES).env == {"A": "1"}


def test_assignments_of_one_block_do_not_leak_into_the_next() -> None:
    text = "```\nA=1 B=2\n```\n\n```\npython train_gpt.py\n```"
    assert read_command(text, NAMES).env == {}


def test_other_programs_are_not_the_run() -> None:
    text = fenced(
        "python prepare.py", "pip install train_gpt", "cat train_gpt.py", "git add train_gpt.py", "wc -c train_gpt.py"
    )
    assert read_command(text, NAMES) == RunCommand(source="README.md")


def test_prose_with_a_colon_or_an_equals_sign_sets_nothing() -> None:
    text = "NOTE: use care\nLR = 0.1 was best\nA=1\n\n```\npython train_gpt.py\n```"
    assert read_command(text, NAMES).env == {}


def test_a_run_script_needs_no_fence() -> None:
    text = '#!/bin/bash\nset -euo pipefail\nA=1\nexport B=2  # why\ntorchrun --nproc_per_node=8 train_gpt.py "$@"\n'
    command = read_command(text, NAMES, source="run.sh")
    assert dict(command.env) == {"A": "1", "B": "2"}
    assert command.source == "run.sh"


def test_a_script_that_was_renamed_is_recognised_and_said() -> None:
    text = fenced("A=1 torchrun --nproc_per_node=8 train_gpt_v7.py")
    assert read_command(text, NAMES).script == ""
    command = read_renamed_command(text, ["x/train_gpt.py"])
    assert command.env == {"A": "1"}
    assert "train_gpt_v7.py" in command.chosen_because
    assert read_renamed_command(text, ["x/train_gpt.py", "x/train_gpt_v7.py"]).script == ""


@given(st.text(alphabet="AB=1 \\`'\"$<>|&;(){}#:-.\ntrainchogp_y/", max_size=300))
def test_no_text_makes_it_fail(text: str) -> None:
    command = read_command(text + "\npython train_gpt.py", NAMES)
    assert all(isinstance(value, str) and "$" not in value for value in command.env.values())


@pytest.mark.parametrize(
    "text", ["=" * 200_000, "A=1 " * 50_000 + "python train_gpt.py", "`" * 100_000, "\\\n" * 100_000, "$(" * 50_000]
)
def test_long_hostile_text_ends(text: str) -> None:
    read_command(text, NAMES)
    read_command(text, NAMES, source="run.sh")


def test_of_several_run_scripts_the_one_of_no_side_run_is_taken() -> None:
    line = "ROUNDS={} torchrun --nproc_per_node=8 train_gpt.py\n"
    texts = [("run_ablation.sh", line.format(1)), ("run_baseline.sh", line.format(2)), ("run_full.sh", line.format(3))]
    command = read_commands(texts, NAMES)
    assert (command.env, command.source) == ({"ROUNDS": "3"}, "run_full.sh")


def test_a_message_gives_the_command_after_a_lead_in() -> None:
    text = "A title\n\nRun: SEED=1 ROUNDS=2 \\\n  torchrun --nproc_per_node=8 train_gpt.py\n"
    command = read_command(text, NAMES, source="message")
    assert (command.env, command.nproc) == ({"SEED": "1", "ROUNDS": "2"}, 8)


@pytest.mark.parametrize(
    ("text", "env"),
    [
        ("The adapter is trained (`MODE=fast`) for `ROUNDS=2`.", {"MODE": "fast", "ROUNDS": "2"}),
        ("It can be switched on by `MODE=fast`.", {}),
        ("Without `MODE=fast` it scores 1.2. We use `ROUNDS=2`.", {"ROUNDS": "2"}),
        ("First `ROUNDS=1` was run, then `ROUNDS=2`.", {}),
        ("## Ablations\n`ROUNDS=2` scores 1.2.", {}),
        ("```\n`ROUNDS=2`\n```", {}),
    ],
)
def test_settings_that_prose_names(text: str, env: dict[str, str]) -> None:
    assert read_settings(text).env == env
