"""Runs in the sandbox: imports a published script and writes what its model and its Muon compute, as data.

    python -m benchmarks.equivalence.inside SCRIPT OUT

The script runs unchanged on a CPU, in float32 throughout: the names `bfloat16` mean float32, `torch.compile` and CUDA
do nothing, and FlashAttention is the textbook formula. Its `main` is not called. OUT receives `about.json` (names and
shapes of the parameters, options of Muon), `logits-*.npy` (plain, long, recurrent
where layers recur), `muon-I.npy`, `scores-*.npy` and `reported-*.npy` (sliding, ttt; where the script has them) and
`codes-*.npy` and `scales-*.npy` (rows rounded to the nearest, GPTQ).
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.equivalence.weights import (
    CHUNK,
    LONG,
    MATRICES,
    SEQUENCE,
    SHORT,
    STEPS,
    STRIDE,
    TARGETS,
    hessian,
    noise,
    tokens,
    weights,
)


def flash_attention(q: Tensor, k: Tensor, v: Tensor, causal: bool = True) -> Tensor:
    """Causal attention by its definition; (b, t, heads, e)."""
    repeats = q.size(2) // k.size(2)
    k, v = k.repeat_interleave(repeats, dim=2), v.repeat_interleave(repeats, dim=2)
    scores = torch.einsum("bthe,bshe->bhts", q, k) / q.size(-1) ** 0.5
    later = torch.ones(q.size(1), q.size(1)).triu(1).bool()
    return torch.einsum("bhts,bshe->bthe", scores.masked_fill(later, -torch.inf).softmax(-1), v)


def pretend() -> None:
    """Make torch mean float32 on a CPU, and FlashAttention importable."""
    torch.bfloat16 = torch.float32
    torch.Tensor.bfloat16 = torch.Tensor.float  # type: ignore[method-assign]
    torch.nn.Module.bfloat16 = torch.nn.Module.float  # type: ignore[method-assign]
    torch.compile = lambda function=None, **_: function if function else (lambda inner: inner)  # type: ignore
    module: Any = types.ModuleType("flash_attn_interface")
    module.flash_attn_func = flash_attention
    sys.modules["flash_attn_interface"] = module


def clip_exactly(parameters: Iterable[Tensor], max_norm: float) -> None:
    """Clip the gradients by their norm, which PyTorch's sum in float32 misses by 3e-4 on a CPU for a whole bank."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.stack([gradient.double().norm() for gradient in gradients]).norm()
    for gradient in gradients:
        gradient.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0).float())


def load(path: Path) -> Any:
    """Import the script under another name than `__main__`."""
    spec = importlib.util.spec_from_file_location("published", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["published"] = module
    spec.loader.exec_module(module)
    return module


def build(script: Any) -> Any:
    """The script's model under its own hyperparameters, whose names are those of the constructor's arguments."""
    settings = script.Hyperparameters()
    wanted = list(inspect.signature(script.GPT.__init__).parameters)[1:]
    if wanted == ["h"]:
        return script.GPT(settings)
    spelled = {name: name if hasattr(settings, name) else f"{name}_enabled" for name in wanted}
    return script.GPT(**{name: getattr(settings, spelling) for name, spelling in spelled.items()})


def logits_of(model: Any, rows: Tensor) -> Any:
    """What the forward pass hands to the cross-entropy, for the last positions; (b x t, v)."""
    seen = []
    real = F.cross_entropy

    def spy(logits: Tensor, *rest: Any, **options: Any) -> Tensor:
        seen.append(logits.detach().float())
        return real(logits, *rest, **options)

    F.cross_entropy = spy  # type: ignore[assignment]
    model(rows[:, :-1], rows[:, 1:])
    F.cross_entropy = real
    logits = seen[0].reshape(len(rows), -1, seen[0].size(-1))[:, -SHORT:]
    return logits.flatten(0, 1).numpy()


def muon_options(script: Any) -> dict[str, Any]:
    """Options of the script's optimiser, those that only some have included."""
    known = inspect.signature(script.Muon.__init__).parameters
    special = {"weight_decay": 0.1, "row_normalize": True}
    return {"lr": 0.05, **{name: value for name, value in special.items() if name in known}}


def run_muon(script: Any, banked: bool) -> list[Any]:
    """Matrices after some steps of the script's optimiser on given gradients."""
    shapes = [(2, *shape) if banked else shape for shape in MATRICES]
    parameters = [torch.nn.Parameter(torch.tensor(noise(f"matrix{i}", shape))) for i, shape in enumerate(shapes)]
    optimizer = script.Muon(parameters, momentum=0.9, backend_steps=5, **muon_options(script))
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["momentum"] = 0.85 + 0.05 * step
        for i, parameter in enumerate(parameters):
            parameter.grad = torch.tensor(noise(f"gradient{i} {step}", shapes[i]))
        optimizer.step()
    return [parameter.detach().numpy() for parameter in parameters]


def known_arguments(
    script: Any, model: Any, stream: Tensor, sequence: int, stride: int, chunk: int, **more: Any
) -> dict[str, Any]:
    """What the evaluations of the scripts are handed, by the names that they give it; `more` are settings."""
    settings = script.Hyperparameters()
    vocab = model.tok_emb.weight.size(0)
    changed = {"train_seq_len": sequence, "eval_seq_len": sequence, "ttt_chunk_tokens": chunk, **more}
    changed["ttt_freeze_blocks"] = 0  # as the READMEs run it
    for name, value in {**changed, "eval_stride": stride}.items():
        setattr(settings, name, value)
    no = torch.zeros(vocab, dtype=torch.bool)
    data = {
        "val_tokens": stream,
        "base_bytes_lut": torch.arange(vocab, dtype=torch.int16) % 5 + 1,
        "has_leading_space_lut": no,
        "is_boundary_token_lut": no,
    }
    own = {name: getattr(settings, name) for name in dir(settings) if not name.startswith("_")}
    place = {"rank": 0, "world_size": 1, "device": torch.device("cpu"), "log0": lambda *_, **__: None}
    return {
        **own, **changed, **data, **place, "stride": stride, "args": settings, "h": settings,
        "base_model": model, "model": model, "val_data": types.SimpleNamespace(**data),
    }  # fmt: skip


def called(function: Any, known: dict[str, Any]) -> Any:
    """A function of a script, with those of its arguments that are known."""
    wanted = inspect.signature(function).parameters
    return function(**{name: known[name] for name in wanted if name in known})


def scores_of(evaluation: Any, known: dict[str, Any]) -> tuple[Any, Any]:
    """Nats of all targets of all windows (windows, t), in the order of the text, and what the function returned."""
    seen: list[Tensor] = []
    real = F.cross_entropy

    def spy(logits: Tensor, *rest: Any, **options: Any) -> Tensor:
        found = real(logits, *rest, **options)
        if options.get("reduction") == "none":
            seen.append(found.detach().clone())
        return found

    F.cross_entropy = spy  # type: ignore[assignment]
    reported = called(evaluation, known)
    F.cross_entropy = real
    return torch.cat(seen).double().reshape(-1, SEQUENCE).numpy(), np.array(reported[:2])


def evaluate(script: Any, model: Any, out: Path) -> None:
    """Write what the script's evaluations find; the one that trains comes last."""
    with torch.no_grad():  # fills the cache of rotary angles outside of inference mode, as training does
        model(*torch.tensor(tokens(model.tok_emb.weight.size(0), SEQUENCE))[:, None])
    stream = torch.tensor(tokens(model.tok_emb.weight.size(0), TARGETS + 1))[0]
    for name, functions in (("sliding", ("eval_val_sliding",)), ("ttt", ("eval_val_sliding_ttt", "eval_val_ttt"))):
        for function in functions:
            if hasattr(script, function):
                known = known_arguments(script, model, stream, SEQUENCE, STRIDE, CHUNK)
                scores, reported = scores_of(getattr(script, function), known)
                np.save(out / f"scores-{name}.npy", scores)
                np.save(out / f"reported-{name}.npy", reported)


def round_matrices(script: Any, out: Path) -> None:
    """Write codes and scales of the last matrix, by each of the script's ways to round one."""
    matrix, inputs = torch.tensor(noise("matrix3", MATRICES[-1])), torch.tensor(hessian())
    known = {
        "clip_range": 31,
        "clip_sigmas": 12.85,
        "t": matrix,
        "w": matrix,
        "weight": matrix,
        "H": inputs,
        "hessian": inputs,
    }
    ways = {
        "table": ("quantize_float_tensor",),
        "rows": ("quantize_int6_per_row",),
        "gptq": ("quantize_int6_gptq", "gptq_quantize_weight"),
    }
    for way, functions in ways.items():
        for function in functions:
            if hasattr(script, function):
                codes, scales = called(getattr(script, function), known)
                np.save(out / f"codes-{way}.npy", codes.numpy())
                np.save(out / f"scales-{way}.npy", scales.float().numpy())


def main() -> None:
    """Compute and write everything."""
    path, out = Path(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    pretend()
    torch.nn.utils.clip_grad_norm_ = clip_exactly  # type: ignore[assignment]
    script = load(path)
    model = build(script).float()
    shapes = {name: list(parameter.shape) for name, parameter in model.named_parameters()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.tensor(weights(name, parameter.shape)))
    vocab = model.tok_emb.weight.size(0)
    rows = torch.tensor(tokens(vocab, SHORT + 1))
    with torch.no_grad():
        np.save(out / "logits-plain.npy", logits_of(model, rows))
        np.save(out / "logits-long.npy", logits_of(model, torch.tensor(tokens(vocab, LONG + 1))[:1]))
    if hasattr(model, "looping_active"):
        model.looping_active = True
        np.save(out / "logits-recurrent.npy", logits_of(model, rows))
    for i, matrix in enumerate(run_muon(script, banked="qo_bank" in shapes)):
        np.save(out / f"muon-{i}.npy", matrix)
    round_matrices(script, out)
    model.looping_active = True  # as at the end of training
    evaluate(script, model, out)
    (out / "about.json").write_text(json.dumps({"shapes": shapes, "muon": muon_options(script)}))


if __name__ == "__main__":
    main()
