"""A mirror with a few small pull requests, and the command that sweeps it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from auditor import cli
from auditor.demo import MINIATURES
from tests.forge import Forge

Sweep = Callable[..., Result]
CORPUS = 12
"""Pull requests of the mirror, numbered from 1."""


def submission(number: int) -> dict[bytes, bytes]:
    """The files of one pull request: a miniature in a folder of its own, or something less readable."""
    folder = b"records/track_10min_16mb/2026-01-%02d_x" % number
    if number % 6 == 5:
        return {b"%s/README.md" % folder: b"no script"}
    if number % 6 == 0:
        return {b"%s/train_gpt.py" % folder: b"def broken(:\n", b"%s/submission.json" % folder: b'{"val_bpb": 1.1}'}
    miniature = MINIATURES[number % len(MINIATURES)].folder
    return {b"%s/%s" % (folder, file.name.encode()): file.read_bytes() for file in sorted(miniature.iterdir())}


def fill(forge: Forge) -> None:
    """Put the pull requests into a mirror."""
    base = forge.commit({b"README.md": b"rules"})
    forge.ref("heads/main", base)
    for number in range(1, CORPUS + 1):
        forge.pull(number, forge.commit({b"README.md": b"rules", **submission(number)}, base))


def sweeping(mirror: Path, folder: Path) -> Sweep:
    """What sweeps the mirror in this process, with a cache of its own; the workers are forked."""

    def run(out: str | Path, *options: object, cached: bool = True) -> Result:
        cache = ["--cache", folder / "cache"] if cached else ["--no-cache"]
        arguments = ["sweep", "--mirror", mirror, "--out", folder / out, "--jobs", 2, *cache, *options]
        return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def mirror(forge: Forge) -> Path:
    fill(forge)
    return forge.gitdir


@pytest.fixture
def sweep(mirror: Path, tmp_path: Path) -> Sweep:
    return sweeping(mirror, tmp_path)
