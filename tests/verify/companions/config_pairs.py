"""Configurations that mean the same, each with the nearest one that does not."""

from __future__ import annotations

from typing import Any

from tests.verify.companions.builders import CONFIG, changed

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
    "rope_theta": 300.0,
    "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 32},
}
YARN = {"rope_type": "yarn", "rope_theta": 300.0, "factor": 4.0, "original_max_position_embeddings": 16}
GLM: dict[str, Any] = {
    "model_type": "glm4_moe",
    "n_routed_experts": 8,
    "rope_theta": 300.0,
    "partial_rotary_factor": 0.75,
}
GEMMA: dict[str, Any] = {
    "model_type": "gemma3_text",
    "num_hidden_layers": 7,
    "rope_theta": 1e6,
    "rope_local_base_freq": 500.0,
    "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    "sliding_window_pattern": 6,
}
GEMMA_ROPE = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
    "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
}
FULL, WINDOWED = "full_attention", "sliding_attention"
QWEN: dict[str, Any] = {
    "model_type": "qwen3",
    "num_hidden_layers": 3,
    "use_sliding_window": True,
    "sliding_window": 9,
    "max_window_layers": 1,
}
UNWINDOWED = changed(QWEN, use_sliding_window=False)
VISION: dict[str, Any] = {
    "model_type": "qwen2_vl",
    "architectures": ["Qwen2VLForConditionalGeneration"],
    "hidden_size": 16,
    "num_attention_heads": 4,
    "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
    "rope_theta": 300.0,
    "image_token_id": 9,
    "vision_config": {"depth": 3, "model_type": "qwen2_vl"},
}
TEXT = {
    "model_type": "qwen2_vl_text",
    "hidden_size": 16,
    "num_attention_heads": 4,
    "rope_parameters": {"rope_type": "default", "rope_theta": 300.0, "mrope_section": [1, 1, 2]},
}
CLASSIC_ROPE = {"rope_theta": 300.0, "rope_scaling": VISION["rope_scaling"]}
NESTED: dict[str, Any] = {**changed(VISION, "hidden_size", "num_attention_heads", "rope_scaling", "rope_theta")}
NESTED["text_config"] = TEXT

# What base says, what means the same, what is the nearest loss, and the field that it is to name.
SPELLINGS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    "rope_theta moved": (
        CONFIG,
        changed(CONFIG, "rope_theta", "rope_scaling", rope_parameters={"rope_type": "default", "rope_theta": 300.0}),
        changed(CONFIG, "rope_theta", "rope_scaling", rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
        "rope_theta",
    ),
    "rope_theta not needed": (
        changed(CONFIG, rope_theta=10000.0),
        changed(CONFIG, "rope_theta"),
        changed(CONFIG, rope_theta=1000.0),
        "rope_theta",
    ),
    "scaling moved": (
        LLAMA,
        changed(LLAMA, "rope_theta", "rope_scaling", rope_parameters=YARN),
        changed(LLAMA, "rope_theta", "rope_scaling", rope_parameters=changed(YARN, factor=2.0)),
        "rope.factor",
    ),
    "scaling lost": (
        LLAMA,
        changed(LLAMA, rope_scaling={**LLAMA["rope_scaling"], "rope_type": "yarn", "type": None}),
        changed(LLAMA, "rope_scaling"),
        "rope.rope_type",
    ),
    "scaled length by default": (
        changed(LLAMA, rope_scaling={"rope_type": "yarn", "factor": 4.0}),
        changed(LLAMA, rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}),
        changed(LLAMA, rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}),
        "original_max_position_embeddings",
    ),
    "partial rotary factor moved": (
        GLM,
        changed(
            GLM,
            "rope_theta",
            "partial_rotary_factor",
            rope_parameters={"rope_type": "default", "rope_theta": 300.0, "partial_rotary_factor": 0.75},
        ),
        changed(GLM, "partial_rotary_factor"),
        "partial_rotary_factor",
    ),
    "rotary fields by layer type": (
        GEMMA,
        changed(GEMMA, "rope_theta", "rope_local_base_freq", "rope_scaling", rope_parameters=GEMMA_ROPE),
        changed(GEMMA, "rope_local_base_freq"),
        "rope.sliding_attention.rope_theta",
    ),
    "experts renamed": (
        GLM,
        changed(GLM, "n_routed_experts", num_local_experts=8),
        changed(GLM, "n_routed_experts"),
        "num_experts",
    ),
    "dtype renamed": (
        CONFIG,
        changed(CONFIG, "torch_dtype", dtype="float32"),
        changed(CONFIG, "torch_dtype", dtype="float16"),
        "dtype",
    ),
    "defaults added": (
        changed(CONFIG, "attention_bias", "hidden_act"),
        changed(CONFIG, decoder_sparse_step=1, mlp_only_layers=[], use_sliding_window=False, sliding_window=4096),
        changed(CONFIG, decoder_sparse_step=2),
        "decoder_sparse_step",
    ),
    "head_dim by default": (
        changed(LLAMA),
        changed(LLAMA, head_dim=2),
        changed(LLAMA, head_dim=4),
        "head_dim",
    ),
    "head_dim null": (
        changed(LLAMA, head_dim=None),
        changed(LLAMA, head_dim=2),
        changed(LLAMA, head_dim=3),
        "head_dim",
    ),
    "head_dim by default of another type": (
        changed(CONFIG, "head_dim", model_type="qwen3"),
        changed(CONFIG, model_type="qwen3", head_dim=128),
        changed(CONFIG, model_type="qwen3", head_dim=2),
        "head_dim",
    ),
    "key heads by default": (
        changed(LLAMA, "num_key_value_heads"),
        LLAMA,
        changed(LLAMA, num_key_value_heads=2),
        "num_key_value_heads",
    ),
    "list of null": (
        changed(CONFIG, mlp_only_layers=None),
        changed(CONFIG, mlp_only_layers=[]),
        changed(CONFIG, mlp_only_layers=[1]),
        "mlp_only_layers",
    ),
    "a number's type": (
        changed(CONFIG, rope_theta=300, num_experts=4.0),
        CONFIG,
        changed(CONFIG, norm_topk_prob=1),
        "norm_topk_prob",
    ),
    "end token in a list": (
        CONFIG,
        changed(CONFIG, eos_token_id=[2]),
        changed(CONFIG, eos_token_id=[2, 3]),
        "eos_token_id",
    ),
    "order of end tokens": (
        changed(CONFIG, eos_token_id=[2, 3]),
        changed(CONFIG, eos_token_id=[3, 2]),
        changed(CONFIG, eos_token_id=[3]),
        "eos_token_id",
    ),
    "layer types built": (
        QWEN,
        changed(QWEN, layer_types=[FULL, WINDOWED, WINDOWED]),
        changed(QWEN, layer_types=[FULL, FULL, WINDOWED]),
        "layer_types",
    ),
    "layer types built otherwise": (
        QWEN,
        changed(QWEN, layer_types=None),
        changed(QWEN, max_window_layers=2),
        "layer_types",
    ),
    "window not used": (
        UNWINDOWED,
        changed(UNWINDOWED, "max_window_layers", sliding_window=None, layer_types=[FULL] * 3),
        QWEN,
        "sliding_window",
    ),
    "every sixth layer": (
        GEMMA,
        changed(GEMMA, "sliding_window_pattern", layer_types=[WINDOWED] * 5 + [FULL, WINDOWED]),
        changed(GEMMA, "sliding_window_pattern", layer_types=[WINDOWED] * 7),
        "layer_types",
    ),
    "labels of no classifier": (
        CONFIG,
        changed(CONFIG, id2label={"0": "LABEL_0", "1": "LABEL_1"}, label2id={"LABEL_0": 0, "LABEL_1": 1}),
        changed(CONFIG, architectures=["Qwen3MoeForSequenceClassification"]),
        "architectures",
    ),
    "order of architectures": (
        changed(CONFIG, architectures=["A", "B"]),
        changed(CONFIG, architectures=["B", "A"]),
        changed(CONFIG, architectures=["B"]),
        "architectures",
    ),
    "names and switches": (
        CONFIG,
        changed(
            CONFIG, "transformers_version", _name_or_path="x", use_cache=False, output_router_logits=True,
            initializer_range=1.0, attention_dropout=0.1, unsloth_version="2026.5", temperature=0.3,
        ),
        changed(CONFIG, rms_norm_eps=1e-6),
        "rms_norm_eps",
    ),
    "text model lifted": (
        VISION,
        NESTED,
        {**NESTED, "text_config": changed(TEXT, hidden_size=8)},
        "hidden_size",
    ),
    "nested text model spelt anew": (
        {**NESTED, "text_config": changed(TEXT, "rope_parameters", **CLASSIC_ROPE)},
        NESTED,
        {**NESTED, "text_config": changed(TEXT, "rope_parameters", **changed(CLASSIC_ROPE, "rope_theta"))},
        "rope_theta",
    ),
    "part for images at its defaults": (
        NESTED,
        {**NESTED, "vision_config": {"depth": 3, "patch_size": 14}},
        {**NESTED, "vision_config": {"depth": 3, "patch_size": 16}},
        "patch_size of vision_config",
    ),
    "token of images renamed": (
        changed(NESTED, "image_token_id", image_token_index=9),
        NESTED,
        changed(NESTED, image_token_id=8),
        "image_token_id",
    ),
    "type": (CONFIG, CONFIG, changed(CONFIG, model_type="qwen2_moe"), "model_type"),
    "size": (CONFIG, CONFIG, changed(CONFIG, vocab_size=13), "vocab_size"),
}  # fmt: skip
