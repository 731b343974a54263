"""GLM-4 MoE: DeepSeek's routing and shared experts around grouped attention whose heads are rotated in part."""

from __future__ import annotations

from reference.jax_stacked.config import ModelConfig
from reference.jax_stacked.fields import Fields
from reference.jax_stacked.parts import common, corrected_experts, dense_first, grouped_attention
from reference.jax_stacked.rope import read_rope

DEFAULT_PARTIAL = 0.5
"""The share of a head that is rotated, where the configuration does not say."""


def read(fields: Fields) -> ModelConfig:
    """The model that `fields` describe; defaults are those of transformers' Glm4MoeConfig."""
    num_layers = fields.take("num_hidden_layers")
    # Its output projection has no bias, whatever attention_bias says.
    attention = grouped_attention(fields, qk_norm=fields.take("use_qk_norm", default=False), output_bias=False)
    return ModelConfig(
        **common(fields, norm_eps=1e-5),
        rope=read_rope(fields, attention.head_dim, default_partial=DEFAULT_PARTIAL),
        attention=attention,
        experts=corrected_experts(fields, scale=1.0, num_groups=1, num_chosen_groups=1),
        sparse=dense_first(fields, num_layers, default=1),
        windows=(None,) * num_layers,
    )
