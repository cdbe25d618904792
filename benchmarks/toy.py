"""The whole chain on one CPU thread in a minute: tokenizer, training, averaging, rounding, packing, scoring, coding.

    python -m benchmarks.toy

Everything is made here from text that ships with Python, so the numbers hold for one version of it. Exits with 1 when
the codec does not give back what it got, or its file is longer or shorter than the score says.
"""

from __future__ import annotations

import argparse
import lzma
import math
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import brotli
import numpy as np
import torch
import zstandard
from torch import Tensor

from benchmarks.audit import table
from reference_impl.artifact.calibrate import hessians
from reference_impl.artifact.export import Trained, calibration, export, open_model
from reference_impl.artifact.pack import code_bytes, make_compact, model_of, write
from reference_impl.config import EvaluateConfig, RunConfig, load_preset
from reference_impl.data.bytes import load_tokenizer
from reference_impl.data.dataset import Dataset, open_dataset
from reference_impl.data.toy import make_toy
from reference_impl.evaluate.codec import decode, encode, scored_bytes
from reference_impl.evaluate.neural import SlidingPredictor
from reference_impl.evaluate.ngram import NgramPredictor
from reference_impl.evaluate.predictors import make_predictor
from reference_impl.evaluate.score import evaluate
from reference_impl.evaluate.stream import Predictor
from reference_impl.log import Score
from reference_impl.optim.world import World
from reference_impl.train import MODEL, train

CPU = torch.device("cpu")
CODED = 1000
"""Tokens that are decoded again: each takes a run of the network."""


@dataclass
class Sheet:
    """What was found: stage, bits a byte, bytes, CPU seconds."""

    rows: list[tuple[str, str, str, str]]

    def add(self, stage: str, work: Callable[[], Score | int | None], text_bytes: int) -> None:
        """Do the work of a stage, and write down its score, or the size it came to."""
        started = time.process_time()
        found = work()
        spent = time.process_time() - started
        bpb = found.bpb if isinstance(found, Score) else 8 * found / text_bytes if found else None
        size = f"{found:,}" if isinstance(found, int) else ""
        self.rows.append((stage, "" if bpb is None else f"{bpb:.4f}", size, f"{spent:.1f}"))


def uniform(vocab: int) -> Predictor:
    """All tokens alike."""

    def network(tokens_bt: Tensor) -> Tensor:
        return torch.zeros(*tokens_bt.shape, vocab)

    return SlidingPredictor(network, 128, 0)


def baselines(sheet: Sheet, data: Dataset) -> None:
    """The same text without a network."""
    text = load_tokenizer(data.tokenizer).decode(data.validation.tolist()).encode()
    size = data.validation_bytes
    compressors: dict[str, Callable[[], int]] = {
        "zlib -9": lambda: len(zlib.compress(text, 9)),
        "zstd -22": lambda: len(zstandard.ZstdCompressor(level=22).compress(text)),
        "xz -9e": lambda: len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)),
        "brotli -11": lambda: len(brotli.compress(text, quality=11)),
    }
    for name, work in compressors.items():
        sheet.add(name, work, size)
    sheet.add("uniform", partial(evaluate, uniform(data.vocab), data), size)
    for order in (2, 4):
        counting = NgramPredictor(uniform(data.vocab), data.vocab, 1.0, order)
        sheet.add(f"{order}-gram of what was scored, alone", partial(evaluate, counting, data), size)


def main() -> int:
    """Run the chain and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=220, help="training steps (220)")
    parser.add_argument("--out", type=Path, help="where data and model go (a temporary folder)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as temporary:
        found, good = chain(options.out or Path(temporary), options.steps)
    found.rows.append(("all", "", "", f"{time.process_time() - started:.1f}"))
    print(table(("stage", "BPB", "bytes", "CPU s"), found.rows))
    return 0 if good else 1


def chain(folder: Path, steps: int) -> tuple[Sheet, bool]:
    """All stages; whether the codec kept its word."""
    sheet = Sheet([])
    settings = {"train.iterations": str(steps), "train.average": "swa-of-ema", "artifact.calibration_sequences": "16"}
    config = load_preset("toy", settings)

    def prepare() -> None:
        make_toy(folder / "data", config.model.vocab)

    sheet.add("make text and tokenizer", prepare, 1)
    data = open_dataset(folder / "data", config.model.vocab)
    size = data.validation_bytes
    baselines(sheet, data)
    out = folder / "run"
    out.mkdir(parents=True, exist_ok=True)
    sheet.add(
        "train: SWA of EMA, late QAT; flat", lambda: train(config, data, out, World(), CPU, lambda *_: None).score, size
    )
    trained = open_model(out / MODEL, CPU)
    rounded(sheet, trained, data)

    def packed() -> None:
        write(folder / "model.pgolf", export(trained, None).content)

    sheet.add("calibrate on own text, GPTQ int6, pack with lzma", packed, size)
    artifact = (folder / "model.pgolf").stat().st_size
    sheet.rows.append((f"  artifact (code: {code_bytes():,} more)", "", f"{artifact:,}", ""))
    loaded = open_model(folder / "model.pgolf", CPU)
    for name, changes in ADAPTED.items():
        settings_of = replace(loaded.config.evaluate, **changes)
        sheet.add(name, partial(evaluate, make_predictor(loaded.model, settings_of), data), size)
    return sheet, coded(sheet, loaded, data)


ADAPTED: dict[str, dict[str, Any]] = {
    "loaded: flat": {"stride": 0},
    "loaded: sliding 64": {"stride": 64},
    "loaded: TTT, SGD .01": {"adapt": "sgd", "adapt_lr": 0.01, "adapt_chunk": 1024},
    "loaded: LoRA TTT, AdamW .003": {"adapt": "lora", "adapt_lr": 0.003, "adapt_chunk": 256, "adapt_epochs": 1},
    "loaded: tilt, order 4": {"tilt_boost": 1.5, "tilt_order": 4},
    "loaded: TTT and n-gram .3": {"adapt": "sgd", "adapt_lr": 0.01, "adapt_chunk": 1024, "ngram_weight": 0.3},
}  # fmt: skip


def rounded(sheet: Sheet, trained: Trained, data: Dataset) -> None:
    """Few bits, to the nearest and by GPTQ, scored flat."""
    on_train = with_artifact(trained.config, calibration="train")
    seen = hessians(trained.model, calibration(Trained(on_train, trained.model), data))
    weights = trained.model.state_dict()
    flat = replace(trained.config.evaluate, stride=0)
    for bits in (6, 5, 4):
        for rounding in ("nearest", "gptq"):
            config = with_artifact(trained.config, bits=bits, rounding=rounding, clip="max")

            def work(config: RunConfig = config) -> Score:
                model = model_of(config, make_compact(weights, seen, config.artifact).dense(), CPU)
                return evaluate(make_predictor(model, flat), data)

            sheet.add(f"int{bits} {rounding}: flat", work, data.validation_bytes)


def with_artifact(config: RunConfig, **changes: Any) -> RunConfig:
    """The run with another way to its artifact."""
    return replace(config, artifact=replace(config.artifact, **changes))


def coded(sheet: Sheet, loaded: Trained, data: Dataset) -> bool:
    """The whole split as a file, then the beginning there and back with training and counting."""
    mixed = replace(loaded.config.evaluate, ngram_weight=0.3)
    size = data.validation_bytes
    started = time.process_time()
    everything = encode(loaded.model, mixed, data.validation)
    spent = time.process_time() - started
    off = everything.coded_bytes / scored_bytes(everything) - 1
    sheet.rows += [
        ("loaded: sliding 64, n-gram .3", f"{8 * scored_bytes(everything) / size:.4f}", "", f"{spent:.1f}"),
        (f"  its file ({off:+.2%})", f"{8 * everything.coded_bytes / size:.4f}", f"{everything.coded_bytes:,}", ""),
    ]
    learning = EvaluateConfig(
        sequence=128, stride=64, adapt="sgd", adapt_lr=0.01, adapt_chunk=512, ngram_weight=0.3, ngram_order=4
    )
    tokens = data.validation[:CODED]
    started = time.process_time()
    content = encode(loaded.model, learning, tokens).content
    same = np.array_equal(decode(loaded.model, learning, content), tokens)
    bpb = 8 * len(content) / data.table.total(tokens)
    spent = time.process_time() - started
    verdict = "bit for bit" if same else "NOT THE SAME"
    stage = f"{CODED} tokens, TTT and n-gram, coded and back: {verdict}"
    sheet.rows.append((stage, f"{bpb:.4f}", f"{len(content):,}", f"{spent:.1f}"))
    return same and math.isclose(off, 0, abs_tol=1e-3)


if __name__ == "__main__":
    raise SystemExit(main())
