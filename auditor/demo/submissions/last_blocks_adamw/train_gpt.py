"""A miniature submission for `pgolf demo`: score-first test-time training of the last blocks with AdamW."""

from __future__ import annotations

import io
import lzma
import math
import os
import random
import time
from pathlib import Path

import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Hyperparameters:
    data_dir = Path(os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024"))
    tokenizer_file = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
    run_seed = int(os.environ.get("SEED", "1337"))
    steps = int(os.environ.get("ITERATIONS", "1500"))
    rows_per_step = int(os.environ.get("TRAIN_BATCH_ROWS", "32"))
    context = int(os.environ.get("TRAIN_SEQ_LEN", "1024"))
    vocab_size = int(os.environ.get("VOCAB_SIZE", "1024"))
    num_layers = int(os.environ.get("NUM_LAYERS", "5"))
    model_dim = int(os.environ.get("MODEL_DIM", "320"))
    num_heads = int(os.environ.get("NUM_HEADS", "5"))
    peak_lr = float(os.environ.get("LEARNING_RATE", "0.0015"))
    eval_stride = int(os.environ.get("EVAL_STRIDE", "64"))
    eval_rows = int(os.environ.get("EVAL_BATCH_ROWS", "16"))
    ttt_enabled = bool(int(os.environ.get("TTT_ENABLED", "1")))
    ttt_lr = float(os.environ.get("TTT_LR", "0.0001"))
    ttt_epochs = int(os.environ.get("TTT_EPOCHS", "3"))
    ttt_chunk = int(os.environ.get("TTT_CHUNK_TOKENS", "131072"))
    ttt_unfreeze = int(os.environ.get("TTT_UNFREEZE_BLOCKS", "2"))


class Norm(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.size(-1),)) * self.gain


def rotate(x: Tensor) -> Tensor:
    """Rotary position embedding over the last dimension of (rows, heads, length, size)."""
    length, half = x.size(-2), x.size(-1) // 2
    speed = 10000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.arange(length, device=x.device, dtype=torch.float32)[:, None] * speed
    left, right = x[..., :half], x[..., half:]
    return torch.cat([left * angle.cos() - right * angle.sin(), left * angle.sin() + right * angle.cos()], dim=-1)


class Layer(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_a, self.norm_b = Norm(dim), Norm(dim)
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        self.up, self.down = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(3 * dim, dim, bias=False)

    def split(self, x: Tensor) -> Tensor:
        return x.view(x.size(0), x.size(1), self.heads, -1).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm_a(x)
        q, k, v = rotate(self.split(self.q(h))), rotate(self.split(self.k(h))), self.split(self.v(h))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(mixed.transpose(1, 2).reshape_as(x))
        return x + self.down(F.leaky_relu(self.up(self.norm_b(x)), 0.5).square())


class LanguageModel(nn.Module):
    def __init__(self, hp: Hyperparameters):
        super().__init__()
        self.embed = nn.Embedding(hp.vocab_size, hp.model_dim)
        self.layers = nn.ModuleList(Layer(hp.model_dim, hp.num_heads) for _ in range(hp.num_layers))
        self.norm_out = Norm(hp.model_dim)
        nn.init.normal_(self.embed.weight, std=0.02)

    def logits(self, ids: Tensor) -> Tensor:
        h = self.embed(ids)
        for layer in self.layers:
            h = layer(h)
        return 15.0 * torch.tanh(F.linear(self.norm_out(h), self.embed.weight) / 15.0)

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(self.logits(ids).flatten(0, 1).float(), targets.flatten())


def read_shard(path: Path) -> np.ndarray:
    raw = path.read_bytes()
    magic, version, count = np.frombuffer(raw, "<i4", 3)
    if (magic, version) != (20240520, 1):
        raise ValueError(f"{path} is not a token shard")
    return np.frombuffer(raw, "<u2", count, offset=1024)


def training_rows(hp: Hyperparameters, device: torch.device):
    """Endless (inputs, targets), shard after shard, at random offsets."""
    picker = random.Random(hp.run_seed)
    files = sorted(hp.data_dir.glob("fineweb_train_*.bin"))
    while True:
        for path in files:
            shard = read_shard(path)
            for _ in range(max(1, len(shard) // (hp.rows_per_step * hp.context))):
                starts = [picker.randrange(len(shard) - hp.context) for _ in range(hp.rows_per_step)]
                rows = np.stack([shard[s : s + hp.context + 1] for s in starts]).astype(np.int64)
                batch = torch.from_numpy(rows).to(device)
                yield batch[:, :-1], batch[:, 1:]


class ByteCounter:
    """How many bytes of text a token stands for, given the token before it."""

    def __init__(self, hp: Hyperparameters, device: torch.device):
        sp = spm.SentencePieceProcessor(model_file=hp.tokenizer_file)
        own, spaced = [0] * hp.vocab_size, [False] * hp.vocab_size
        textless = [True] * hp.vocab_size
        for i in range(sp.vocab_size()):
            if not (sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i)):
                piece = sp.id_to_piece(i)
                own[i] = 1 if sp.is_byte(i) else len(piece.lstrip("\u2581").encode())
                spaced[i], textless[i] = piece[0] == "\u2581", False
        self.own = torch.tensor(own, device=device)
        self.spaced, self.textless = torch.tensor(spaced, device=device), torch.tensor(textless, device=device)

    def count(self, before: Tensor, token: Tensor) -> Tensor:
        return self.own[token] + (self.spaced[token] & ~self.textless[before])


def pack(model: nn.Module, path: Path) -> int:
    stored = {}
    for name, tensor in model.state_dict().items():
        step = tensor.abs().amax(-1, keepdim=True).clamp_min(1e-9) / 127
        stored[name] = {"codes": (tensor / step).round().to(torch.int8), "step": step}
    raw = io.BytesIO()
    torch.save(stored, raw)
    path.write_bytes(lzma.compress(raw.getvalue()))
    return path.stat().st_size


def unpack(model: nn.Module, path: Path) -> None:
    stored = torch.load(io.BytesIO(lzma.decompress(path.read_bytes())), weights_only=True)
    model.load_state_dict({name: entry["codes"] * entry["step"] for name, entry in stored.items()})


def choose_trainable(model: LanguageModel, count: int) -> list[nn.Parameter]:
    """Freeze everything but the last blocks and the norms."""
    first = len(model.layers) - count
    chosen = []
    for name, param in model.named_parameters():
        in_last = name.startswith("layers.") and int(name.split(".")[1]) >= first
        param.requires_grad_(in_last or "norm" in name)
        if param.requires_grad:
            chosen.append(param)
    return chosen


def score_then_learn(hp: Hyperparameters, model: LanguageModel, stream: Tensor, counter: ByteCounter, device):
    """One pass over the stream: a chunk is scored and counted, and only then learnt from."""
    positions = stream.numel() - 1
    chunk_count = math.ceil(positions / hp.ttt_chunk)
    schedule: list[list[int]] = [[] for _ in range(chunk_count)]
    for start in range(0, max(positions - hp.context, 0) + hp.eval_stride, hp.eval_stride):
        scored_from = start if start == 0 else start + hp.context - hp.eval_stride
        schedule[scored_from // hp.ttt_chunk].append(start)
    params = choose_trainable(model, hp.ttt_unfreeze)
    opt = torch.optim.AdamW(params, lr=hp.ttt_lr, weight_decay=0.0)
    print(f"ttt:start chunks={chunk_count} lr={hp.ttt_lr} epochs={hp.ttt_epochs} unfreeze_blocks={hp.ttt_unfreeze}")
    nats = torch.zeros((), dtype=torch.float64, device=device)
    tokens, text_bytes = torch.zeros_like(nats), torch.zeros_like(nats)
    for index in range(chunk_count):
        starts = schedule[index]
        model.eval()
        with torch.no_grad():
            for b in range(0, len(starts), hp.eval_rows):
                group = starts[b : b + hp.eval_rows]
                x_batch = torch.zeros(len(group), hp.context, dtype=torch.int64, device=device)
                y_batch = torch.zeros_like(x_batch)
                for row, start in enumerate(group):
                    window = stream[start : min(start + hp.context, positions) + 1].to(device, torch.int64)
                    x_batch[row, : window.numel() - 1] = window[:-1]
                    y_batch[row, : window.numel() - 1] = window[1:]
                logits = model.logits(x_batch).float()
                losses = F.cross_entropy(logits.transpose(1, 2), y_batch, reduction="none")
                for row, start in enumerate(group):
                    low = 0 if start == 0 else hp.context - hp.eval_stride
                    high = min(start + hp.context, positions) - start
                    nats += losses[row, low:high].double().sum()
                    tokens += high - low
                    text_bytes += counter.count(x_batch[row, low:high], y_batch[row, low:high]).sum()
        if index < chunk_count - 1:
            learn(hp, model, opt, params, stream[index * hp.ttt_chunk : (index + 1) * hp.ttt_chunk + 1], device)
    val_loss = (nats / tokens).item()
    return val_loss, val_loss / math.log(2) * (tokens / text_bytes).item()


def learn(hp: Hyperparameters, model: LanguageModel, opt, params, done: Tensor, device) -> None:
    """Train on a chunk that was scored already."""
    model.train()
    for _ in range(hp.ttt_epochs):
        for at in range(0, done.numel() - hp.context, hp.context):
            row = done[at : at + hp.context + 1].to(device, torch.int64)[None]
            opt.zero_grad()
            loss = model(row[:, :-1], row[:, 1:])
            loss.backward()
            nn.utils.clip_grad_norm_(params, 1.0)
            opt.step()


def main() -> None:
    hp = Hyperparameters()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(hp.run_seed)
    model = LanguageModel(hp).to(device)
    print(f"model_params:{sum(p.numel() for p in model.parameters())} seed:{hp.run_seed} ttt_enabled:{hp.ttt_enabled}")
    opt = torch.optim.AdamW(model.parameters(), lr=hp.peak_lr, betas=(0.9, 0.95), weight_decay=0.1)
    began = time.time()
    for step, (x, y) in zip(range(1, hp.steps + 1), training_rows(hp, device), strict=False):
        for group in opt.param_groups:
            group["lr"] = hp.peak_lr * min(1.0, 2.0 * (1.0 - (step - 1) / hp.steps))
        opt.zero_grad()
        loss = model(x, y)
        loss.backward()
        opt.step()
        if step % 500 == 0 or step == hp.steps:
            print(
                f"step:{step}/{hp.steps} train_loss:{loss.item():.4f} train_time:{1000 * (time.time() - began):.0f}ms"
            )
    artifact, code_bytes = Path("final_model.int8.xz"), Path(__file__).stat().st_size
    model_bytes = pack(model, artifact)
    print(f"Serialized model int8+lzma: {model_bytes} bytes\nCode size: {code_bytes} bytes")
    print(f"Total submission size int8+lzma: {model_bytes + code_bytes} bytes")
    unpack(model, artifact)
    if not hp.ttt_enabled:
        hp.ttt_epochs = 0
    stream = np.concatenate([read_shard(path) for path in sorted(hp.data_dir.glob("fineweb_val_*.bin"))])
    tokens = torch.from_numpy(stream.astype(np.int32))
    began = time.time()
    val_loss, val_bpb = score_then_learn(hp, model, tokens, ByteCounter(hp, device), device)
    spent = 1000 * (time.time() - began)
    print(f"final_int8_ttt_sliding val_loss:{val_loss:.4f} val_bpb:{val_bpb:.4f} eval_time:{spent:.0f}ms")
    print(f"final_int8_ttt_sliding_exact val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f}")


if __name__ == "__main__":
    main()
