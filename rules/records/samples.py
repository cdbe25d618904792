"""A small submission with logs, written for this project, that the examples of these rules vary."""

from __future__ import annotations

from rules.base import Example
from rules.miniature import script

CODE = script("""
    def evaluate(s, model, val):
        return plain_eval(s, model, val)
""")

_LOG = """\
val_loader:shards pattern=./data/fineweb_val_*.bin tokens:62021632
world_size:8 grad_accum_steps:1
iterations:20000 train_batch_tokens:524288 epochs:3
seed:{seed}
step:1/20000 train_loss:6.9408 train_time:50ms step_avg:49.97ms
step:13000/20000 train_loss:2.0617 train_time:{train_ms}ms step_avg:46.14ms
stopping_early: wallclock_cap train_time:{train_ms}ms step:13000/20000
{calibration}Code size: {code} bytes
Serialized model int6+lzma: {model} bytes
Total submission size int6+lzma: {total} bytes
final_int6_sliding_window_exact val_loss:{loss:.8f} val_bpb:{bpb:.8f} eval_time:{eval_ms}ms
"""
_SCORES = {1337: 1.2194, 42: 1.2197, 7: 1.2203}
_NATS = 1.68846
"""Nats per token for each bit per byte, with 151,080,363 bytes in 62,021,632 tokens."""


def log(
    seed: int,
    *,
    train_ms: int = 599_950,
    eval_ms: int = 115_552,
    model: int = 15_820_800,
    calibration: str = "",
    inflation: float = 1.0,
    bpb: float | None = None,
) -> str:
    """One log; `inflation` is by how much the bytes are counted too high."""
    score = _SCORES[seed] if bpb is None else bpb
    return _LOG.format(
        seed=seed,
        train_ms=train_ms,
        eval_ms=eval_ms,
        model=model,
        code=len(CODE),
        total=model + len(CODE),
        calibration=calibration,
        loss=score * _NATS,
        bpb=score / inflation,
    )


DECLARED = """\
{
  "name": "A miniature",
  "val_bpb": 1.2198,
  "seeds": [1337, 42, 7],
  "seed_results": {
    "1337": {"val_bpb": 1.2194},
    "42": {"val_bpb": 1.2197},
    "7": {"val_bpb": 1.2203}
  }
}
"""
README = "# A miniature\n\nval_bpb: 1.2198, the mean of three seeds.\n"
SOUND = {
    "README.md": README,
    "submission.json": DECLARED,
    **{f"train_seed{seed}.log": log(seed) for seed in _SCORES},
}


def example(title: str, fires: bool, *, without: tuple[str, ...] = (), **changed: str) -> Example:
    """The sound submission without some files and with others changed, each by its name up to the dot."""
    files = {name: changed.pop(name.partition(".")[0], text) for name, text in SOUND.items() if name not in without}
    return Example(title, CODE, fires, files=tuple({**files, **changed}.items()))
