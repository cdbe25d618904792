"""A submission of our own that trains in a second on a CPU, and what can be wrong with one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

SCRIPT = """
import glob, math, os, time, zlib
import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

class Hyperparameters:
    data_path = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp256")
    seed = int(os.environ.get("SEED", 1337))
    vocab_size = int(os.environ.get("VOCAB_SIZE", 256))
    iterations = int(os.environ.get("ITERATIONS", 3))
    seq_len = int(os.environ.get("TRAIN_SEQ_LEN", 64))
    max_wallclock_seconds = float(os.environ.get("MAX_WALLCLOCK_SECONDS", 600.0))

class GPT(nn.Module):
    def __init__(self, vocab, dim=16):
        super().__init__()
        self.emb, self.head = nn.Embedding(vocab, dim), nn.Linear(dim, vocab)
        nn.init.normal_(self.emb.weight, std=0.02)
        nn.init.zeros_(self.head.weight)

    def forward(self, x, y):
        return F.cross_entropy(self.head(self.emb(x)).flatten(0, 1).float(), y.flatten())

def load(pattern):
    file = sorted(glob.glob(pattern))[0]
    header = np.fromfile(file, dtype="<i4", count=256)
    return torch.from_numpy(np.fromfile(file, dtype="<u2", count=int(header[2]), offset=1024).astype(np.int64))

def evaluate(model, val, seq_len):
    count = (len(val) - 1) // seq_len * seq_len
    x, y = val[:count].view(-1, seq_len), val[1 : count + 1].view(-1, seq_len)
    with torch.no_grad():
        loss = float(model(x, y))
    return loss, loss / math.log(2.0) / 2.436

def main():
    args = Hyperparameters()
    rank = int(os.environ.get("RANK", 0))
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    def log0(text):
        if rank == 0:
            print(text)
    torch.manual_seed(args.seed)
    train = load(os.path.join(args.data_path, "fineweb_train_*.bin"))
    val = load(os.path.join(args.data_path, "fineweb_val_*.bin"))
    log0(f"val_loader:shards tokens:{(len(val) - 1) // args.seq_len * args.seq_len}")
    log0(f"world_size:{int(os.environ.get('WORLD_SIZE', 1))} seed:{args.seed}")
    model = GPT(args.vocab_size)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    start = time.perf_counter()
    for step in range(1, args.iterations + 1):
        at = torch.randint(len(train) - args.seq_len - 1, (8,))
        x = torch.stack([train[i : i + args.seq_len] for i in at.tolist()])
        y = torch.stack([train[i + 1 : i + args.seq_len + 1] for i in at.tolist()])
        loss = model(x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ms = 1000 * (time.perf_counter() - start)
        log0(f"step:{step}/{args.iterations} train_loss:{loss.item():.4f} train_time:{ms:.0f}ms")
    # HERE: TRAINED
    weights = zlib.compress(b"".join(p.detach().numpy().tobytes() for p in model.parameters()))
    # HERE: PACKED
    size = len(weights)
    code = os.path.getsize(__file__)
    if rank == 0:
        with open("final_model.int8.ptz", "wb") as file:
            file.write(weights)
    # HERE: SAVED
    log0(f"Serialized model int8+zlib: {size} bytes")
    log0(f"Code size: {code} bytes")
    log0(f"Total submission size int8+zlib: {size + code} bytes")
    loss, bpb = evaluate(model, val, args.seq_len)
    log0(f"final_int8_zlib_roundtrip_exact val_loss:{loss:.8f} val_bpb:{bpb:.8f} eval_time:10ms")

if __name__ == "__main__":
    main()
"""
"""Its tokens are bytes, and count as 2.436 of them: its score is then one that a model of text may have."""

OVER_CAP = SCRIPT.replace("# HERE: PACKED", "weights += os.urandom(16_000_000)").replace(
    "# HERE: SAVED", "size -= 10**6"
)
"""And prints less than it leaves."""
SLOW = SCRIPT.replace(
    "loss, bpb = evaluate", "while True:\n        torch.randn(64, 64) @ torch.randn(64, 64)\n    loss, bpb = evaluate"
)
"""Its evaluation does not end."""
FAILS = SCRIPT.replace("# HERE: TRAINED", "assert args.seed != 42, 'the loss is not finite'")


def submission(folder: Path, script: str = SCRIPT) -> Path:
    """A submission folder that claims nothing yet."""
    folder.mkdir(parents=True)
    (folder / "train_gpt.py").write_text(script)
    (folder / "README.md").write_text("# A miniature\n\nThree seeds on one CPU.\n")
    return folder


def claim(folder: Path, scores: Mapping[int, float], size: int) -> None:
    """Claim scores by seed, their mean, and a size."""
    claims = {
        "name": "A miniature",
        "val_bpb": round(sum(scores.values()) / len(scores), 6),
        "seeds": list(scores),
        "seed_results": {str(seed): {"val_bpb": round(score, 6), "steps": 3} for seed, score in scores.items()},
        "bytes_total": size,
    }
    (folder / "submission.json").write_text(json.dumps(claims))
