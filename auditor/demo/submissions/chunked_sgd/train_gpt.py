"""A miniature submission for `pgolf demo`: score-first test-time training with SGD, chunk by chunk."""

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
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


class Hyperparameters:
    data_path = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    train_files = os.path.join(data_path, "fineweb_train_*.bin")
    val_files = os.path.join(data_path, "fineweb_val_*.bin")
    tokenizer_path = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
    seed = int(os.environ.get("SEED", 1337))
    iterations = int(os.environ.get("ITERATIONS", 2000))
    train_batch_tokens = int(os.environ.get("TRAIN_BATCH_TOKENS", 65536))
    train_seq_len = int(os.environ.get("TRAIN_SEQ_LEN", 1024))
    vocab_size = int(os.environ.get("VOCAB_SIZE", 1024))
    num_layers = int(os.environ.get("NUM_LAYERS", 4))
    model_dim = int(os.environ.get("MODEL_DIM", 256))
    num_heads = int(os.environ.get("NUM_HEADS", 4))
    lr = float(os.environ.get("LR", 0.002))
    eval_stride = int(os.environ.get("EVAL_STRIDE", 64))
    ttt_enabled = bool(int(os.environ.get("TTT_ENABLED", "0")))
    ttt_lr = float(os.environ.get("TTT_LR", 0.002))
    ttt_epochs = int(os.environ.get("TTT_EPOCHS", 1))
    ttt_chunk_tokens = int(os.environ.get("TTT_CHUNK_TOKENS", 65536))
    ttt_batch_seqs = int(os.environ.get("TTT_BATCH_SEQS", 8))


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, dim = x.shape
        q, k, v = self.qkv(x).view(rows, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(rows, length, dim))


class Block(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.attn_norm, self.mlp_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = Attention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 3 * dim, bias=False), nn.GELU(), nn.Linear(3 * dim, dim, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.attn_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class GPT(nn.Module):
    def __init__(self, args: Hyperparameters):
        super().__init__()
        self.tok_emb = nn.Embedding(args.vocab_size, args.model_dim)
        self.pos_emb = nn.Embedding(args.train_seq_len, args.model_dim)
        self.blocks = nn.ModuleList([Block(args.model_dim, args.num_heads) for _ in range(args.num_layers)])
        self.final_norm = nn.LayerNorm(args.model_dim)
        nn.init.normal_(self.tok_emb.weight, std=0.02)

    def forward_logits(self, ids: Tensor) -> Tensor:
        x = self.tok_emb(ids) + self.pos_emb.weight[: ids.size(1)]
        for block in self.blocks:
            x = block(x)
        return F.linear(self.final_norm(x), self.tok_emb.weight)

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        logits = self.forward_logits(ids).float()
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))


def open_shard(path: str) -> np.ndarray:
    header = np.fromfile(path, dtype="<i4", count=256)
    assert header[0] == 20240520 and header[1] == 1, f"not a token shard: {path}"
    return np.memmap(path, dtype="<u2", mode="r", offset=256 * 4, shape=(int(header[2]),))


def load_tokens(pattern: str) -> Tensor:
    paths = sorted(glob.glob(pattern))
    assert paths, f"no files match {pattern}"
    return torch.from_numpy(np.concatenate([open_shard(path) for path in paths]).astype(np.int32))


def train_batch(args, shards, step: int, rank: int, world_size: int, device) -> tuple[Tensor, Tensor]:
    """One batch of training tokens: a stripe for each rank, the shards in turn."""
    shard, mine = shards[step % len(shards)], args.train_batch_tokens // world_size
    begin = step // len(shards) * args.train_batch_tokens % (shard.size - args.train_batch_tokens) + rank * mine
    local = torch.from_numpy(shard[begin : begin + mine + 1].astype(np.int64)).to(device)
    return local[:-1].view(-1, args.train_seq_len), local[1:].view(-1, args.train_seq_len)


def byte_tables(path: str, vocab_size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Bytes of each token; whether it starts with a space; whether it is a boundary (no text of its own)."""
    sp = spm.SentencePieceProcessor(model_file=path)
    size, space, boundary = np.zeros(vocab_size, np.int64), np.zeros(vocab_size, bool), np.ones(vocab_size, bool)
    for token in range(sp.vocab_size()):
        if sp.is_control(token) or sp.is_unknown(token) or sp.is_unused(token):
            continue
        boundary[token] = False
        piece = sp.id_to_piece(token)
        space[token] = piece.startswith("\u2581")
        size[token] = 1 if sp.is_byte(token) else len(piece.removeprefix("\u2581").encode())
    return tuple(torch.from_numpy(table).to(device) for table in (size, space, boundary))


def save_quantized(model: nn.Module, path: str) -> int:
    packed = {}
    for name, weight in model.state_dict().items():
        scale = weight.abs().amax(dim=-1, keepdim=True).clamp_min(1e-8) / 127.0
        packed[name] = ((weight / scale).round().to(torch.int8), scale)
    buffer = io.BytesIO()
    torch.save(packed, buffer)
    blob = zlib.compress(buffer.getvalue(), 9)
    with open(path, "wb") as f:
        f.write(blob)
    return len(blob)


def load_quantized(model: nn.Module, path: str) -> None:
    with open(path, "rb") as f:
        packed = torch.load(io.BytesIO(zlib.decompress(f.read())), map_location="cpu", weights_only=True)
    model.load_state_dict({name: codes.float() * scale for name, (codes, scale) in packed.items()})


def window_starts(total: int, seq_len: int, stride: int) -> list[int]:
    """Overlapping windows: the first is scored whole, each later one in its last `stride` positions."""
    return list(range(0, max(total - seq_len, 0) + stride, stride))


def eval_sliding(args, model, rank, world_size, device, val_tokens, tables) -> tuple[float, float]:
    """Score every token once with the model as it is."""
    token_bytes, has_space, is_boundary = tables
    seq_len, stride, total = args.train_seq_len, args.eval_stride, val_tokens.numel() - 1
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    model.eval()
    with torch.inference_mode():
        for start in window_starts(total, seq_len, stride)[rank::world_size]:
            piece = val_tokens[start : min(start + seq_len, total) + 1].to(device, torch.int64)
            x, y = piece[:-1], piece[1:]
            fresh = 0 if start == 0 else seq_len - stride
            nll = F.cross_entropy(model.forward_logits(x[None])[0].float(), y, reduction="none")[fresh:].double()
            counted = token_bytes[y[fresh:]] + (has_space[y[fresh:]] & ~is_boundary[x[fresh:]])
            sums[0] += nll.sum()
            sums[1] += nll.numel()
            sums[2] += counted.sum()
    if world_size > 1:
        dist.all_reduce(sums)
    loss_sum, token_count, byte_count = sums.tolist()
    return loss_sum / token_count, loss_sum / math.log(2.0) / byte_count


def eval_sliding_ttt(args, model, rank, world_size, device, val_tokens, tables, log0) -> tuple[float, float]:
    """Score a chunk of the stream in overlapping windows, then train on it; the last chunk is only scored."""
    token_bytes, has_space, is_boundary = tables
    seq_len, stride, chunk_size = args.train_seq_len, args.eval_stride, args.ttt_chunk_tokens
    total = val_tokens.numel() - 1
    num_chunks = (total + chunk_size - 1) // chunk_size
    # A window belongs to the chunk that holds the first token it scores.
    windows: list[list[int]] = [[] for _ in range(num_chunks)]
    for start in window_starts(total, seq_len, stride):
        first = start if start == 0 else start + seq_len - stride
        windows[first // chunk_size].append(start)
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    params = list(model.parameters())
    optimizer = torch.optim.SGD(params, lr=args.ttt_lr, momentum=0.9)
    log0(f"ttt:start chunks={num_chunks} lr={args.ttt_lr} epochs={args.ttt_epochs} chunk_tokens={chunk_size}")
    for ci in range(num_chunks):
        model.eval()
        with torch.inference_mode():
            for start in windows[ci][rank::world_size]:
                piece = val_tokens[start : min(start + seq_len, total) + 1].to(device, torch.int64)
                x, y = piece[:-1], piece[1:]
                nll = F.cross_entropy(model.forward_logits(x[None])[0].float(), y, reduction="none")
                fresh = 0 if start == 0 else seq_len - stride
                counted = token_bytes[y[fresh:]] + (has_space[y[fresh:]] & ~is_boundary[x[fresh:]])
                sums[0] += nll[fresh:].double().sum()
                sums[1] += y.numel() - fresh
                sums[2] += counted.sum()
        if ci == num_chunks - 1:
            break
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = args.ttt_lr * 0.5 * (1.0 + math.cos(math.pi * ci / (num_chunks - 1)))
        rows = chunk_size // seq_len
        for _ in range(args.ttt_epochs):
            for row in range(0, rows, args.ttt_batch_seqs):
                begin, end = (ci * rows + row) * seq_len, (ci * rows + min(row + args.ttt_batch_seqs, rows)) * seq_len
                span = val_tokens[begin : end + 1].to(device, torch.int64)
                optimizer.zero_grad(set_to_none=True)
                model(span[:-1].view(-1, seq_len), span[1:].view(-1, seq_len)).backward()
                torch.nn.utils.clip_grad_norm_(params, 1.0)
                optimizer.step()
    if world_size > 1:
        dist.all_reduce(sums)
    loss_sum, token_count, byte_count = sums.tolist()
    return loss_sum / token_count, loss_sum / math.log(2.0) / byte_count


def main() -> None:
    args = Hyperparameters()
    rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if world_size > 1:
        dist.init_process_group("nccl" if cuda else "gloo")
    torch.manual_seed(args.seed)

    def log0(text: str) -> None:
        if rank == 0:
            print(text, flush=True)

    code_bytes = os.path.getsize(__file__)
    tables = byte_tables(args.tokenizer_path, args.vocab_size, device)
    val_tokens = load_tokens(args.val_files)
    model = GPT(args).to(device)
    log0(f"model_params:{sum(p.numel() for p in model.parameters())} world_size:{world_size} seed:{args.seed}")
    log0(f"ttt_enabled:{int(args.ttt_enabled)} val_tokens:{val_tokens.numel() - 1}")
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
    shards = [open_shard(path) for path in sorted(glob.glob(args.train_files))]
    started = time.perf_counter()
    for step in range(args.iterations):
        x, y = train_batch(args, shards, step, rank, world_size, device)
        optimizer.zero_grad(set_to_none=True)
        loss = model(x, y)
        loss.backward()
        for p in model.parameters() if world_size > 1 else ():
            dist.all_reduce(p.grad, op=dist.ReduceOp.AVG)
        optimizer.step()
        if step % 500 == 0:
            spent = 1000 * (time.perf_counter() - started)
            log0(f"step:{step}/{args.iterations} train_loss:{loss.item():.4f} train_time:{spent:.0f}ms")
    if rank == 0:
        size = save_quantized(model, "final_model.int8.ptz")
        log0(f"Total submission size int8+zlib: {size + code_bytes} bytes (code {code_bytes})")
    if world_size > 1:
        dist.barrier()
    scored = GPT(args).to(device)
    load_quantized(scored, "final_model.int8.ptz")
    val_loss, val_bpb = eval_sliding(args, scored, rank, world_size, device, val_tokens, tables)
    log0(f"final_int8_sliding_window val_loss:{val_loss:.4f} val_bpb:{val_bpb:.4f} stride:{args.eval_stride}")
    if args.ttt_enabled:
        val_loss, val_bpb = eval_sliding_ttt(args, scored, rank, world_size, device, val_tokens, tables, log0)
        log0(f"final_int8_ttt_sliding val_loss:{val_loss:.4f} val_bpb:{val_bpb:.4f} stride:{args.eval_stride}")


if __name__ == "__main__":
    main()
