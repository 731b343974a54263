"""Qwen3-MoE: softmax routing, no shared expert; dense layers where the configuration says so; one window for all."""

from __future__ import annotations

from reference.jax_stacked.config import Experts, ModelConfig
from reference.jax_stacked.fields import Fields
from reference.jax_stacked.parts import common, grouped_attention
from reference.jax_stacked.rope import read_rope


def read(fields: Fields) -> ModelConfig:
    """The model that `fields` describe; defaults are those of transformers' Qwen3MoeConfig."""
    num_layers = fields.take("num_hidden_layers")
    attention = grouped_attention(fields, qk_norm=True)
    experts = Experts(
        num_experts=fields.take("num_experts", "num_local_experts"),
        num_chosen=fields.take("num_experts_per_tok", default=8),
        width=fields.take("moe_intermediate_size"),
        router="softmax",
        normalise=fields.take("norm_topk_prob", default=False),
    )
    dense, step = set(fields.take("mlp_only_layers", default=[])), fields.take("decoder_sparse_step", default=1)
    window = fields.take("sliding_window", default=4096)
    if not fields.take("use_sliding_window", default=False):
        window = None
    # Published configurations have it; transformers' model does not look at it: its window is every layer's.
    fields.take("max_window_layers", default=None)
    return ModelConfig(
        **common(fields, norm_eps=1e-6),
        rope=read_rope(fields, attention.head_dim),
        attention=attention,
        experts=experts,
        sparse=tuple(layer not in dense and (layer + 1) % step == 0 for layer in range(num_layers)),
        windows=(window,) * num_layers,
    )
