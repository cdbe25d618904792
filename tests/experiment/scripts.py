"""Miniature submissions, written for the tests: one model, and the styles in which submissions set it up."""

from __future__ import annotations

MODEL = """
import glob, os, subprocess, sys, time
import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F
from torch import nn

class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.norm = nn.RMSNorm(dim)
    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).unflatten(2, (3, 2, -1)).unbind(2)
        return x + self.out(attend(q, k, v).flatten(2))

class GPT(nn.Module):
    def __init__(self, vocab, dim, layers):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim)
        self.blocks = nn.ModuleList(Block(dim) for _ in range(layers))
    def forward(self, x, y):
        x = self.emb(x)
        for block in self.blocks:
            x = block(x)
        return loss_of(x.flatten(0, 1) @ self.emb.weight.T, y.flatten())

def attend(q, k, v):
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)

def loss_of(logits, y):
    return F.cross_entropy(logits.float(), y)

def load_shard(file):
    header = np.fromfile(file, dtype="<i4", count=256)
    assert header[0] == 20240520 and header[1] == 1
    tokens = np.fromfile(file, dtype="<u2", count=int(header[2]), offset=1024)
    assert len(tokens) == header[2]
    return torch.from_numpy(tokens.astype(np.int64))

def step(vocab, dim, layers, seq_len, batch_tokens, data, tokenizer):
    sp = spm.SentencePieceProcessor(model_file=tokenizer)
    assert sp.vocab_size() == vocab, f"{sp.vocab_size()} tokens, not {vocab}"
    tokens = load_shard(sorted(glob.glob(os.path.join(data, "fineweb_train_*.bin")))[0])
    assert batch_tokens % (8 * seq_len) == 0 and batch_tokens <= 8192, f"a batch of {batch_tokens} on a CPU"
    assert torch.cuda.is_available()
    device = torch.device("cuda", 0)
    torch.cuda.set_device(device)
    model = torch.compile(GPT(vocab, dim, layers).to(device), fullgraph=True)
    batch = tokens[: batch_tokens + 1].to(device, non_blocking=True)
    x, y = batch[:-1].view(-1, seq_len), batch[1:].view(-1, seq_len)
    with torch.autocast(device_type="cuda", dtype=torch.bfloat16):
        loss = model(x, y)
    loss.backward()
    raise AssertionError("the run goes on behind the first step")
"""

PLAIN = (
    MODEL
    + """
class Hyperparameters:
    data_path = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    tokenizer_path = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
    vocab_size = int(os.environ.get("VOCAB_SIZE", 512))
    num_layers = int(os.environ.get("NUM_LAYERS", 3))
    model_dim = int(os.environ.get("MODEL_DIM", 32))
    train_seq_len = int(os.environ.get("TRAIN_SEQ_LEN", 2048))
    train_batch_tokens = int(os.environ.get("TRAIN_BATCH_TOKENS", 786_432))

def main():
    h = Hyperparameters()
    step(h.vocab_size, h.model_dim, h.num_layers, h.train_seq_len, h.train_batch_tokens, h.data_path, h.tokenizer_path)

if __name__ == "__main__":
    main()
"""
)
"""Settings from the environment."""

KERNELS = (
    "from __future__ import annotations\n"
    + MODEL
    + """
import torch.distributed as dist
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from flash_attn_interface import flash_attn_func
import triton, triton.language as tl
import wandb
from helpers import WIDTH

def attend(q, k, v):
    return flash_attn_func(q, k, v, causal=True)

@triton.jit
def scale_kernel(x, out, n, factor, block: tl.constexpr):
    at = tl.program_id(0) * block + tl.arange(0, block)
    tl.store(out + at, tl.load(x + at, mask=at < n) * factor, mask=at < n)

def scaled(x, factor):
    x, out = x.contiguous(), torch.empty_like(x)
    assert x.is_cuda
    scale_kernel[(triton.cdiv(x.numel(), 1024),)](x, out, x.numel(), factor, block=1024, num_warps=4)
    return out

@torch.library.custom_op("miniature::scaled", mutates_args=())
def scaled_op(x: torch.Tensor, factor: float) -> torch.Tensor:
    return scaled(x, factor)

class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return scaled_op(x, 2.0)
    @staticmethod
    def backward(ctx, grad):
        return scaled(grad, 2.0) * torch.ones(1, device="cuda")

def loss_of(logits, y):
    return F.cross_entropy(Scale.apply(logits.float()), y)

@dataclass
class Config:
    seq_len: int = 64 * 32
    batch_tokens: int = 2048 * 48 * 8
    note: str = f"{"nested"!r}"

class Optimizer:
    pass

print(subprocess.run(["nvidia-smi"], capture_output=True, text=True).stdout)
dist.init_process_group(backend="nccl")
total = torch.ones(3, device="cuda")
dist.all_reduce(total, op=dist.ReduceOp.AVG)
with ThreadPoolExecutor(4) as pool:
    futures = [pool.submit(torch.zeros, 2, device="cuda") for _ in range(3)]
    assert all(future.result().sum() == 0 for future in futures)
with torch.inference_mode():
    table = torch.ones(3)
assert (table * torch.ones(3, requires_grad=True)).requires_grad
start = time.time()
assert time.time() > start
assert Path(__file__).resolve().parents[3].name and os.getcwd() == os.path.dirname(__file__)
c = Config()
step(512, WIDTH, 2, c.seq_len, c.batch_tokens, "/somewhere/else/fineweb10B_sp512", "/root/fineweb_512_bpe.model")
"""
)
"""Literal settings in a dataclass, no `main`, kernels, an absent package, a sibling, paths of another machine."""

ARGPARSE = (
    MODEL
    + """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--train-seq-len", type=int, default=1024)
parser.add_argument("--train-batch-tokens", type=int, default=8 * 65536)
a = parser.parse_args()
step(512, 16, 1, a.train_seq_len, a.train_batch_tokens, "data", os.environ.get("TOKENIZER_PATH", "x.model"))
"""
)
"""Settings by options."""

BROKEN = PLAIN.replace("loss = model(x, y)", "loss = modell(x, y)")
ABSENT = PLAIN.replace("import torch\n", "import torch\nfrom mamba_ssm import scan\n", 1).replace(
    "x = block(x)", "x = scan(block(x))"
)
UNSUPPORTED = PLAIN.replace("loss.backward()", "torch.cuda.CUDAGraph().replay()")
ENDLESS = "while True:\n    VOCAB_SIZE = 512\n"
NO_STEP = "VOCAB_SIZE = 512\nprint('nothing to do')\n"
UNREADABLE = "def main(:\n"
