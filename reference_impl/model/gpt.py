"""The whole network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_impl.config import ModelConfig
from reference_impl.model.block import Block
from reference_impl.model.gates import MaskedSmearGate, SmearGate
from reference_impl.model.hashing import HashEmbedding
from reference_impl.model.layers import rms_norm
from reference_impl.model.recurrence import layer_order
from reference_impl.model.rotary import rotary_tables
from reference_impl.model.values import ValueEmbedding

BOS = 1
"""Token that starts every document in the challenge's exports."""


class GPT(nn.Module):
    """Decoder-only transformer whose second half receives the outputs of the first half, last one first (U-Net skips).

    `dtype` is what activations are computed in; parameters stay float32.
    """

    def __init__(self, config: ModelConfig, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config, self.dtype = config, dtype
        gain = config.hash_projection_gain
        self.embedding = nn.Parameter(config.embedding_std * torch.randn(config.vocab, config.dim))
        self.bigram = (
            HashEmbedding(2, config.bigram_buckets, config.bigram_dim, config.dim, gain)
            if config.bigram_buckets
            else None
        )
        self.trigram = (
            HashEmbedding(3, config.trigram_buckets, config.trigram_dim, config.dim, gain)
            if config.trigram_buckets
            else None
        )
        self.smear = SmearGate(config.dim) if config.smear == "v1" else None
        self.masked_smear = MaskedSmearGate(BOS) if config.smear == "v2" else None
        self.value_embedding = ValueEmbedding(config) if config.value_embedding_layers else None
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        skips = len(layer_order(config, recur=True)[0])
        self.skip_weights = nn.Parameter(torch.ones(skips, config.dim))
        self.skip_gates = nn.Parameter(torch.zeros(skips, config.dim)) if config.skip_gates else None

    def embed(self, tokens_bt: Tensor) -> Tensor:
        """Token embedding, hashed n-grams, normalisation and smear: (b, t) -> (b, t, d)."""
        x = F.embedding(tokens_bt, self.embedding).to(self.dtype)
        if self.masked_smear is not None:
            x = self.masked_smear(x, tokens_bt)
        for hashed in (self.bigram, self.trigram):
            if hashed is not None:
                x = x + hashed(tokens_bt, self.dtype)
        x = rms_norm(x)
        return x if self.smear is None else self.smear(x)

    def hidden(self, tokens_bt: Tensor, *, recur: bool = True, document_bt: Tensor | None = None) -> Tensor:
        """Normalised output of the last layer: (b, t) -> (b, t, d).

        `recur` runs the recurrent layers as often as configured; training starts without. `document_bt` keeps attention
        within a document.
        """
        x = x0 = self.embed(tokens_bt)
        rotary = rotary_tables(self.config, tokens_bt.size(1), tokens_bt.device)
        embedded = {} if self.value_embedding is None else self.value_embedding(tokens_bt, self.dtype)
        encoder, decoder = layer_order(self.config, recur=recur)
        first: Tensor | None = None
        skips: list[Tensor] = []
        for layer in encoder:
            x, values = self.blocks[layer](x, x0, rotary, embedded.get(layer), first, document_bt)
            first = values if first is None else first
            skips.append(x)
        for at, layer in enumerate(decoder):
            if skips:
                x = self.add_skip(at, x, skips.pop())
            x, _ = self.blocks[layer](x, x0, rotary, embedded.get(layer), first, document_bt)
        return rms_norm(x)

    def add_skip(self, at: int, x_btd: Tensor, skip_btd: Tensor) -> Tensor:
        """Add w skip; with skip gates (PR #1089) blend to g x + (1 - g) w skip, g = sigmoid(gate)."""
        weight = self.skip_weights[at].to(x_btd.dtype)
        if self.skip_gates is None:
            return torch.addcmul(x_btd, weight, skip_btd)
        return torch.lerp(weight * skip_btd, x_btd, torch.sigmoid(self.skip_gates[at].to(x_btd.dtype)))

    def forward(self, tokens_bt: Tensor, *, recur: bool = True, document_bt: Tensor | None = None) -> Tensor:
        """Logits (b, t, v) in float32, softly capped to (-c, c) by c tanh(z / c) (arXiv 2408.00118).

        The output matrix is the embedding (tied, arXiv 1608.05859).
        """
        x = self.hidden(tokens_bt, recur=recur, document_bt=document_bt)
        logits = F.linear(x, self.embedding.to(x.dtype)).float()
        return self.config.logit_softcap * torch.tanh(logits / self.config.logit_softcap)


def next_token_loss(logits_btv: Tensor, targets_bt: Tensor) -> Tensor:
    """Mean cross-entropy in nats (a scalar)."""
    return F.cross_entropy(logits_btv.flatten(0, 1), targets_bt.flatten())


def count_parameters(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters())
