"""Rotary position embeddings: which frequencies a configuration means, and how heads are turned by them.

Scalings after transformers' modeling_rope_utils (5.23): linear, llama3, yarn. Each field of theirs is used or refused.
Suffixes: `B` sequences, `T` tokens, `H` heads, `d` dimensions of a head, `r` rotated pairs.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jax import Array

from reference.jax_stacked.config import Rope
from reference.jax_stacked.fields import Fields

DEFAULT_THETA = 10_000.0
"""What transformers uses where a configuration says nothing."""


def read_rope(fields: Fields, head_dim: int, *, default_partial: float = 1.0, interleaved: bool = False) -> Rope:
    """The rotary embedding that `fields` mean, in any of their spellings: transformers 4's, 5's, or both."""
    tables = [table for name in ("rope_parameters", "rope_scaling") if (table := fields.table(name)) is not None]
    theta = _agreed([fields, *tables], ("rope_theta",), DEFAULT_THETA)
    partial = _agreed([fields, *tables], ("partial_rotary_factor",), default_partial)
    rotated = int(head_dim * float(partial))
    kind = str(_agreed(tables, ("rope_type", "type"), "default")) if tables else "default"
    frequencies = 1.0 / np.float32(theta) ** (np.arange(0, rotated, 2, dtype=np.float32) / np.float32(rotated))
    magnitude = 1.0
    scaled = [_scaled(kind, table, frequencies, float(theta), rotated) for table in tables]
    for frequencies, magnitude in scaled:
        if not np.array_equal(frequencies, scaled[0][0]) or magnitude != scaled[0][1]:
            raise fields.refusal("rope_scaling", "what rope_parameters say", "something else")
    return Rope(
        inverse_frequencies=tuple(float(value) for value in frequencies),
        magnitude=magnitude,
        interleaved=interleaved,
    )


def cos_sin(rope: Rope, positions_BT: Array, dtype: jnp.dtype) -> tuple[Array, Array]:
    """Cosine and sine of every angle: (B, T, r) each, computed in float32."""
    angles_BTr = positions_BT[..., None].astype(jnp.float32) * jnp.asarray(rope.inverse_frequencies, jnp.float32)
    return (jnp.cos(angles_BTr) * rope.magnitude).astype(dtype), (jnp.sin(angles_BTr) * rope.magnitude).astype(dtype)


def rotate(rope: Rope, heads_BTHd: Array, cos_BTr: Array, sin_BTr: Array) -> Array:
    """The heads, turned by their positions; dimensions past the rotated ones are passed on."""
    num_pairs = cos_BTr.shape[-1]
    cos, sin = cos_BTr[:, :, None], sin_BTr[:, :, None]
    turned, passed = heads_BTHd[..., : 2 * num_pairs], heads_BTHd[..., 2 * num_pairs :]
    if rope.interleaved:
        first, second = turned[..., 0::2], turned[..., 1::2]
    else:
        first, second = turned[..., :num_pairs], turned[..., num_pairs:]
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin, passed], axis=-1)


def yarn_score_scale(fields: Fields) -> float:
    """DeepSeek's factor of attention scores under a scaled rope: YaRN's magnitude for `mscale_all_dim`, squared."""
    for name in ("rope_parameters", "rope_scaling"):
        table = fields.peek(name)
        if table and table.get("rope_type", table.get("type", "default")) != "default" and table.get("mscale_all_dim"):
            return _yarn_magnitude(float(table["factor"]), float(table["mscale_all_dim"])) ** 2
    return 1.0


def _agreed(places: list[Fields], names: tuple[str, ...], default: float | str) -> float | str:
    """The one value that `places` give a field; the default where none says anything."""
    said = [value for place in places if (value := place.take(*names, default=None)) is not None]
    for value in said:
        if value != said[0]:
            raise places[0].refusal(names[0], f"one value, {said[0]!r}", value)
    return said[0] if said else default


def _scaled(kind: str, table: Fields, frequencies: np.ndarray, theta: float, rotated: int) -> tuple[np.ndarray, float]:
    """Frequencies and magnitude after the scaling that `table` describes."""
    if kind == "default":
        table.finish()
        return frequencies, 1.0
    scalings = {"linear": _linear, "llama3": _llama3, "yarn": _yarn}
    if kind not in scalings:
        raise table.refusal("rope_type", f"default, {', '.join(scalings)}", kind)
    scaled = scalings[kind](table, frequencies, theta, rotated)
    table.finish()
    return scaled


def _linear(table: Fields, frequencies: np.ndarray, _theta: float, _rotated: int) -> tuple[np.ndarray, float]:
    return frequencies / np.float32(table.take("factor")), 1.0


def _llama3(table: Fields, frequencies: np.ndarray, _theta: float, _rotated: int) -> tuple[np.ndarray, float]:
    """Long waves are slowed by `factor`, short ones kept, those between interpolated."""
    factor, low, high = (float(table.take(name)) for name in ("factor", "low_freq_factor", "high_freq_factor"))
    context = float(table.take("original_max_position_embeddings"))
    wavelengths = 2 * math.pi / frequencies
    share = (context / wavelengths - low) / (high - low)
    between = (1 - share) * frequencies / factor + share * frequencies
    slowed = np.where(wavelengths > context / low, frequencies / factor, between)
    return np.where(wavelengths < context / high, frequencies, slowed).astype(np.float32), 1.0


def _yarn(table: Fields, frequencies: np.ndarray, theta: float, rotated: int) -> tuple[np.ndarray, float]:
    """YaRN (arXiv 2309.00071): interpolated below a correction range, kept above it, mixed within."""
    factor = float(table.take("factor"))
    context = float(table.take("original_max_position_embeddings"))
    fast, slow = float(table.take("beta_fast", default=32)), float(table.take("beta_slow", default=1))
    mscale, mscale_all = table.take("mscale", default=0.0), table.take("mscale_all_dim", default=0.0)
    magnitude = table.take("attention_factor", default=None)
    if magnitude is None and mscale and mscale_all:
        magnitude = _yarn_magnitude(factor, float(mscale)) / _yarn_magnitude(factor, float(mscale_all))
    if magnitude is None:
        magnitude = _yarn_magnitude(factor, 1.0)

    def dimension(num_turns: float) -> float:
        return rotated * math.log(context / (num_turns * 2 * math.pi)) / (2 * math.log(theta))

    low, high = dimension(fast), dimension(slow)
    if table.take("truncate", default=True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, rotated - 1)
    ramp = (np.arange(rotated // 2, dtype=np.float32) - low) / max(high - low, 0.001)
    kept = 1 - np.clip(ramp, 0, 1)
    return (frequencies / np.float32(factor) * (1 - kept) + frequencies * kept).astype(np.float32), float(magnitude)


def _yarn_magnitude(factor: float, mscale: float) -> float:
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0
