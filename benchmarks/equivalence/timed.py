"""Runs in the sandbox: the script of PR #1092 and the reference do the same work in turn, on one CPU thread.

    python -m benchmarks.equivalence.timed SCRIPT OUT SIDES ROUNDS

SIDES is `script`, `reference` or `script,reference`. OUT receives `timed.json`: CPU seconds of each round of each kind
of work by side, and the most memory that the process took, so that one side alone says what it needs.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.equivalence import inside
from benchmarks.equivalence.weights import weights
from reference_impl.config import RunConfig, from_table
from reference_impl.data.dataset import Dataset
from reference_impl.data.loaders import contiguous
from reference_impl.data.shards import Tokens
from reference_impl.evaluate.predictors import make_predictor
from reference_impl.evaluate.score import score
from reference_impl.optim.world import World
from reference_impl.train import Run
from reference_impl.validation import validate

CPU = torch.device("cpu")
SEQUENCE, STRIDE, CHUNK, TARGETS, TRAINED = 256, 64, 512, 1024, 2048
"""Length and stride of windows, tokens between two trainings, tokens that are scored, tokens of a training step."""
Work = Callable[[], object]


def attention(q: Tensor, k: Tensor, v: Tensor, causal: bool = True) -> Tensor:
    """FlashAttention by PyTorch's own kernel, which the reference takes on a CPU too."""
    y = F.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=causal, enable_gqa=True
    )
    return y.transpose(1, 2)


class Text:
    """As much of a data set as is needed here, in memory."""

    def __init__(self, vocab: int) -> None:
        self.tokens: Tokens = np.random.default_rng(1).integers(0, vocab, TRAINED + TARGETS + 2).astype(np.uint16)
        self.validation = self.tokens[: TARGETS + 1]

    def read(self, start: int, count: int) -> Tokens:
        """The training tokens, the same for every step."""
        return self.tokens[:count]

    def target_bytes(self, start: int, count: int) -> Tensor:
        """Bytes of the targets."""
        return torch.ones(count, dtype=torch.int64)


def reference_work(config: RunConfig, text: Text) -> dict[str, Work]:
    """The kinds of work as the reference does them."""
    rows = config.train.batch_tokens // config.train.micro_batches // SEQUENCE
    run = Run(config, World(), CPU, contiguous(text, rows, SEQUENCE))  # type: ignore[arg-type]
    data: Dataset = text  # type: ignore[assignment]
    sliding = replace(config.evaluate, adapt="none")
    return {
        "training step": run.advance,
        "flat": lambda: validate(run.model, data, config, World(), recur=False),
        "sliding": lambda: score(make_predictor(run.model, sliding), text.validation, batch=32 * SEQUENCE),
        "ttt": lambda: score(make_predictor(run.model, config.evaluate), text.validation, batch=32 * SEQUENCE),
    }


def script_work(script: Any, config: RunConfig, text: Text) -> dict[str, Work]:
    """The kinds of work as the script does them: its model, optimisers and evaluations, its loop's lines in order."""
    model = inside.build(script).float()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.tensor(weights(name, parameter.shape)))
    banks = [parameter for name, parameter in model.named_parameters() if name.endswith("_bank")]
    others = [parameter for name, parameter in model.named_parameters() if not name.endswith("_bank")]
    optim = config.optim
    muon = script.Muon(banks, lr=optim.matrix_lr, momentum=0.9, backend_steps=5, weight_decay=optim.matrix_decay)
    adam = torch.optim.AdamW(
        others, lr=optim.scalar_lr, betas=(optim.beta1, optim.beta2), weight_decay=optim.scalar_decay, fused=True
    )
    average = {name: value.detach().float().clone() for name, value in model.state_dict().items()}
    count = config.train.micro_batches
    x, y = contiguous(text, config.train.batch_tokens // count // SEQUENCE, SEQUENCE)(0)  # type: ignore[arg-type]

    def step() -> None:
        model.train()
        for _ in range(count):
            (model(x, y) / count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), optim.clip_norm)
        muon.launch_reduce_scatters()
        adam.step()
        muon.step()
        model.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, value in model.state_dict().items():
                average[name].mul_(0.997).add_(value.detach().float(), alpha=0.003)

    stream = torch.from_numpy(text.validation.astype(np.int64))
    batch = config.train.validate_batch_tokens
    known = inside.known_arguments(script, model, stream, SEQUENCE, STRIDE, CHUNK, val_batch_size=batch)
    known["grad_accum_steps"] = count
    return {
        "training step": step,
        "flat": lambda: inside.called(script.eval_val, known),
        "sliding": lambda: inside.called(script.eval_val_sliding, known),
        "ttt": lambda: inside.called(script.eval_val_sliding_ttt, known),
    }


def main() -> None:
    """Do the work of the sides in turn, and write what it took."""
    path, out, sides, rounds = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(","), int(sys.argv[4])
    torch.set_num_threads(1)
    inside.pretend()
    sys.modules["flash_attn_interface"].flash_attn_func = attention  # type: ignore[attr-defined]
    config = from_table(json.loads((out / "config.json").read_text()))
    text = Text(config.model.vocab)
    work: dict[str, dict[str, Work]] = {}
    if "script" in sides:
        work["script"] = script_work(inside.load(path), config, text)
    if "reference" in sides:
        work["reference"] = reference_work(config, text)
    seconds: dict[str, dict[str, list[float]]] = {side: {kind: [] for kind in work[side]} for side in work}
    for kind in ("training step", "flat", "sliding", "ttt"):
        for number in range(rounds + 1):  # the first is to warm up
            for side in sorted(work, reverse=bool(number % 2)):
                started = time.process_time()
                work[side][kind]()
                if number:
                    seconds[side][kind].append(time.process_time() - started)
    found = {"seconds": seconds, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    (out / "timed.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
