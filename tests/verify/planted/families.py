"""Tiny base checkpoints of families, drawn from a seed: the tensors of each, by the names that transformers gives them.

No two axes of a layer are equal, but in the models that are called square. Knows no adapters and no files.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np

from tests.verify.planted.models import KEPT_FLOAT32, PROJECTIONS, W1_W3_W2, Experts, Model, Sizes

Shapes = dict[str, tuple[int, ...]]


def _attention(sizes: Sizes, *, biased: bool = False) -> Shapes:
    linears = {"q": (sizes.queries, sizes.hidden), "k": (sizes.keys, sizes.hidden), "v": (sizes.keys, sizes.hidden)}
    shapes: Shapes = {f"self_attn.{name}_proj.weight": shape for name, shape in linears.items()}
    shapes["self_attn.o_proj.weight"] = (sizes.hidden, sizes.queries)
    if biased:
        shapes |= {name.replace("weight", "bias"): shape[:1] for name, shape in shapes.items()}
    return shapes


def _latent_attention(sizes: Sizes) -> Shapes:
    return {
        "self_attn.q_a_proj.weight": (18, sizes.hidden),
        "self_attn.q_a_layernorm.weight": (18,),
        "self_attn.q_b_proj.weight": (sizes.queries, 18),
        "self_attn.kv_a_proj_with_mqa.weight": (22, sizes.hidden),
        "self_attn.kv_a_layernorm.weight": (16,),
        "self_attn.kv_b_proj.weight": (62, 16),
        "self_attn.o_proj.weight": (sizes.hidden, 44),
    }


def _mlp(sizes: Sizes, block: str, inner: int) -> Shapes:
    return {
        f"{block}.gate_proj.weight": (inner, sizes.hidden),
        f"{block}.up_proj.weight": (inner, sizes.hidden),
        f"{block}.down_proj.weight": (sizes.hidden, inner),
    }


def _norms(sizes: Sizes) -> Shapes:
    return {f"{name}_layernorm.weight": (sizes.hidden,) for name in ("input", "post_attention")}


def _experts(sizes: Sizes, first: int = 0) -> Experts:
    return Experts(num=sizes.experts, layers=tuple(range(first, sizes.layers)), names=PROJECTIONS)


def _expert_shapes(experts: Experts, layer: int, sizes: Sizes) -> Shapes:
    inward, outward = (sizes.inner, sizes.hidden), (sizes.hidden, sizes.inner)
    return {
        experts.site(layer, expert, part): outward if part == "down" else inward
        for expert in range(experts.num)
        for part in PROJECTIONS
    }


def _model(
    name: str,
    model_type: str,
    sizes: Sizes,
    layers: list[Shapes],
    experts: Experts | None = None,
    *,
    prefix: str = "model.",
    tied: bool = False,
    **fields: int,
) -> Model:
    """The model whose layers, one after the other, hold these tensors beside their norms and experts."""
    shapes: Shapes = {"model.embed_tokens.weight": (sizes.vocabulary, sizes.hidden)}
    for layer, tensors in enumerate(layers):
        shapes |= {f"model.layers.{layer}.{rest}": shape for rest, shape in {**_norms(sizes), **tensors}.items()}
        if experts is not None and layer in experts.layers:
            shapes |= _expert_shapes(experts, layer, sizes)
    shapes["model.norm.weight"] = (sizes.hidden,)
    if not tied:
        shapes["lm_head.weight"] = (sizes.vocabulary, sizes.hidden)
    config = {
        "model_type": model_type,
        "hidden_size": sizes.hidden,
        "vocab_size": sizes.vocabulary,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 12,
        "max_position_embeddings": 64,
        "rope_theta": 300.0,
        "rms_norm_eps": 1e-3,
        "tie_word_embeddings": tied,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        **fields,
    }
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    weights = {site: _draw(rng, site, shape) for site, shape in shapes.items()}
    return Model(name=name, config=config, weights=weights, experts=experts, prefix=prefix)


def _draw(rng: np.random.Generator, site: str, shape: tuple[int, ...]) -> np.ndarray:
    centre = 1.0 if "norm" in site else 0.0
    return (centre + 0.1 * rng.standard_normal(shape)).astype(np.float32)


def _qwen3(name: str, *, tied: bool = False, sizes: Sizes | None = None) -> Model:
    sizes = sizes or Sizes()
    norms = {"self_attn.q_norm.weight": (12,), "self_attn.k_norm.weight": (12,)}
    layer = {**_attention(sizes), **norms, **_mlp(sizes, "mlp", sizes.dense)}
    return _model(name, "qwen3", sizes, [layer] * sizes.layers, tied=tied, intermediate_size=sizes.dense)


def _llama(name: str) -> Model:
    sizes = Sizes()
    layer = {**_attention(sizes, biased=True), **_mlp(sizes, "mlp", sizes.dense)}
    return _model(name, "llama", sizes, [layer] * sizes.layers, intermediate_size=sizes.dense, attention_bias=True)


def _qwen3_moe(name: str, sizes: Sizes | None = None, model_type: str = "qwen3_moe") -> Model:
    sizes = sizes or Sizes()
    experts = _experts(sizes)
    norms = {"self_attn.q_norm.weight": (12,), "self_attn.k_norm.weight": (12,)}
    layer = {**_attention(sizes), **norms, "mlp.gate.weight": (sizes.experts, sizes.hidden)}
    return _model(
        name,
        model_type,
        sizes,
        [layer] * sizes.layers,
        experts,
        num_experts=sizes.experts,
        num_experts_per_tok=1,
        moe_intermediate_size=sizes.inner,
    )


def _mixtral(name: str) -> Model:
    sizes = Sizes()
    experts = replace(_experts(sizes), stored="block_sparse_moe.experts", names=W1_W3_W2)
    layer = {**_attention(sizes), "block_sparse_moe.gate.weight": (sizes.experts, sizes.hidden)}
    return _model(
        name,
        "mixtral",
        sizes,
        [layer] * sizes.layers,
        experts,
        num_local_experts=sizes.experts,
        num_experts_per_tok=2,
        intermediate_size=sizes.inner,
    )


def _gpt_oss(name: str) -> Model:
    sizes = Sizes()
    experts = replace(_experts(sizes), turned=True)
    layer = {
        **_attention(sizes, biased=True),
        "self_attn.sinks": (4,),
        "mlp.router.weight": (sizes.experts, sizes.hidden),
        "mlp.router.bias": (sizes.experts,),
        "mlp.experts.gate_up_proj_bias": (sizes.experts, 2 * sizes.inner),
        "mlp.experts.down_proj_bias": (sizes.experts, sizes.hidden),
    }
    return _model(
        name,
        "gpt_oss",
        sizes,
        [layer] * sizes.layers,
        experts,
        num_local_experts=sizes.experts,
        num_experts_per_tok=2,
        intermediate_size=sizes.inner,
    )


def _routed(name: str, model_type: str, attention: Shapes) -> Model:
    """A dense layer first, then experts in groups, with a correction bias, and shared experts beside them."""
    sizes = Sizes(layers=3)
    experts = _experts(sizes, first=1)
    sparse = {
        **attention,
        "mlp.gate.weight": (sizes.experts, sizes.hidden),
        f"mlp.gate.{KEPT_FLOAT32}": (sizes.experts,),
        **_mlp(sizes, "mlp.shared_experts", sizes.shared),
    }
    layers = [{**attention, **_mlp(sizes, "mlp", sizes.dense)}, *[sparse] * (sizes.layers - 1)]
    return _model(
        name,
        model_type,
        sizes,
        layers,
        experts,
        n_routed_experts=sizes.experts,
        moe_intermediate_size=sizes.inner,
        first_k_dense_replace=1,
    )


def _qwen3_5_moe(name: str) -> Model:
    sizes = Sizes()
    experts = _experts(sizes)
    every = {
        "mlp.gate.weight": (sizes.experts, sizes.hidden),
        **_mlp(sizes, "mlp.shared_expert", sizes.shared),
        "mlp.shared_expert_gate.weight": (1, sizes.hidden),
    }
    linear = {
        "linear_attn.in_proj_qkv.weight": (66, sizes.hidden),
        "linear_attn.in_proj_z.weight": (32, sizes.hidden),
        "linear_attn.out_proj.weight": (sizes.hidden, 32),
        "linear_attn.conv1d.weight": (66, 1, 4),
        "linear_attn.A_log": (4,),
        "linear_attn.dt_bias": (4,),
        **every,
    }
    layers = [linear, *[{**_attention(sizes), **every}] * (sizes.layers - 1)]
    return _model(
        name,
        "qwen3_5_moe_text",
        sizes,
        layers,
        experts,
        prefix="model.language_model.",
        num_experts=sizes.experts,
        num_experts_per_tok=1,
        moe_intermediate_size=sizes.inner,
    )


SQUARE = Sizes(hidden=48, inner=24)
"""The queries are as wide as hidden, and so are two experts' halves."""
SQUARER = replace(SQUARE, inner=48)
"""The expert too: neither parameter's factors tell by their shapes how they lie."""

_MAKERS: dict[str, Callable[[], Model]] = {
    "qwen3": lambda: _qwen3("qwen3"),
    "qwen3-tied": lambda: _qwen3("qwen3-tied", tied=True),
    "qwen3-square": lambda: _qwen3("qwen3-square", sizes=SQUARE),
    "llama": lambda: _llama("llama"),
    "qwen3_moe": lambda: _qwen3_moe("qwen3_moe"),
    "qwen3_moe-square": lambda: _qwen3_moe("qwen3_moe-square", SQUARE),
    "qwen3_moe-squarer": lambda: _qwen3_moe("qwen3_moe-squarer", SQUARER),
    "qwen3_moe-lonely": lambda: _qwen3_moe("qwen3_moe-lonely", Sizes(experts=1)),
    "qwen3_moe-crowd": lambda: _qwen3_moe("qwen3_moe-crowd", Sizes(experts=17)),
    "stranger": lambda: _qwen3_moe("stranger", model_type="unheard_of"),
    "mixtral": lambda: _mixtral("mixtral"),
    "gpt_oss": lambda: _gpt_oss("gpt_oss"),
    "glm4_moe": lambda: _routed("glm4_moe", "glm4_moe", _attention(Sizes(), biased=True)),
    "deepseek_v3": lambda: _routed("deepseek_v3", "deepseek_v3", _latent_attention(Sizes())),
    "qwen3_5_moe": lambda: _qwen3_5_moe("qwen3_5_moe"),
}
KNOWN = tuple(name for name in _MAKERS if name != "stranger")
"""Those of families that have naming rules."""


@cache
def model(name: str) -> Model:
    """The model of this name, always the same."""
    return _MAKERS[name]()
