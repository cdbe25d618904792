"""Tokens a second and memory of the reference beside the script of PR #1092, in the same run.

    python -m benchmarks.equivalence.speed --mirror GITDIR [--rounds 12]

Both do the same work in turn in the sandbox: one CPU thread, float32, eager, a network of toy width. Times are CPU
seconds, medians over the rounds; memory is that of a process that holds one side alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auditor.sandbox import Limits, Status, run
from auditor.verdict import PgolfError
from benchmarks.equivalence.__main__ import source
from benchmarks.equivalence.names import environment
from benchmarks.equivalence.timed import CHUNK, SEQUENCE, STRIDE, TARGETS, TRAINED
from reference_impl.config import RunConfig, as_dict, load_preset

PRESET = "pr1092"
TOY = {
    "model.dim": "256", "train.sequence": str(SEQUENCE), "train.batch_tokens": str(TRAINED), "train.micro_batches": "2",
    "train.validate_batch_tokens": str(2 * TARGETS), "train.qat_below": "0", "evaluate.sequence": str(SEQUENCE),
    "evaluate.stride": str(STRIDE), "evaluate.adapt_chunk": str(CHUNK),
}  # fmt: skip
TOKENS = {"training step": TRAINED, "flat": TARGETS, "sliding": TARGETS, "ttt": TARGETS}
LIMITS = Limits(cpu_s=1500, wall_s=3000, memory_mb=8192, result_bytes=1 << 20)


def timed(config: RunConfig, mirror: Path, sides: str, rounds: int) -> Mapping[str, Any]:
    """What `timed.py` found in the sandbox; raises `PgolfError` when it did not get to the end."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(__file__).parents[2]
        (Path(folder) / "benchmarks").mkdir()
        shutil.copytree(root / "benchmarks" / "equivalence", Path(folder, "benchmarks", "equivalence"))
        shutil.copytree(root / "reference_impl", Path(folder, "reference_impl"))
        Path(folder, "train_gpt.py").write_text(source(PRESET, mirror), encoding="utf-8")
        Path(folder, "config.json").write_text(json.dumps(as_dict(config)), encoding="utf-8")
        outcome = run(
            [sys.executable, "-m", "benchmarks.equivalence.timed", "train_gpt.py", ".", sides, str(rounds)],
            workspace=Path(folder),
            env=environment(config),
            limits=LIMITS,
            collect=["timed.json"],
        )
    if outcome.status is not Status.OK:
        last = outcome.stderr.strip().splitlines()[-1:]
        raise PgolfError(f"{sides}: ended with {outcome.status}: {outcome.reason or ''} {' '.join(last)}")
    found: Mapping[str, Any] = json.loads(outcome.files["timed.json"])
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mirror", type=Path, required=True, metavar="GITDIR", help="clone with refs/pull/N/head")
    parser.add_argument("--rounds", type=int, default=12, metavar="N", help="of each kind of work; default: 12")
    options = parser.parse_args()
    config = load_preset(PRESET, TOY)
    seconds = timed(config, options.mirror, "script,reference", options.rounds)["seconds"]
    print(f"{config.model.layers} layers of {config.model.dim}, {os.cpu_count()} cores, one thread, float32, eager")
    print(f"{'work':<15} {'tokens/s, script':>17} {'reference':>10} {'ratio':>6}")
    for kind, tokens in TOKENS.items():
        script, ours = (tokens / statistics.median(seconds[side][kind]) for side in ("script", "reference"))
        print(f"{kind:<15} {script:>17,.0f} {ours:>10,.0f} {ours / script:>6.2f}")
    sides = [timed(config, options.mirror, side, 1)["memory"] / 2**20 for side in ("script", "reference")]
    print(f"{'memory, MiB':<15} {sides[0]:>17,.0f} {sides[1]:>10,.0f} {sides[1] / sides[0]:>6.2f}")


if __name__ == "__main__":
    try:
        main()
    except PgolfError as error:
        sys.exit(f"speed: {error}")
