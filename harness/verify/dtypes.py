"""Stored numbers as float32 and back, for whole arrays. Knows dtypes as safetensors spells them, and no files."""

from __future__ import annotations

import numpy as np

FLOATS = ("F32", "BF16", "F16")
"""What a merge can be told in: float32 holds every number of each exactly."""


def widen(bits: np.ndarray, dtype: str) -> np.ndarray:
    """Bits of `dtype` as float32 numbers; exact but for F64."""
    if dtype == "BF16":
        return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if dtype == "F32":
        return bits.view(np.float32)
    stored = bits.view(np.float16 if dtype == "F16" else np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return stored.astype(np.float32)


def narrow(values: np.ndarray, dtype: str) -> np.ndarray:
    """float32 numbers rounded to `dtype` (nearest, ties to even), as bits; every NaN is a quiet one."""
    if dtype == "F32":
        return np.ascontiguousarray(values, np.float32).view(np.uint32)
    if dtype == "F16":
        with np.errstate(over="ignore", invalid="ignore"):
            return values.astype(np.float16).view(np.uint16)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + (((bits >> np.uint32(16)) & np.uint32(1)) + np.uint32(0x7FFF))) >> np.uint32(16)
    return np.where(np.isnan(values), (bits >> np.uint32(16)) | np.uint32(0x40), rounded).astype(np.uint16)


def rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    """float32 numbers as they are after being stored as `dtype`."""
    return widen(narrow(values, dtype), dtype)
