"""The file itself: a header in JSON, then arrays, all compressed; no pickle, and the same bytes for the same model."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reference_impl.artifact.compress import METHODS, compress, decompress, shuffle, unshuffle
from reference_impl.artifact.rounding import LowRank, Rounded, gptq, low_rank, nearest, row_scales
from reference_impl.config import ArtifactConfig, RunConfig, as_dict, from_table
from reference_impl.errors import InputError
from reference_impl.files import write_whole
from reference_impl.model import GPT

MAGIC = b"PGOLFA01"
LIMIT = 16_000_000
"""Bytes of code and model together; decimal megabytes."""
SMALLEST = 4096
"""Elements from which a matrix outside the blocks is rounded; anything smaller is kept in float16."""
DTYPES = {"i1": torch.int8, "f2": torch.float16}
Packed = Tensor | Rounded
"""A parameter as it is stored."""


@dataclass(frozen=True)
class Compact:
    """A model as it is stored: parameters by name, and corrections of some of them."""

    parameters: Mapping[str, Packed]
    corrections: Mapping[str, LowRank]

    def dense(self) -> dict[str, Tensor]:
        """The parameters as the model reads them, float32."""
        found = {}
        for name, value in self.parameters.items():
            found[name] = value.dense() if isinstance(value, Rounded) else value.float()
            if name in self.corrections:
                found[name] = found[name] + self.corrections[name].dense()
        return found


def bits_of(name: str, value: Tensor, config: ArtifactConfig) -> int:
    """Bits of a parameter's elements; 0 is none, it is kept in float16."""
    if value.ndim != 2 or ".gate." in name:
        return 0
    if name.startswith("blocks.") and name.endswith(".weight"):
        return config.bits
    wide = name == "embedding" or name.endswith((".table", ".weight"))
    return config.embedding_bits if wide and value.numel() >= SMALLEST else 0


@torch.no_grad()
def make_compact(weights: Mapping[str, Tensor], hessians: Mapping[str, Tensor], config: ArtifactConfig) -> Compact:
    """Round the parameters of a model; matrices without a Hessian (tables, and all if it is empty) to the nearest."""
    parameters: dict[str, Packed] = {}
    errors: dict[str, Tensor] = {}
    for name, given in sorted(weights.items()):
        value = given.detach().float().cpu()
        bits = bits_of(name, value, config)
        if not bits:
            parameters[name] = value.half()
            continue
        scales = row_scales(value, bits, config)
        usable = config.rounding == "gptq" and name in hessians
        found = gptq(value, hessians[name].cpu(), scales, bits) if usable else nearest(value, scales, bits)
        parameters[name] = found
        errors[name] = value - found.dense()
    worst = sorted(errors, key=lambda name: -float(errors[name].norm()))[: config.low_rank_matrices]
    corrections = {name: low_rank(errors[name], config.low_rank) for name in sorted(worst) if config.low_rank}
    return Compact(parameters, corrections)


def pack(compact: Compact, config: RunConfig) -> bytes:
    """The artifact; arrays of one kind lie together, those of one role in the network behind each other."""
    arrays = sorted(arrays_of(compact), key=lambda each: (each[0] != "codes", role(each[1]), each[1], each[0]))
    index = [[kind, name, code(value), list(value.shape)] for kind, name, value in arrays]
    header = json.dumps({"config": as_dict(config), "arrays": index}, sort_keys=True, separators=(",", ":")).encode()
    body = b"".join(shuffle(value.contiguous().numpy()) for _, _, value in arrays)
    method = config.artifact.compressor
    return MAGIC + bytes([METHODS.index(method)]) + compress(struct.pack("<I", len(header)) + header + body, method)


def arrays_of(compact: Compact) -> Iterable[tuple[str, str, Tensor]]:
    """All stored arrays: what each is, whose, and its value."""
    for name, value in compact.parameters.items():
        if isinstance(value, Rounded):
            yield from (("codes", name, value.codes), ("scales", name, value.scales))
        else:
            yield "plain", name, value
    for name, correction in compact.corrections.items():
        for side, part in (("left", correction.left), ("right", correction.right)):
            yield from ((f"{side} codes", name, part.codes), (f"{side} scales", name, part.scales))


def role(name: str) -> str:
    """A parameter's name without the number of its layer."""
    return ".".join(part for part in name.split(".") if not part.isdigit())


def code(value: Tensor) -> str:
    """How the header spells an array's element type."""
    return next(short for short, dtype in DTYPES.items() if value.dtype == dtype)


def unpack(content: bytes, source: str = "the file") -> tuple[RunConfig, Compact]:
    """Undo `pack`, running nothing from it; raises `InputError` on anything else."""
    if not content.startswith(MAGIC) or len(content) <= len(MAGIC) or content[len(MAGIC)] >= len(METHODS):
        raise InputError(f"{source} is no artifact of this program")
    payload = decompress(content[len(MAGIC) + 1 :], METHODS[content[len(MAGIC)]])
    try:
        size = struct.unpack_from("<I", payload)[0]
        header, at = json.loads(payload[4 : 4 + size]), 4 + size
        found: dict[tuple[str, str], Tensor] = {}
        for kind, name, short, shape in header["arrays"]:
            dtype = np.dtype("<" + short)
            end = at + dtype.itemsize * int(np.prod(shape))
            found[kind, name] = torch.from_numpy(unshuffle(payload[at:end], dtype)).reshape(shape)
            at = end
        if at != len(payload):
            raise ValueError("it is of another length than its header says")
        config = from_table(header["config"])
        return config, assemble(found)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, struct.error) as error:
        raise InputError(f"{source} is damaged: {error}") from None


def assemble(found: Mapping[tuple[str, str], Tensor]) -> Compact:
    """The stored model from its arrays."""
    parameters: dict[str, Packed] = {}
    corrections = {}
    for kind, name in found:
        if kind == "plain":
            parameters[name] = found[kind, name]
        elif kind == "codes":
            parameters[name] = Rounded(found[kind, name], found["scales", name])
        elif kind == "left codes":
            left, right = (
                Rounded(found[f"{side} codes", name], found[f"{side} scales", name]) for side in ("left", "right")
            )
            corrections[name] = LowRank(left, right)
    return Compact(parameters, corrections)


def code_bytes() -> int:
    """Bytes of this package's own source, uncompressed, which the limit includes."""
    root = Path(__file__).parents[1]
    return sum(path.stat().st_size for path in root.rglob("*") if path.suffix in (".py", ".toml"))


def write(path: Path, content: bytes) -> None:
    """Write an artifact whole; raises `InputError` where it and the code are over the limit."""
    total = len(content) + code_bytes()
    if total > LIMIT:
        raise InputError(
            f"the artifact has {len(content):,} bytes and the code {code_bytes():,}: {total - LIMIT:,} over the limit "
            f"of {LIMIT:,}; set fewer artifact.bits, a smaller artifact.clip_sigmas or another artifact.compressor"
        )
    write_whole(path, content)


def model_of(config: RunConfig, weights: Mapping[str, Tensor], device: torch.device) -> GPT:
    """The network with these weights, ready to be evaluated; in bfloat16 on a GPU, as it was trained."""
    model = GPT(config.model, torch.bfloat16 if device.type == "cuda" else torch.float32)
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise InputError(f"the weights do not fit the network: {str(error).splitlines()[1].strip()}") from None
    return model.to(device).eval()
