"""What several families' configurations share: the fields of the usual names."""

from __future__ import annotations

from typing import Any

from reference.jax_stacked.config import Experts, GroupedAttention
from reference.jax_stacked.fields import Fields
from reference.jax_stacked.mlp import ACTIVATIONS


def common(fields: Fields, *, norm_eps: float) -> dict[str, Any]:
    """Arguments of ModelConfig that every family spells alike; `norm_eps` is the family's default."""
    activation = fields.take("hidden_act", default="silu")
    if activation not in ACTIVATIONS:
        raise fields.refusal("hidden_act", ", ".join(ACTIVATIONS), activation)
    stop = fields.take("eos_token_id", default=())
    return {
        "vocab_size": fields.take("vocab_size"),
        "hidden_size": fields.take("hidden_size"),
        "mlp_width": fields.take("intermediate_size"),
        "activation": activation,
        "norm_eps": fields.take("rms_norm_eps", default=norm_eps),
        "tied": fields.take("tie_word_embeddings", default=False),
        "init_std": fields.take("initializer_range", default=0.02),
        "stop_tokens": (stop,) if isinstance(stop, int) else tuple(stop),
    }


def grouped_attention(
    fields: Fields, *, qk_norm: bool, head_dim: int | None = None, output_bias: bool | None = None
) -> GroupedAttention:
    """The attention of Qwen3, Llama and GLM4. `head_dim` is the family's default, if it is not hidden / heads."""
    num_heads = fields.take("num_attention_heads")
    bias = fields.take("attention_bias", default=False)
    fallback = head_dim or fields.peek("hidden_size") // num_heads
    return GroupedAttention(
        num_heads=num_heads,
        num_kv_heads=fields.take("num_key_value_heads", default=num_heads),
        head_dim=fields.take("head_dim", default=fallback),
        bias=bias,
        output_bias=bias if output_bias is None else output_bias,
        qk_norm=qk_norm,
    )


def corrected_experts(fields: Fields, *, scale: float, num_groups: int, num_chosen_groups: int) -> Experts:
    """The experts of DeepSeek V3 and GLM4; the numbers are the family's defaults."""
    width = fields.take("moe_intermediate_size")
    return Experts(
        num_experts=fields.take("n_routed_experts", "num_local_experts"),
        num_chosen=fields.take("num_experts_per_tok", default=8),
        width=width,
        shared_width=width * fields.take("n_shared_experts", default=1),
        router="sigmoid",
        normalise=fields.take("norm_topk_prob", default=True),
        scale=fields.take("routed_scaling_factor", default=scale),
        num_groups=fields.take("n_group", default=num_groups),
        num_chosen_groups=fields.take("topk_group", default=num_chosen_groups),
    )


def dense_first(fields: Fields, num_layers: int, *, default: int) -> tuple[bool, ...]:
    """Dense layers up to `first_k_dense_replace`, sparse ones from there on."""
    first = fields.take("first_k_dense_replace", default=default)
    return tuple(layer >= first for layer in range(num_layers))
