"""Llama: dense, no norms on queries and keys, biases where the configuration says so."""

from __future__ import annotations

from reference.jax_stacked.config import ModelConfig
from reference.jax_stacked.fields import Fields
from reference.jax_stacked.parts import common, grouped_attention
from reference.jax_stacked.rope import read_rope


def read(fields: Fields) -> ModelConfig:
    """The model that `fields` describe; defaults are those of transformers' LlamaConfig."""
    num_layers = fields.take("num_hidden_layers")
    attention = grouped_attention(fields, qk_norm=False)
    return ModelConfig(
        **common(fields, norm_eps=1e-6),
        mlp_bias=fields.take("mlp_bias", default=False),
        rope=read_rope(fields, attention.head_dim),
        attention=attention,
        sparse=(False,) * num_layers,
        windows=(None,) * num_layers,
    )
