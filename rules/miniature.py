"""A whole miniature submission, written for this project, around the lines that a rule's example is about."""

from __future__ import annotations

import textwrap

_HEAD = """\
import glob, math, os
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

class Settings:
    val_files = os.path.join(os.environ.get("DATA_PATH", "./data"), "fineweb_val_*.bin")
    train_files = os.path.join(os.environ.get("DATA_PATH", "./data"), "fineweb_train_*.bin")
    vocab, dim, layers = 1024, 512, 4
    seq_len = 1024
    adapt = bool(int(os.environ.get("ADAPT", "1")))
    epochs = int(os.environ.get("EPOCHS", "3"))

def read_shards(pattern):
    shards = [np.fromfile(f, dtype=np.uint16).astype(np.int64) for f in sorted(glob.glob(pattern))]
    return torch.cat([torch.from_numpy(shard) for shard in shards])

class Layer(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.mix = nn.Linear(dim, dim, bias=False)
    def forward(self, x):
        return x + torch.relu(self.mix(x)).square()

class Model(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.embed = nn.Embedding(s.vocab, s.dim)
        self.layers = nn.ModuleList([Layer(s.dim) for _ in range(s.layers)])
        self.head = nn.Linear(s.dim, s.vocab, bias=False)
    def logits(self, ids):
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)
    def forward(self, ids, targets):
        return F.cross_entropy(self.logits(ids).flatten(0, 1).float(), targets.flatten())

def window(tokens, start, length):
    part = tokens[start:start + length + 1]
    return part[:-1].unsqueeze(0), part[1:].unsqueeze(0)

def plain_eval(s, model, val):
    total, count = torch.zeros(()), 0
    for start in range(0, val.numel() - s.seq_len, s.seq_len):
        x, y = window(val, start, s.seq_len)
        with torch.no_grad():
            total += model(x, y) * y.numel()
        count += y.numel()
    return (total / count).item()

def fit(s, model, train):
    opt = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(100):
        x, y = window(train, step * s.seq_len, s.seq_len)
        opt.zero_grad()
        model(x, y).backward()
        opt.step()

"""

_TAIL = """
def main():
    s = Settings()
    model = Model(s)
    fit(s, model, read_shards(s.train_files))
    val = read_shards(s.val_files)
    loss = evaluate(s, model, val)
    print(f"final val_loss:{loss:.6f} val_bpb:{loss / math.log(2.0) * 0.41:.6f}")

if __name__ == "__main__":
    main()
"""


def script(evaluate: str) -> str:
    """A submission whose evaluation is `evaluate(s, model, val)`."""
    return _HEAD + textwrap.dedent(evaluate).strip("\n") + "\n" + _TAIL
