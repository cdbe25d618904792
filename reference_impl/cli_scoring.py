"""The commands on a trained model: `pgolf export`, `pgolf evaluate`, `pgolf codec`; torch is loaded when one runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reference_impl.cli import Settings, failing, lift_memory_limit, pairs, require
from reference_impl.config import unknown
from reference_impl.errors import InputError

if TYPE_CHECKING:
    import torch

    from reference_impl.artifact.export import Trained
    from reference_impl.data.dataset import Dataset
    from reference_impl.data.shards import Tokens

NEEDED = ("torch", "numpy", "sentencepiece", "zstandard")

codec_commands = typer.Typer(
    name="codec", no_args_is_help=True, rich_markup_mode=None, help="The evaluator as a compressor."
)

Model = Annotated[Path, typer.Argument(metavar="MODEL", help="model.pt of a run, or an artifact.", show_default=False)]
ModelOption = Annotated[
    Path, typer.Option("--model", metavar="FILE", help="model.pt of a run, or an artifact.", show_default=False)
]
Data = Annotated[
    Path,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Token files with their tokenizer, as `pgolf data` makes them.",
        show_default=False,
    ),
]
Chosen = Annotated[
    str,
    typer.Option(
        "--predictor",
        metavar="NAME",
        help="preset (as the run says), flat, sliding, ttt (score first, then train), lora, ngram, or tilt.",
    ),
]


def export(
    model: Model,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Artifact to write.", show_default=False)],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Needed to calibrate on training data.")
    ] = None,
    settings: Settings = None,
    log: Annotated[Path | None, typer.Option("--log", metavar="FILE", help="Append the lines to it.")] = None,
) -> None:
    """Round and pack a trained model; refuses what is over 16,000,000 bytes together with the code.

    \b
    Examples:
      pgolf export runs/toy-1337/model.pt --out toy.pgolf
      pgolf export model.pt --out model.pgolf --set artifact.bits=5 --set artifact.compressor=brotli
    """
    with failing():
        require(*NEEDED)
        from reference_impl.artifact.export import export as make
        from reference_impl.artifact.pack import code_bytes, write
        from reference_impl.evaluate.lines import size_lines
        from reference_impl.optim.world import own_device
        from reference_impl.progress import busy

        trained = opened(model, "preset", settings, own_device())
        with busy("calibrating, rounding and packing"):
            found = make(trained, None if data is None else bound(data, trained))
        write(out, found.content)
        tell(size_lines(trained.config, len(found.content), code_bytes()), log)


def evaluate(
    model: Model,
    data: Data,
    predictor: Chosen = "preset",
    settings: Settings = None,
    log: Annotated[Path | None, typer.Option("--log", metavar="FILE", help="Append the lines to it.")] = None,
) -> None:
    """Score a model on the validation split: every token from what comes before it, before anything learns from it.

    Prints the lines of the published logs, which `pgolf records` reads. Under torchrun the GPUs share the work.

    \b
    Examples:
      pgolf evaluate toy.pgolf --data toy
      pgolf evaluate toy.pgolf --data toy --predictor ttt --set evaluate.adapt_lr=0.003
      pgolf evaluate runs/toy-1337/model.pt --data toy --predictor sliding --set evaluate.stride=32
    """
    with failing():
        require(*NEEDED)
        from reference_impl.evaluate.lines import score_lines
        from reference_impl.evaluate.predictors import make_predictor
        from reference_impl.evaluate.score import evaluate as score
        from reference_impl.optim.world import meeting
        from reference_impl.progress import counting

        with meeting() as (world, device):
            trained = opened(model, predictor, settings, device)
            dataset = bound(data, trained)
            with counting(len(dataset.validation) - 1, "scoring", show=world.rank == 0) as watch:
                made = make_predictor(trained.model, trained.config.evaluate, world)
                found = score(made, dataset, watch, world=world)
            if world.rank == 0:
                tell(score_lines(trained.config, found, packed=trained.packed), log)


@codec_commands.command()
def encode(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write.", show_default=False)],
    model: ModelOption,
    data: Data,
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="Token file (.bin) or UTF-8 text.  [default: validation split of --data]"
        ),
    ] = None,
    predictor: Chosen = "preset",
    settings: Settings = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens", metavar="N", min=1, help="Only the first N tokens; decoding is slow.")
    ] = None,
) -> None:
    """Compress text to as many bytes as the score says.

    Decoding runs the network once for every token, on one CPU thread of the same machine with the same PyTorch.

    \b
    Examples:
      pgolf codec encode --model toy.pgolf --data toy --predictor ngram --tokens 2000 --out toy.code
      pgolf codec encode essay.txt --model toy.pgolf --data toy --out essay.code
    """
    with failing():
        require(*NEEDED, "constriction")
        import torch

        from reference_impl.evaluate import codec
        from reference_impl.files import write_whole
        from reference_impl.progress import counting

        torch.set_num_threads(1)
        trained = opened(model, predictor, settings, torch.device("cpu"))
        dataset = bound(data, trained)
        stream = read_tokens(source, dataset)[:tokens]
        with counting(len(stream) - 1, "encoding") as watch:
            found = codec.encode(trained.model, trained.config.evaluate, stream, watch)
        write_whole(out, found.content)
        size = dataset.table.total(stream)
        typer.echo(
            f"{out}: {len(found.content):,} bytes for {len(stream):,} tokens ({size:,} bytes of text), "
            f"of which {codec.HEADER.size} are the header; the score foretells {codec.scored_bytes(found):,.1f}"
        )


@codec_commands.command()
def decode(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="File of `encode`.", show_default=False)],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE", help="Token file (.bin), or text under another name.", show_default=False
        ),
    ],
    model: ModelOption,
    data: Data,
    predictor: Chosen = "preset",
    settings: Settings = None,
) -> None:
    """Get the text back, with the model, predictor and settings that it was encoded with.

    \b
    Examples:
      pgolf codec decode toy.code --model toy.pgolf --data toy --predictor ngram --out toy.bin
    """
    with failing():
        require(*NEEDED, "constriction")
        import torch

        from reference_impl.data.shards import write_shard
        from reference_impl.evaluate import codec
        from reference_impl.files import write_whole
        from reference_impl.progress import counting

        if not source.is_file():
            raise InputError(f"there is no file {source}")
        torch.set_num_threads(1)
        trained = opened(model, predictor, settings, torch.device("cpu"))
        dataset = bound(data, trained)
        content = source.read_bytes()
        with counting(codec.length_of(content), "decoding") as watch:
            tokens = codec.decode(trained.model, trained.config.evaluate, content, watch)
        if out.suffix == ".bin":
            write_shard(out, tokens)
        else:
            write_whole(out, text_of(tokens, dataset).encode())
        typer.echo(f"{out}: {len(tokens):,} tokens")


def opened(path: Path, predictor: str, settings: list[str] | None, device: torch.device) -> Trained:
    """A model on a device, with what the predictor's name and `--set` change.

    Raises `InputError` where the run does not say what the predictor needs.
    """
    from reference_impl.artifact.export import open_model
    from reference_impl.evaluate.predictors import SETTINGS

    if predictor not in SETTINGS:
        raise unknown("predictor", predictor, tuple(SETTINGS))
    changes = {f"evaluate.{key}": value for key, value in SETTINGS[predictor].items()} | pairs(settings, "--set")
    lift_memory_limit()
    found = open_model(path, device, changes)
    if found.config.evaluate.adapt != "none" and not found.config.evaluate.adapt_lr:
        raise InputError("the run names no rate to adapt at; type: --set evaluate.adapt_lr=0.002")
    if predictor == "sliding" and not found.config.evaluate.stride:
        raise InputError("the run names no stride; type: --set evaluate.stride=64")
    return found


def bound(folder: Path, trained: Trained) -> Dataset:
    """The data, which must have the model's vocabulary."""
    from reference_impl.data.dataset import open_dataset

    return open_dataset(folder, trained.config.model.vocab)


def tell(lines: list[str], log: Path | None) -> None:
    """Print lines, and append them to a log."""
    from reference_impl.log import writer

    for line in lines:
        typer.echo(line)
        writer(log)(line)


def read_tokens(source: Path | None, data: Dataset) -> Tokens:
    """The tokens to encode; raises `InputError` for text that the tokenizer does not give back as it was."""
    import numpy as np

    from reference_impl.data.bytes import load_tokenizer
    from reference_impl.data.shards import open_shard
    from reference_impl.model.gpt import BOS

    if source is None:
        return data.validation
    if not source.is_file():
        raise InputError(f"there is no file {source}")
    if source.suffix == ".bin":
        tokens = open_shard(source)
        if not len(tokens) or int(tokens.max()) >= data.vocab:
            raise InputError(f"{source} is empty, or holds tokens outside the vocabulary of {data.vocab}")
        return tokens
    tokenizer: Any = load_tokenizer(data.tokenizer)
    try:
        text = source.read_text("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{source} is no UTF-8 text; a token file must be named .bin") from None
    pieces = tokenizer.encode(text)
    if tokenizer.decode(pieces) != text:
        raise InputError(
            f"{source} is not what the tokenizer makes of it: it joins white space and normalises characters (NFKC)"
        )
    return np.array([BOS, *pieces], dtype=np.uint16)


def text_of(tokens: Tokens, data: Dataset) -> str:
    """The text of one document; raises `InputError` for several, whose bounds text cannot hold."""
    from reference_impl.data.bytes import load_tokenizer
    from reference_impl.model.gpt import BOS

    if int(tokens[0]) != BOS or BOS in tokens[1:].tolist():
        raise InputError("the file does not hold one document; name a token file: --out NAME.bin")
    text: str = load_tokenizer(data.tokenizer).decode(tokens[1:].tolist())
    return text
