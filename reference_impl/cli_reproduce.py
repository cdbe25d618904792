"""The command `pgolf reproduce`; torch is loaded when it runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from reference_impl.cli import Environment, Preset, Settings, failing, lift_memory_limit, pairs, require
from reference_impl.config import load_preset
from reference_impl.errors import InputError
from reference_impl.names import settings_of


def reproduce(
    preset: Preset,
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Token files with their tokenizer, as `pgolf data` makes them.",
            show_default=False,
        ),
    ],
    seeds: Annotated[str, typer.Option("--seeds", metavar="LIST", help="Runs, by their seeds.")] = "1337,42,2024",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where all of it goes.  [default: runs/PRESET-reproduced]"),
    ] = None,
    settings: Settings = None,
    env: Environment = None,
) -> None:
    """Train, pack and score a run under several seeds, and write the submission folder.

    Training and evaluation have 600 s each, by our own clock; the artifact must fit 16,000,000 bytes with the code. The
    same command goes on where it was stopped. On eight GPUs, in front of it: torchrun --standalone --nproc_per_node 8
    --no-python.

    \b
    Examples:
      pgolf reproduce toy --data toy --seeds 1,2
      pgolf reproduce pr1092 --data sp1024 --seeds 1337,42,2024 --out runs/pr1092
    """
    with failing():
        require("torch", "numpy", "sentencepiece", "zstandard", "matplotlib")
        chosen = numbers(seeds)
        config = load_preset(preset, {**settings_of(pairs(env, "--env")), **pairs(settings, "--set")})
        from reference_impl.curves import chart, curves
        from reference_impl.data.dataset import open_dataset
        from reference_impl.folder import make_folder, table
        from reference_impl.optim.world import meeting
        from reference_impl.reproduce import reproduce as one_seed
        from reference_impl.reproduce import within_budget
        from reference_impl.train import LOG

        lift_memory_limit()
        config = within_budget(config)
        place = out or Path("runs") / f"{preset}-reproduced"
        with meeting() as (world, device):
            dataset = open_dataset(data, config.model.vocab)
            results = []
            for seed in chosen:
                run = replace(config, train=replace(config.train, seed=seed))
                results.append(one_seed(run, dataset, place / f"seed-{seed}", world, device))
            if world.rank == 0:
                logs = {seed: place / f"seed-{seed}" / LOG for seed in chosen}
                make_folder(place / "submission", preset, config, results, logs)
                first = curves(logs[chosen[0]].read_text("utf-8"))
                for line in [*chart(first.loss, f"training loss, seed {chosen[0]}"), *table(results)]:
                    typer.echo(line)
                typer.echo(
                    f"{place / 'submission'}: fill in author and date; check with: pgolf audit {place / 'submission'}"
                )


def numbers(seeds: str) -> list[int]:
    """The seeds of a list; raises `InputError` on anything else."""
    try:
        found = [int(each) for each in seeds.split(",")]
    except ValueError:
        raise InputError(f"--seeds wants whole numbers, such as 1337,42,2024, not {seeds!r}") from None
    if len(set(found)) < len(found):
        raise InputError(f"--seeds names a seed twice: {seeds}")
    return found
