"""The reference against the published scripts: logits, scores, optimiser steps and rounded matrices.

    python -m benchmarks.equivalence --mirror GITDIR [--only baseline,pr549]

Each script is imported, unchanged, in the sandbox under the settings of our preset; nothing but numbers comes back.
Both sides compute in float32 on a CPU. Exit code 0 when every difference is below the tolerance, 1 otherwise.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from auditor.program.fstrings import parse
from auditor.sandbox import Limits, Status, run
from auditor.submission import open_target
from auditor.submission.unpack import unpack
from auditor.verdict import PgolfError
from benchmarks.equivalence.names import environment, renamed
from benchmarks.equivalence.weights import (
    CHUNK,
    LONG,
    MATRICES,
    SEQUENCE,
    SHORT,
    STEPS,
    STRIDE,
    TARGETS,
    Array,
    hessian,
    noise,
    tokens,
    weights,
)
from reference_impl.artifact.rounding import Rounded, gptq, levels, nearest, row_scales
from reference_impl.config import OptimConfig, RunConfig, load_preset, preset_names
from reference_impl.evaluate.predictors import make_predictor
from reference_impl.evaluate.score import score
from reference_impl.model import GPT
from reference_impl.optim.muon import Muon
from reference_impl.optim.world import World

PRESETS = ("baseline", "pr290", "pr490", "pr549", "pr715", "pr1019", "pr1092", "pr1092+", "pr1394", "pr1493")
EXTRA = {
    "model.trigram_buckets": "4096",
    "model.value_residual": "1",
    "model.value_residual_from": "0",
    "model.attention_gate": "gated",
}
"""What `pr1092+` switches on besides: what that script has, and its run left off."""
DELIBERATE = {
    ("pr490", "rounded, rows"): "it rounds by the scale as it is before that is stored in float16; the reference after",
}
"""Where the reference computes something else, and why."""
LIMITS = Limits(cpu_s=240, wall_s=300, memory_mb=4096, result_bytes=16 << 20)
TOLERANCE = 1e-5
"""Largest difference allowed, relative to the largest number on the script's side."""


@dataclass(frozen=True)
class Compared:
    """One array of both sides."""

    preset: str
    what: str
    difference: float
    """Largest absolute difference, over the largest absolute value."""


def relative(ours: Array, theirs: Array) -> float:
    """Largest absolute difference over the largest absolute value of the other side."""
    if ours.shape != theirs.shape:
        return float("inf")
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def configured(preset: str) -> RunConfig:
    """The run that is compared; its evaluation is that of the legal variant, where the published one was illegal."""
    name = preset.removesuffix("+")
    config = load_preset(name, EXTRA if preset.endswith("+") else None)
    legal = f"{name}-legal"
    return replace(config, evaluate=load_preset(legal).evaluate) if legal in preset_names() else config


def compare(preset: str, files: Mapping[str, bytes]) -> list[Compared]:
    """What the sandboxed script left behind, against the reference."""
    config = configured(preset)
    theirs = {name: np.load(io.BytesIO(data), allow_pickle=False) for name, data in files.items() if "npy" in name}
    about = json.loads(files["about.json"])
    shapes: dict[str, list[int]] = about["shapes"]
    model = GPT(config.model)
    published = {name: weights(name, shape) for name, shape in shapes.items()}
    model.load_state_dict({name: torch.tensor(value) for name, value in renamed(published).items()}, strict=True)
    rows = torch.tensor(tokens(config.model.vocab, SHORT + 1))[:, :-1]
    long = torch.tensor(tokens(config.model.vocab, LONG + 1))[:1, :-1]
    found = []
    for name, inputs, recur in (("plain", rows, False), ("recurrent", rows, True), ("long", long, False)):
        if f"logits-{name}.npy" in theirs:
            with torch.no_grad():
                ours = model(inputs, recur=recur)[:, -SHORT:].flatten(0, 1).numpy()
            found.append(Compared(preset, f"logits, {name}", relative(ours, theirs[f"logits-{name}.npy"])))
    found += [Compared(preset, what, difference) for what, difference in compare_scores(model, config, theirs)]
    found += [Compared(preset, what, difference) for what, difference in compare_rounding(theirs, config)]
    for i, ours in enumerate(run_muon(about["muon"], banked="qo_bank" in shapes)):
        found.append(
            Compared(preset, f"Muon, {MATRICES[i]}", relative(ours, theirs[f"muon-{i}.npy"].reshape(ours.shape)))
        )
    return found


def compare_scores(model: GPT, config: RunConfig, theirs: Mapping[str, Array]) -> Iterator[tuple[str, float]]:
    """Nats of every target, and bits per byte, of the sliding windows and of score-first training."""
    stream = tokens(config.model.vocab, TARGETS + 1)[0].astype(np.uint16)
    text_bytes = (stream[1:] % 5 + 1).sum()
    settings = replace(config.evaluate, sequence=SEQUENCE, stride=STRIDE, adapt_chunk=CHUNK)
    ways = {"sliding": replace(settings, adapt="none"), "ttt": settings}
    for name, way in ways.items():
        if f"scores-{name}.npy" not in theirs or (name == "ttt" and way.adapt == "none"):
            continue
        published = by_target(theirs[f"scores-{name}.npy"])
        ours = score(make_predictor(model, way), stream, batch=32 * SEQUENCE).numpy()
        chunks = np.abs(ours - published).reshape(-1, CHUNK).max(1) / published.max()
        yield from ((f"{name}, chunk {i + 1}", float(each)) for i, each in enumerate(chunks) if name == "ttt")
        if name == "sliding":
            yield "sliding, nats", float(chunks.max())
        bpb = ours.sum() / np.log(2) / text_bytes
        yield f"{name}, BPB", abs(bpb / (published.sum() / np.log(2) / text_bytes) - 1)


def by_target(windows: Array) -> Array:
    """Nats of each target once: windows that reach beyond the text score its end again, and are left out."""
    full = (TARGETS - SEQUENCE) // STRIDE + 1
    return np.concatenate([windows[0], *(row[-STRIDE:] for row in windows[1:full])])


def compare_rounding(theirs: Mapping[str, Array], config: RunConfig) -> Iterator[tuple[str, float]]:
    """Matrices after rounding, with the script's scales; and our scales where the preset clips as the script does."""
    matrix, inputs = torch.tensor(noise("matrix3", MATRICES[-1])), torch.tensor(hessian())
    for way, bits in (("table", 8), ("rows", 6), ("gptq", 6)):
        if f"codes-{way}.npy" not in theirs:
            continue
        published = Rounded(*(torch.tensor(theirs[f"{part}-{way}.npy"]) for part in ("codes", "scales")))
        scales = published.scales.half()
        if way == "gptq":
            ours = gptq(matrix, inputs, scales, bits)
        elif way == "rows":
            ours = nearest(matrix, scales, bits)
        else:  # the scripts round tables by the scale as it is before they store it in float16, the reference after
            exact = torch.quantile(matrix.abs(), config.artifact.clip_quantile, dim=1) / levels(bits)
            ours = Rounded(nearest(matrix, exact, bits).codes, scales)
        yield f"rounded, {way}", relative(ours.dense().numpy(), published.dense().numpy())
        clip = replace(config.artifact, clip="quantile") if way == "table" else config.artifact
        if clip.clip in ("max", "quantile", "sigmas"):
            yield f"scales, {way}", relative(row_scales(matrix, bits, clip).float().numpy(), published.scales.numpy())


def run_muon(options: Mapping[str, float], *, banked: bool) -> list[Array]:
    """The same steps by the reference; banked scripts hold two matrices of each shape in one tensor."""
    shapes = [(2, *shape) if banked else (1, *shape) for shape in MATRICES]
    values = [noise(f"matrix{i}", shape if banked else shape[1:]).reshape(shape) for i, shape in enumerate(shapes)]
    stacks = [[torch.nn.Parameter(torch.tensor(matrix)) for matrix in value] for value in values]
    config = OptimConfig(
        matrix_decay=options.get("weight_decay", 0.0), row_normalize=bool(options.get("row_normalize", False))
    )
    muon = Muon([matrix for stack in stacks for matrix in stack], config, World(), torch.float32)
    for step in range(STEPS):
        for i, stack in enumerate(stacks):
            gradient = torch.tensor(noise(f"gradient{i} {step}", shapes[i] if banked else shapes[i][1:]))
            for matrix, own in zip(stack, gradient.reshape(shapes[i]), strict=True):
                matrix.grad = own
        muon.start()
        muon.squared_norm()
        muon.step(options["lr"], 0.85 + 0.05 * step, 1.0)
    return [torch.stack([*stack]).detach().numpy() for stack in stacks]


def source(preset: str, mirror: Path) -> str:
    """The published script, unpacked, in the grammar of this Python."""
    if preset == "baseline":
        command = ["git", "--git-dir", str(mirror), "show", "HEAD:train_gpt.py"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    submission = open_target(preset.strip("pr+"), mirror=mirror, repo="openai/parameter-golf")
    text = unpack(submission.code, siblings={}, name=submission.script or "").text
    try:
        ast.parse(text)
    except SyntaxError:  # f-strings of Python 3.12
        return ast.unparse(parse(text))
    return text


def published(preset: str, mirror: Path) -> Mapping[str, bytes]:
    """What the script computes, from the sandbox; raises `PgolfError` when it does not get that far."""
    names = [
        "about.json",
        *(f"logits-{name}.npy" for name in ("plain", "recurrent", "long")),
        *(f"muon-{i}.npy" for i in range(len(MATRICES))),
        *(f"{part}-{name}.npy" for part in ("scores", "reported") for name in ("sliding", "ttt")),
        *(f"{part}-{way}.npy" for part in ("codes", "scales") for way in ("table", "rows", "gptq")),
    ]
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder, "benchmarks", "equivalence")
        inside.mkdir(parents=True)
        for name in ("inside.py", "weights.py"):
            shutil.copy(Path(__file__).parent / name, inside)
        Path(folder, "train_gpt.py").write_text(source(preset, mirror), encoding="utf-8")
        outcome = run(
            [sys.executable, "-m", "benchmarks.equivalence.inside", "train_gpt.py", "."],
            workspace=Path(folder),
            env=environment(configured(preset)),
            limits=LIMITS,
            collect=names,
        )
    if outcome.status is not Status.OK:
        last = outcome.stderr.strip().splitlines()[-1:]
        raise PgolfError(f"{preset}: the script ended with {outcome.status}: {outcome.reason or ''} {' '.join(last)}")
    return outcome.files


def main() -> int:
    """Compare the presets that were asked for, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mirror", type=Path, required=True, metavar="GITDIR", help="clone with refs/pull/N/head")
    parser.add_argument("--only", default=",".join(PRESETS), metavar="LIST", help="presets; default: all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    wrong = 0
    print(f"{'preset':<10} {'what':<20} relative difference")
    for preset in track(options.only.split(","), "compare", console=Console(stderr=True), transient=True):
        for each in compare(preset, published(preset, options.mirror)):
            reason = DELIBERATE.get((each.preset, each.what))
            off = each.difference > TOLERANCE
            mark = f"  deliberate: {reason}" if off and reason else "  too large" if off else ""
            wrong += off and reason is None
            print(f"{each.preset:<10} {each.what:<20} {each.difference:.1e}{mark}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PgolfError as error:
        sys.exit(f"equivalence: {error}")
