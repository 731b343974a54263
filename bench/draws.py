"""Numbers that follow from a seed and a name alone, by the million: weights of a checkpoint, factors of an adapter.

Must not know which tensors there are.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache

import numpy as np

from harness.checkpoints.safetensors_file import round_to

WEIGHT_STD = 0.02
"""That of published models."""
FACTOR_STD = 0.004
"""Of lora_B: then a delta has about a twentieth of its weight's size, as training leaves it."""
NUM_POOLED = 2**23
NUM_KEPT = 16
"""Factors in memory at a time: those of a layer, and a few of the next."""


def weight(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Numbers of bfloat16 as float32, normal. All weights are cut from one pool: to draw them takes a minute more."""
    num_elements = math.prod(shape)
    assert num_elements <= NUM_POOLED
    start = int(_generator(name, seed).integers(NUM_POOLED - num_elements + 1))
    return _pool(seed)[start : start + num_elements].reshape(shape)


@lru_cache(maxsize=NUM_KEPT)
def factor(key: str, shape: tuple[int, int], seed: int) -> np.ndarray:
    """Float32. lora_A (rank, in) as PEFT draws it; lora_B, which starts as zero, as training might leave it."""
    generator = _generator(key, seed)
    if ".lora_A." in key:
        bound = 1 / math.sqrt(shape[1])  # what kaiming_uniform_ makes of a = sqrt(5)
        return (2 * generator.random(shape, dtype=np.float32) - 1) * np.float32(bound)
    return generator.standard_normal(shape, dtype=np.float32) * np.float32(FACTOR_STD)


@lru_cache(maxsize=1)
def _pool(seed: int) -> np.ndarray:
    numbers = _generator("pool", seed).standard_normal(NUM_POOLED, dtype=np.float32)
    return round_to("bfloat16", numbers * np.float32(WEIGHT_STD))


def _generator(name: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
