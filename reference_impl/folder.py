"""The submission folder of a reproduced run: script, settings, logs, scores, curves, in the shape upstream asks for."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from reference_impl.config import RunConfig, as_dict
from reference_impl.curves import curves, picture
from reference_impl.files import write_json, write_whole
from reference_impl.reproduce import Result

SETTINGS = "settings.json"
SCRIPT = f'''"""One seed of this submission: torchrun --standalone --nproc_per_node=8 train_gpt.py

DATA_PATH and TOKENIZER_PATH name the data; SEED and the other upstream names change {SETTINGS}.
"""

from pathlib import Path

from reference_impl.reproduce import from_environment

if __name__ == "__main__":
    from_environment(Path(__file__).with_name("{SETTINGS}"))
'''


def make_folder(
    folder: Path, name: str, config: RunConfig, results: Sequence[Result], logs: Mapping[int, Path]
) -> None:
    """Write the folder; what it held of an earlier call is replaced file by file."""
    folder.mkdir(parents=True, exist_ok=True)
    package = Path(__file__).parent
    shutil.copytree(
        package, folder / package.name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    write_whole(folder / "train_gpt.py", SCRIPT.encode())
    write_json(folder / SETTINGS, as_dict(config))
    texts = {seed: path.read_text("utf-8") for seed, path in logs.items()}
    for seed, text in texts.items():
        write_whole(folder / f"train_seed{seed}.log", text.encode())
    picture(folder / "curves.png", {f"seed {seed}": curves(text) for seed, text in texts.items()})
    write_json(folder / "submission.json", claims(name, config, results))
    write_whole(folder / "README.md", readme(name, config, results).encode())


def claims(name: str, config: RunConfig, results: Sequence[Result]) -> dict[str, object]:
    """What `submission.json` says; author and date are for the author to fill in."""
    scores = [result.bpb for result in results]
    return {
        "author": "",
        "github_id": "",
        "name": name,
        "blurb": config.about,
        "date": "",
        "val_loss": statistics.fmean(result.loss for result in results),
        "val_bpb": statistics.fmean(scores),
        **({"val_bpb_std": statistics.stdev(scores)} if len(scores) > 1 else {}),
        "bytes_total": max(result.total_bytes for result in results),
        "bytes_code": results[0].code_bytes,
        "seeds": [result.seed for result in results],
        "seed_results": {
            str(result.seed): {
                "val_loss": result.loss,
                "val_bpb": result.bpb,
                "artifact_bytes": result.total_bytes,
                "steps": result.steps,
                "train_seconds": round(result.train_seconds, 1),
                "eval_seconds": round(result.evaluate_seconds, 1),
            }
            for result in results
        },
        "hardware": f"{results[0].processes}x {results[0].device}",
        "pytorch_version": torch.__version__,
    }


def table(results: Sequence[Result]) -> list[str]:
    """The seeds as lines of a Markdown table."""
    rows = [
        f"| {each.seed} | {each.steps:,} | {each.train_seconds:.1f} | {each.unrounded_bpb:.4f} | {each.bpb:.4f} "
        f"| {each.evaluate_seconds:.1f} | {each.total_bytes:,} |"
        for each in results
    ]
    return ["| seed | steps | training, s | unrounded | BPB | evaluation, s | bytes |", "|--" * 7 + "|", *rows]


def readme(name: str, config: RunConfig, results: Sequence[Result]) -> str:
    """What was run, how, and what came out."""
    scores = [result.bpb for result in results]
    spread = f", standard deviation {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
    launch = f"torchrun --standalone --nproc_per_node={results[0].processes} train_gpt.py"
    settings = json.dumps(as_dict(config)["evaluate"], indent=1)
    lines = [
        f"# {name}", "", config.about, "",
        f"**{statistics.fmean(scores):.4f} BPB**, mean of {len(scores)} seed{'s'[: len(scores) > 1]}{spread}; "
        f"{results[0].processes} x {results[0].device}.", "",
        *table(results), "",
        "Every token is scored from what comes before it, before anything is learnt from it; the scorer owns the loop "
        "and shows a predictor revealed tokens alone (`reference_impl/evaluate/stream.py`).", "",
        "```sh",
        *(f"SEED={result.seed} {launch}" for result in results),
        "```", "", "Evaluation:", "", "```json", settings, "```", "", "![loss and bits per byte](curves.png)", "",
    ]  # fmt: skip
    return "\n".join(lines)
