"""The evaluator as a compressor: the file is as long as the score says, and the text comes back out of it.

A range coder (constriction) is told each distribution before each token, as the scorer is. The decoder replays the same
predictor, training and counting included, on what it has decoded. Both sides must get the same bits: they run the same
shapes through the same operations, on one CPU thread, in float32, and give the coder float64 probabilities, which it
rounds to 24 bits. That holds on one machine with one PyTorch. Another processor or PyTorch may add up in another order:
then decoding ends in an error, never in another text.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass

import constriction
import numpy as np
import torch

from reference_impl.config import EvaluateConfig
from reference_impl.data.shards import Tokens
from reference_impl.errors import InputError
from reference_impl.evaluate.predictors import make_predictor
from reference_impl.evaluate.score import one_by_one
from reference_impl.evaluate.stream import Known, Live, Row
from reference_impl.model import GPT

MAGIC = b"PGOLFC01"
HEADER = struct.Struct("<8s16s16sIH")
"""Magic, hash of what predicts, hash of the tokens, their number, the first of them."""
DAMAGED = "the file is damaged, or this machine computes other probabilities than the one that made it"
Watch = Callable[[int], None]


@dataclass(frozen=True)
class Encoded:
    """A file, and what the score says of its length."""

    content: bytes
    nats: float
    """Sum over all tokens but the first."""

    @property
    def coded_bytes(self) -> int:
        """Length without the header."""
        return len(self.content) - HEADER.size


def encode(model: GPT, config: EvaluateConfig, tokens: Tokens, watch: Watch = lambda done: None) -> Encoded:
    """Write tokens (n) down in as many bytes as the predictor finds them surprising."""
    torch.set_num_threads(1)
    coder, nats = constriction.stream.queue.RangeEncoder(), 0.0
    stream = Known(tokens)
    for target, row in one_by_one(make_predictor(model, config), stream):
        token = int(tokens[target])
        coder.encode(token, quantized(row))
        nats -= float(row[token])
        stream.reveal(1)
        watch(target)
    header = HEADER.pack(MAGIC, fingerprint(model, config), digest(tokens), len(tokens), int(tokens[0]))
    return Encoded(header + coder.get_compressed().astype("<u4").tobytes(), nats)


def decode(model: GPT, config: EvaluateConfig, content: bytes, watch: Watch = lambda done: None) -> Tokens:
    """The tokens (n), uint16, that `encode` was given.

    Raises `InputError` for anything but what it wrote, for another model, other settings or another PyTorch, and when
    this machine does not find the same distributions.
    """
    length = length_of(content)
    _, made_by, hashed, _, first = HEADER.unpack_from(content)
    if made_by != fingerprint(model, config):
        raise InputError(
            "the file was encoded with another model, predictor or PyTorch; name the same model, --predictor and --set"
        )
    if first >= model.config.vocab:
        raise InputError(DAMAGED)
    torch.set_num_threads(1)
    coder = constriction.stream.queue.RangeDecoder(np.frombuffer(content, "<u4", offset=HEADER.size).astype(np.uint32))
    stream = Live(length, first)
    try:
        for target, row in one_by_one(make_predictor(model, config), stream):
            stream.append(int(coder.decode(quantized(row))))
            watch(target)
    except AssertionError:  # the coder's way to say that no data reads like this
        raise InputError(DAMAGED) from None
    if digest(stream.past) != hashed:
        raise InputError(DAMAGED)
    return stream.past


def length_of(content: bytes) -> int:
    """How many tokens a file holds; raises `InputError` when it is none of `encode`."""
    if len(content) < HEADER.size or content[:8] != MAGIC or (len(content) - HEADER.size) % 4:
        raise InputError("this is no file of pgolf codec encode, or not all of one")
    length = int(HEADER.unpack_from(content)[3])
    if not length:
        raise InputError(DAMAGED)
    return length


def quantized(row: Row) -> object:
    """The coder's own distribution: 24 bits, no token at zero."""
    return constriction.stream.model.Categorical(np.exp(row), perfect=False)


def digest(tokens: Tokens) -> bytes:
    """Half of a SHA-256 over the tokens."""
    return hashlib.sha256(np.asarray(tokens, dtype="<u2").tobytes()).digest()[:16]


def fingerprint(model: GPT, config: EvaluateConfig) -> bytes:
    """Half of a SHA-256 over all that decides the distributions: shape, weights, settings, and who computes."""
    settings = [asdict(model.config), asdict(config), torch.__version__, np.__version__]
    found = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, value in sorted(model.state_dict().items()):
        found.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return found.digest()[:16]


def scored_bytes(encoded: Encoded) -> float:
    """Length that the score foretells."""
    return encoded.nats / math.log(2) / 8
