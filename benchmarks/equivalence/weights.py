"""Weights that both sides make for themselves from names and shapes alone; this module runs on both."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]

MATRICES = ((96, 96), (48, 96), (192, 96), (96, 192))
"""Shapes on which the optimiser is compared: square, wide, tall."""
STEPS = 3
SEQUENCE, STRIDE, CHUNK, TARGETS = 128, 32, 256, 1024
"""Evaluation: length and stride of the windows, tokens between two trainings, tokens to score."""
SHORT, LONG = 64, 2112
"""Lengths of the sequences; the longer one is beyond the training length, where rotary frequencies are rescaled."""


def noise(name: str, shape: Sequence[int]) -> Array:
    """Standard normal numbers, a function of the name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return rng.standard_normal(tuple(shape), dtype=np.float32)


def weights(name: str, shape: Sequence[int]) -> Array:
    """Values of one parameter: matrices keep the size of what they multiply, factors lie around 1/2, none is zero."""
    if len(shape) >= 2 and (name.endswith("weight") or name.endswith("bank")):
        return noise(name, shape) / np.float32(shape[-1] ** 0.5)
    return np.float32(0.5) + np.float32(0.2) * noise(name, shape)


def hessian() -> Array:
    """What GPTQ is told of the inputs of the last matrix of `MATRICES`."""
    inputs = noise("inputs", (512, MATRICES[-1][1])) * (0.2 + np.abs(noise("sizes", (MATRICES[-1][1],))))
    return np.asarray(inputs.T @ inputs, dtype=np.float32)


def tokens(vocab: int, length: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Two rows of tokens."""
    return np.random.default_rng(vocab).integers(0, vocab, (2, length))
