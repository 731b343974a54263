"""Qwen3: dense, with norms on queries and keys, and a window for some layers if asked for."""

from __future__ import annotations

from reference.jax_stacked.config import ModelConfig
from reference.jax_stacked.fields import Fields
from reference.jax_stacked.parts import common, grouped_attention
from reference.jax_stacked.rope import read_rope

KINDS = ("full_attention", "sliding_attention")


def read(fields: Fields) -> ModelConfig:
    """The model that `fields` describe; defaults are those of transformers' Qwen3Config."""
    num_layers = fields.take("num_hidden_layers")
    attention = grouped_attention(fields, qk_norm=True, head_dim=128)
    return ModelConfig(
        **common(fields, norm_eps=1e-6),
        rope=read_rope(fields, attention.head_dim),
        attention=attention,
        sparse=(False,) * num_layers,
        windows=_windows(fields, num_layers),
    )


def _windows(fields: Fields, num_layers: int) -> tuple[int | None, ...]:
    """`layer_types` say which layers have the window; without them, those from `max_window_layers` on."""
    size = fields.take("sliding_window", default=None)
    if not fields.take("use_sliding_window", default=False):
        size = None
    first = fields.take("max_window_layers", default=28)
    kinds = fields.take("layer_types", default=None)
    if kinds is None:
        kinds = [KINDS[size is not None and layer >= first] for layer in range(num_layers)]
    if len(kinds) != num_layers or not set(kinds) <= set(KINDS):
        raise fields.refusal("layer_types", f"{num_layers} of {', '.join(KINDS)}", kinds)
    if size is None and KINDS[1] in kinds:
        raise fields.refusal("layer_types", "a sliding_window for its sliding layers", kinds)
    return tuple(size if kind == KINDS[1] else None for kind in kinds)
