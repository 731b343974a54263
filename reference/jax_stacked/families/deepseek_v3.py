"""DeepSeek V3: latent attention, dense layers first, then routed and shared experts."""

from __future__ import annotations

from reference.jax_stacked.config import LatentAttention, ModelConfig
from reference.jax_stacked.fields import Fields
from reference.jax_stacked.parts import common, corrected_experts, dense_first
from reference.jax_stacked.rope import read_rope, yarn_score_scale

LATENT_NORM_EPS = 1e-6
"""transformers builds the norms of the latents without the configuration's epsilon."""
DERIVED = ("head_dim", "qk_head_dim")
"""Fields that transformers 5 writes and that follow from others."""


def read(fields: Fields) -> ModelConfig:
    """The model that `fields` describe; defaults are those of transformers' DeepseekV3Config."""
    num_layers, num_heads = fields.take("num_hidden_layers"), fields.take("num_attention_heads")
    nope_dim, rope_dim = fields.take("qk_nope_head_dim"), fields.take("qk_rope_head_dim")
    fields.only("num_key_value_heads", num_heads, default=num_heads)
    for name, value in zip(DERIVED, (rope_dim, nope_dim + rope_dim), strict=True):
        fields.only(name, value, default=value)
    attention = LatentAttention(
        num_heads=num_heads,
        query_rank=fields.take("q_lora_rank", default=None),
        kv_rank=fields.take("kv_lora_rank"),
        nope_dim=nope_dim,
        rope_dim=rope_dim,
        value_dim=fields.take("v_head_dim"),
        bias=fields.take("attention_bias", default=False),
        score_scale=(nope_dim + rope_dim) ** -0.5 * yarn_score_scale(fields),
        latent_norm_eps=LATENT_NORM_EPS,
    )
    return ModelConfig(
        **common(fields, norm_eps=1e-6),
        rope=read_rope(fields, rope_dim, interleaved=fields.take("rope_interleave", default=True)),
        attention=attention,
        experts=corrected_experts(fields, scale=2.5, num_groups=8, num_chosen_groups=4),
        sparse=dense_first(fields, num_layers, default=3),
        windows=(None,) * num_layers,
    )
