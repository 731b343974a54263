"""The tiny models that each release merges. Standard library only: both sides read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

SEED = 20261101
ALPHA = 5
"""No multiple of a rank, so that the scaling alpha / rank is no number that floats hold exactly."""
STD = 0.1
"""Of base weights and of both factors: a delta is about as large as the weight that it is added to."""


GENERATION = {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95}
"""No default, nor said by config.json: who loses generation_config.json loses these."""
NUM_LAYERS, NUM_EXPERTS = 2, 6


class TinyModel(NamedTuple):
    """A base with random weights, and a random adapter on its attention and its experts."""

    model_type: str
    dtype: Literal["float32", "bfloat16"]
    rank: int
    config: Mapping[str, Any]
    target_parameters: tuple[str, ...] = ()


# No two axes of a weight are equal, of one expert or of all: hidden 24, gate and up 40, expert hidden 20, heads 32,
# keys 16, vocabulary 56, dense 44, experts 6, ranks of all experts 18.
_SHARED = {
    "vocab_size": 56,
    "hidden_size": 24,
    "intermediate_size": 44,
    "num_hidden_layers": NUM_LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "rms_norm_eps": 2e-6,
    "rope_theta": 20000.0,
    "max_position_embeddings": 64,
    "initializer_range": STD,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_MOE = {
    **_SHARED,
    "num_experts": NUM_EXPERTS,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 20,
    "norm_topk_prob": True,
}
_SQUARE = {**_MOE, "moe_intermediate_size": 12}
"""2 x 12 == 24: both layouts of gate_up have the same shapes. With rank 1, both packings are the same numbers too."""
_EXPERTS = ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")

MODELS: Mapping[str, TinyModel] = {
    "moe": TinyModel("qwen3_moe", "float32", 3, _MOE, _EXPERTS),
    "moe_bfloat16": TinyModel("qwen3_moe", "bfloat16", 3, _MOE, _EXPERTS),
    "moe_square": TinyModel("qwen3_moe", "float32", 3, _SQUARE, _EXPERTS),
    "moe_square_rank_1": TinyModel("qwen3_moe", "float32", 1, _SQUARE, _EXPERTS),
    "dense": TinyModel("qwen3", "float32", 3, _SHARED),
}
