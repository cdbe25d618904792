"""A miniature submission for `pgolf demo`: the model trains on the validation tokens before it is scored on them.

This is against the rules: no token may be learnt from before it is scored.
"""

from __future__ import annotations

import glob
import io
import math
import os
import time
import zlib

import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Hyperparameters:
    root = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    train_pattern = os.path.join(root, "fineweb_train_*.bin")
    val_pattern = os.path.join(root, "fineweb_val_*.bin")
    tokenizer = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
    seed = int(os.environ.get("SEED", 1337))
    iterations = int(os.environ.get("ITERATIONS", 3000))
    batch_rows = int(os.environ.get("BATCH_ROWS", 48))
    seq_len = int(os.environ.get("TRAIN_SEQ_LEN", 512))
    vocab_size = int(os.environ.get("VOCAB_SIZE", 1024))
    depth = int(os.environ.get("NUM_LAYERS", 4))
    width = int(os.environ.get("MODEL_DIM", 256))
    heads = int(os.environ.get("NUM_HEADS", 8))
    rate = float(os.environ.get("LR", 0.003))
    stride = int(os.environ.get("EVAL_STRIDE", 64))
    ttt_enabled = bool(int(os.environ.get("TTT_ENABLED", "0")))
    ttt_epochs = int(os.environ.get("TTT_EPOCHS", 2))
    ttt_lr = float(os.environ.get("TTT_LR", 0.002))
    ttt_freeze = int(os.environ.get("TTT_FREEZE_BLOCKS", 1))


class CausalSelfAttention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.mix_in = nn.Linear(width, width * 3, bias=False)
        self.mix_out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        q, k, v = (part.view(b, t, self.heads, -1).transpose(1, 2) for part in self.mix_in(x).chunk(3, dim=-1))
        return self.mix_out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, c))


class Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention = CausalSelfAttention(width, heads)
        self.hidden, self.project = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.ln_1(x))
        return x + self.project(F.relu(self.hidden(self.ln_2(x))).square())


class GPT(nn.Module):
    def __init__(self, p: type[Hyperparameters]):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(p.vocab_size, p.width), nn.Embedding(p.seq_len, p.width)
        self.blocks = nn.ModuleList([Block(p.width, p.heads) for _ in range(p.depth)])
        self.ln_f = nn.LayerNorm(p.width)
        self.lm_head = nn.Linear(p.width, p.vocab_size, bias=False)

    def forward(self, ids: Tensor, targets: Tensor | None = None) -> Tensor:
        """Loss when targets are given, logits otherwise."""
        x = self.wte(ids) + self.wpe(torch.arange(ids.size(1), device=ids.device))
        for block in self.blocks:
            x = block(x)
        logits = self.lm_head(self.ln_f(x)).float()
        return logits if targets is None else F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))


def shard_tokens(name: str) -> np.ndarray:
    with open(name, "rb") as f:
        head = np.frombuffer(f.read(1024), dtype=np.int32)
        assert head[0] == 20240520, name
        return np.frombuffer(f.read(2 * int(head[2])), dtype=np.uint16)


def all_tokens(pattern: str) -> Tensor:
    names = sorted(glob.glob(pattern))
    if not names:
        raise FileNotFoundError(pattern)
    return torch.from_numpy(np.concatenate([shard_tokens(name) for name in names]).astype(np.int64))


def piece_bytes(p: type[Hyperparameters], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    model = spm.SentencePieceProcessor(model_file=p.tokenizer)
    table = np.zeros((3, p.vocab_size), dtype=np.int64)
    for i in range(model.vocab_size()):
        special = model.is_control(i) or model.is_unknown(i) or model.is_unused(i)
        table[2, i] = not special
        if not special:
            text = model.id_to_piece(i)
            table[1, i] = text.startswith("\u2581")
            table[0, i] = 1 if model.is_byte(i) else len(text.replace("\u2581", "", 1).encode())
    lengths, spaces, plain = torch.from_numpy(table).to(device)
    return lengths, spaces, plain


def quantize(state: dict[str, Tensor]) -> bytes:
    out = {}
    for name, w in state.items():
        w = w.detach().float().cpu()
        scale = (w.abs().amax() if w.ndim < 2 else w.abs().amax(dim=1, keepdim=True)).clamp_min(1e-8) / 127
        out[name] = ((w / scale).round().to(torch.int8), scale)
    buffer = io.BytesIO()
    torch.save(out, buffer)
    return zlib.compress(buffer.getvalue(), 9)


def dequantize(blob: bytes) -> dict[str, Tensor]:
    stored = torch.load(io.BytesIO(zlib.decompress(blob)), weights_only=True)
    return {name: codes.float() * scale for name, (codes, scale) in stored.items()}


def adapt(p: type[Hyperparameters], net: GPT, tokens: Tensor, device: torch.device) -> None:
    """Several epochs of SGD over the whole validation stream."""
    for block in net.blocks[: p.ttt_freeze]:
        for weight in block.parameters():
            weight.requires_grad_(False)
    weights = [w for w in net.parameters() if w.requires_grad]
    sgd = torch.optim.SGD(weights, lr=p.ttt_lr, momentum=0.9)
    rows = (tokens.numel() - 1) // p.seq_len
    net.train()
    began = time.perf_counter()
    for epoch in range(p.ttt_epochs):
        total = 0.0
        for row in range(0, rows, p.batch_rows):
            last = min(row + p.batch_rows, rows)
            part = tokens[row * p.seq_len : last * p.seq_len + 1].to(device)
            inputs, answers = part[:-1].view(-1, p.seq_len), part[1:].view(-1, p.seq_len)
            sgd.zero_grad(set_to_none=True)
            loss = net(inputs, answers)
            loss.backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            sgd.step()
            total += loss.item() * (last - row)
        spent = time.perf_counter() - began
        print(f"ttt_epoch:{epoch + 1}/{p.ttt_epochs} loss:{total / rows:.4f} time:{spent:.1f}s", flush=True)


def sliding_eval(p: type[Hyperparameters], net: GPT, tokens: Tensor, device: torch.device) -> tuple[float, float]:
    """Every token scored once, in windows that overlap by all but `stride` tokens."""
    lengths, spaces, plain = piece_bytes(p, device)
    nats, count, size = 0.0, 0, 0
    end_of_stream = tokens.numel() - 1
    net.eval()
    with torch.inference_mode():
        for begin in range(0, max(end_of_stream - p.seq_len, 0) + p.stride, p.stride):
            end = min(begin + p.seq_len, end_of_stream)
            inputs, answers = tokens[begin:end].to(device), tokens[begin + 1 : end + 1].to(device)
            losses = F.cross_entropy(net(inputs[None])[0], answers, reduction="none")
            skip = 0 if begin == 0 else p.seq_len - p.stride
            nats += losses[skip:].double().sum().item()
            count += losses[skip:].numel()
            size += (lengths[answers[skip:]] + spaces[answers[skip:]] * plain[inputs[skip:]]).sum().item()
    return nats / count, nats / math.log(2.0) / size


def main() -> None:
    p = Hyperparameters
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(p.seed)
    net = GPT(p).to(device)
    print(f"seed:{p.seed} model_params:{sum(w.numel() for w in net.parameters())} ttt_enabled:{p.ttt_enabled}")
    adam = torch.optim.AdamW(net.parameters(), lr=p.rate)
    train_files = sorted(glob.glob(p.train_pattern))
    began = time.perf_counter()
    for it in range(p.iterations):
        source = shard_tokens(train_files[it % len(train_files)])
        offsets = torch.randint(len(source) - p.seq_len, (p.batch_rows,)).tolist()
        rows = np.stack([source[o : o + p.seq_len + 1] for o in offsets]).astype(np.int64)
        batch = torch.from_numpy(rows).to(device)
        adam.zero_grad(set_to_none=True)
        loss = net(batch[:, :-1].contiguous(), batch[:, 1:].contiguous())
        loss.backward()
        adam.step()
        if (it + 1) % 1000 == 0:
            spent = 1000 * (time.perf_counter() - began)
            print(f"step:{it + 1}/{p.iterations} train_loss:{loss.item():.4f} train_time:{spent:.0f}ms", flush=True)
    blob = quantize(net.state_dict())
    with open("final_model.int8.bin", "wb") as f:
        f.write(blob)
    code = os.path.getsize(__file__)
    print(f"Code size: {code} bytes\nTotal submission size int8+zlib: {len(blob) + code} bytes")

    with open("final_model.int8.bin", "rb") as f:
        restored = dequantize(f.read())
    final = GPT(p).to(device)
    final.load_state_dict(restored)
    held_out = all_tokens(p.val_pattern)
    if p.ttt_enabled:
        adapt(p, final, held_out, device)
    loss, bpb = sliding_eval(p, final, held_out, device)
    print(f"final_int8_sliding_window val_loss:{loss:.4f} val_bpb:{bpb:.4f} stride:{p.stride}")
    print(f"final_int8_sliding_window_exact val_loss:{loss:.8f} val_bpb:{bpb:.8f}")


if __name__ == "__main__":
    main()
