"""The parts of the benchmarks that decide what is measured."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.corpus import chosen


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A repository with the heads of pull requests 1 to 20, and other refs."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "root"], check=True)
    refs = [f"refs/pull/{n}/head" for n in range(1, 21)] + ["refs/pull/5/merge", "refs/heads/other"]
    for ref in refs:
        subprocess.run([*git, "update-ref", ref, "HEAD"], check=True)
    return tmp_path


def test_without_a_list_every_head_is_taken(mirror: Path) -> None:
    assert chosen(mirror, "", None) == list(range(1, 21))


def test_a_sample_is_the_same_on_every_run(mirror: Path) -> None:
    sample = chosen(mirror, "", 6)
    assert sample == chosen(mirror, "", 6)
    assert len(set(sample)) == 6
    assert set(sample) <= set(range(1, 21))


def test_a_sample_larger_than_the_list_is_the_list(mirror: Path) -> None:
    assert chosen(mirror, "1-3", 10) == [1, 2, 3]
