"""The commands of the reference implementation: `pgolf train` and `pgolf data`; torch is loaded when one runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from typing import Annotated

import typer

from reference_impl.config import RunConfig, load_preset, preset_names
from reference_impl.errors import InputError
from reference_impl.names import settings_of

USAGE, INTERNAL, INTERRUPTED = 2, 4, 130
"""Exit codes: bad input, a defect of ours, an interrupt."""

data_commands = typer.Typer(
    name="data", no_args_is_help=True, rich_markup_mode=None, help="Make, fetch and bind the data to train on."
)

Preset = Annotated[
    str, typer.Argument(metavar="PRESET", help=f"One of {', '.join(preset_names())}.", show_default=False)
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a setting of the preset; may be repeated."),
]
Environment = Annotated[
    list[str] | None,
    typer.Option("--env", metavar="NAME=VALUE", help="The same, by the name that the published scripts give it."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Where log, checkpoint and model go.  [default: runs/PRESET-SEED]"),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Token files with their tokenizer, as `pgolf data` makes them."),
]


def train(
    preset: Preset,
    data: Data = None,
    out: Out = None,
    settings: Settings = None,
    env: Environment = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be trained, and leave; needs no data.")
    ] = False,
) -> None:
    """Train a model of the record stack; a run that was stopped goes on where its last checkpoint is.

    On several GPUs start it with torchrun; 1, 2, 4 or 8 make the same steps. Without a GPU only toy runs are of use.

    \b
    Examples:
      pgolf train pr549 --dry-run                         model, parameters, tokens a step
      pgolf train toy --data toy                          on the data of: pgolf data toy --out toy
      pgolf train pr1092 --data sp1024 --set train.seed=42
      pgolf train baseline --data sp1024 --env MATRIX_LR=0.03
    """
    with failing():
        config = load_preset(preset, {**settings_of(pairs(env, "--env")), **pairs(settings, "--set")})
        if dry_run:
            require("torch")
            show(preset, config)
            return
        if data is None:
            raise InputError("--data is missing; for a small dataset type: pgolf data toy --out toy")
        require("torch", "numpy", "sentencepiece")
        lift_memory_limit()
        run(preset, config, data, out or Path("runs") / f"{preset}-{config.train.seed}")


@data_commands.command()
def toy(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to make.", show_default=False)],
    vocab: Annotated[
        int, typer.Option("--vocab", metavar="N", min=300, max=8192, help="Size of the vocabulary.")
    ] = 512,
) -> None:
    """Make a small dataset, with its tokenizer, from text that ships with Python; needs no network.

    \b
    Examples:
      pgolf data toy --out toy
    """
    with failing():
        require("torch", "numpy", "sentencepiece")
        from reference_impl.data.toy import make_toy
        from reference_impl.progress import busy

        lift_memory_limit()
        with busy("reading documents, training the tokenizer"):
            made = make_toy(out, vocab)
        typer.echo(summary(made))


@data_commands.command()
def fetch(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to fill.", show_default=False)],
    variant: Annotated[str, typer.Option("--variant", metavar="NAME", help="Export, such as sp1024.")] = "sp1024",
    shards: Annotated[
        int, typer.Option("--shards", metavar="N", min=1, help="Training files, 200 MB each; records use 80.")
    ] = 1,
    repository: Annotated[
        str, typer.Option("--repository", metavar="OWNER/NAME", help="Dataset on the Hugging Face Hub.")
    ] = "willdepueoai/parameter-golf",
) -> None:
    """Fetch tokens of the challenge from the Hugging Face Hub, check them, and bind them to their tokenizer.

    Goes on after an interrupt; what is there and right is not fetched again.

    \b
    Examples:
      pgolf data fetch --out sp1024 --shards 80
      pgolf data fetch --out sp8192 --variant sp8192 --repository kevclark/parameter-golf
    """
    with failing():
        require("torch", "numpy", "sentencepiece", "huggingface_hub")
        from reference_impl.data import fetch as hub

        lift_memory_limit()
        typer.echo(summary(hub.fetch(variant, out, shards, repository)))


@data_commands.command()
def bind(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of token files.", show_default=False)],
    tokenizer: Annotated[
        Path, typer.Option("--tokenizer", metavar="FILE", help="SentencePiece model.", show_default=False)
    ],
) -> None:
    """Bind token files that are already here to the tokenizer that made them, and count their bytes.

    \b
    Examples:
      pgolf data bind fineweb10B_sp1024 --tokenizer fineweb_1024_bpe.model
    """
    with failing():
        require("torch", "numpy", "sentencepiece")
        from reference_impl.data import dataset

        lift_memory_limit()
        typer.echo(summary(dataset.bind(folder, tokenizer)))


def show(preset: str, config: RunConfig) -> None:
    """What a run amounts to: the network, its size, a step, how it would be scored."""
    import torch

    from reference_impl.model import GPT
    from reference_impl.model.gpt import count_parameters

    with torch.device("meta"):
        model = GPT(config.model)
    settings, shape = config.train, config.model
    micro = settings.batch_tokens // settings.micro_batches
    parts = {name: count_parameters(part) for name, part in model.named_children()}
    rest = count_parameters(model) - sum(parts.values()) - model.embedding.numel()
    rows = [
        (preset, config.about),
        (
            "network",
            f"{shape.layers} layers of {shape.dim}, {shape.heads} heads ({shape.kv_heads} for keys and values)",
        ),
        ("parameters", f"{count_parameters(model):,}"),
        *((f"  {name}", f"{size:,}") for name, size in {"embedding": model.embedding.numel(), **parts}.items()),
        *([("  other", f"{rest:,}")] if rest else []),
        ("tokens a step", f"{settings.batch_tokens:,} = {settings.micro_batches} micro-batches of {micro:,}"),
        ("length", f"{settings.iterations:,} steps" + (f" or {settings.seconds:g} s" if settings.seconds else "")),
        ("export", {"none": "last weights", "ema": "EMA", "swa": "SWA", "swa-of-ema": "SWA of EMA"}[settings.average]),
    ]
    if config.evaluate.as_published:
        rows.append(("evaluation", f"not as published: {config.evaluate.as_published}"))
    for name, value in rows:
        typer.echo(fill(value, 79, initial_indent=f"{name:<18}", subsequent_indent=" " * 18))


def run(preset: str, config: RunConfig, data: Path, out: Path) -> None:
    """Train on all processes that torchrun started, with a bar on the first when someone watches."""
    from reference_impl.data.dataset import open_dataset
    from reference_impl.optim.world import meeting
    from reference_impl.progress import training
    from reference_impl.train import LOG, MODEL
    from reference_impl.train import train as train_model

    dataset = open_dataset(data, config.model.vocab)
    out.mkdir(parents=True, exist_ok=True)
    with meeting() as (world, device):
        with training(preset, show=world.rank == 0) as watch:
            score = train_model(config, dataset, out, world, device, watch).score
        if world.rank == 0:
            typer.echo(f"val_loss {score.loss:.4f}  val_bpb {score.bpb:.4f}  {out / MODEL}  {out / LOG}")


def summary(dataset: object) -> str:
    """One line on a bound dataset."""
    from reference_impl.data.dataset import Dataset

    assert isinstance(dataset, Dataset)
    tokens = f"{len(dataset.train):,} training and {len(dataset.validation):,} validation tokens"
    return f"{dataset.folder}: vocabulary {dataset.vocab}, {tokens} ({dataset.validation_bytes:,} bytes)"


def pairs(given: list[str] | None, option: str) -> dict[str, str]:
    """Parse repeated `NAME=VALUE`; raises `InputError` on anything else."""
    found = {}
    for pair in given or []:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise InputError(f"{option} wants NAME=VALUE, not {pair!r}")
        found[name.strip()] = value.strip()
    return found


def require(*modules: str) -> None:
    """Raise `InputError` with the command to type when a package is missing."""
    from importlib.util import find_spec

    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise InputError(f"{' and '.join(missing)} missing; type: pip install 'pgolf[train]'")


def lift_memory_limit() -> None:
    """Training takes what it needs; the bound that `pgolf` sets itself is for reading hostile input."""
    try:
        import resource
    except ImportError:
        return  # not offered by this system, so never set
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


@contextmanager
def failing() -> Iterator[None]:
    """One line and exit code 2 for bad input, 130 for an interrupt, 4 for what nobody foresaw (PGOLF_DEBUG=1: more)."""
    try:
        yield
    except InputError as error:
        print(f"pgolf: {error}", file=sys.stderr)
        raise typer.Exit(USAGE) from None
    except KeyboardInterrupt:
        print("pgolf: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except typer.Exit:
        raise
    except Exception as error:
        if os.environ.get("PGOLF_DEBUG") == "1":
            raise
        print(f"pgolf: internal error: {type(error).__name__}: {error} (PGOLF_DEBUG=1 shows more)", file=sys.stderr)
        raise typer.Exit(INTERNAL) from None
