"""Layers of the configuration: which one wins, and what a printed value sets."""

from __future__ import annotations

import itertools

import pytest

from auditor.program.config import settings
from tests.scripts import submission

CODE = """
import os
class Settings:
    layers = 4
    rate: float = 0.1
RATE = os.environ.get("RATE", "0.1")
ON = os.environ.get('USE_CACHE', "0")
"""
LAYERS = ("command", "log:train.log", "--env")


@pytest.mark.parametrize("present", [c for n in (1, 2, 3) for c in itertools.combinations(range(3), n)])
def test_the_strongest_layer_wins_and_is_named(present: tuple[int, ...]) -> None:
    values = [{"RATE": f"0.{layer + 2}"} if layer in present else {} for layer in range(3)]
    merged = settings(submission(CODE, command=values[0], printed=values[1]), CODE, values[2])
    strongest = max(present)
    assert merged == {"RATE": (f"0.{strongest + 2}", LAYERS[strongest])}


def test_nothing_set_is_nothing_merged() -> None:
    assert settings(submission(CODE), CODE, {}) == {}


@pytest.mark.parametrize("spelling", ["layers", "LAYERS", "Layers"])
def test_a_log_sets_what_the_script_knows_in_any_case(spelling: str) -> None:
    merged = settings(submission(CODE, printed={spelling: "7"}), CODE, {})
    assert merged == {"LAYERS": ("7", "log:train.log")}


@pytest.mark.parametrize("name", ["val_bpb", "SEED", "PATH", "Layer"])
def test_a_log_sets_nothing_that_the_script_does_not_know(name: str) -> None:
    assert settings(submission(CODE, printed={name: "7"}), CODE, {}) == {}


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("True", "1"),
        ("False", "0"),
        ("None", ""),
        ("enabled", "1"),
        ("disabled", "0"),
        (" 'True' ", "1"),
        ('"x y"', "x y"),
        ("0.5", "0.5"),
        ("true", "true"),
    ],
)
def test_a_printed_value_is_read_as_it_would_be_set(printed: str, value: str) -> None:
    assert settings(submission(CODE, printed={"USE_CACHE": printed}), CODE, {})["USE_CACHE"][0] == value


def test_the_number_of_processes_of_the_command_is_the_world_size() -> None:
    assert settings(submission(CODE, nproc=4), CODE, {}) == {"WORLD_SIZE": ("4", "command")}


def test_the_world_size_of_the_log_wins_if_it_is_a_number() -> None:
    assert settings(submission(CODE, nproc=4, printed={"world_size": "8"}), CODE, {})["WORLD_SIZE"][0] == "8"
    assert settings(submission(CODE, nproc=4, printed={"world_size": "many"}), CODE, {})["WORLD_SIZE"][0] == "4"
