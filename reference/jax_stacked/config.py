"""What a model is made of, as plain numbers: every layer, shape and switch of the forward pass follows from them.

These records are hashable, because they are part of what a compiled function is made for. Knows nothing of config.json:
that is `fields` and `families`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Rope:
    """Rotary position embedding of the first `2 * len(inverse_frequencies)` dimensions of a head."""

    inverse_frequencies: tuple[float, ...]
    """Radians per position, after whatever scaling the configuration asks for."""
    magnitude: float = 1.0
    """Factor of cosine and sine (YaRN's attention factor)."""
    interleaved: bool = False
    """True: neighbouring dimensions are a pair, and the rotated pairs come out de-interleaved (DeepSeek)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedAttention:
    """Attention whose query heads share key-value heads in groups."""

    num_heads: int
    num_kv_heads: int
    head_dim: int
    bias: bool
    output_bias: bool
    qk_norm: bool
    """True: queries and keys are RMS-normalised over a head's dimensions before they are rotated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """DeepSeek's attention: queries, keys and values go through low-rank latents; only a part of a head is rotated."""

    num_heads: int
    query_rank: int | None
    """None: queries are projected directly."""
    kv_rank: int
    nope_dim: int
    rope_dim: int
    value_dim: int
    bias: bool
    score_scale: float
    latent_norm_eps: float
    """Not the model's own: transformers builds these norms with their default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """A layer's routed experts, and the shared expert beside them."""

    num_experts: int
    num_chosen: int
    width: int
    shared_width: int = 0
    """0: there is no shared expert."""
    router: Literal["softmax", "sigmoid"]
    """softmax (Qwen3): probabilities over all experts. sigmoid (DeepSeek): chosen with a correction bias, by groups."""
    normalise: bool
    """True: the chosen experts' weights are made to sum to one."""
    scale: float = 1.0
    num_groups: int = 1
    num_chosen_groups: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """A decoder-only language model."""

    vocab_size: int
    hidden_size: int
    mlp_width: int
    mlp_bias: bool = False
    activation: str
    norm_eps: float
    tied: bool
    """True: the head is the embedding."""
    rope: Rope
    attention: GroupedAttention | LatentAttention
    experts: Experts | None = None
    sparse: tuple[bool, ...]
    """A layer each: True if it routes to experts, False if its MLP is dense."""
    windows: tuple[int | None, ...]
    """A layer each: how many positions back it attends to, itself included; None for all."""
    stop_tokens: tuple[int, ...] = ()
    init_std: float = 0.02

    @property
    def num_layers(self) -> int:
        """Layers of all stacks together."""
        return len(self.sparse)
