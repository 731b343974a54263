"""A tiny checkpoint with every companion file, twice, and ways to change one of the two."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.checkpoints.safetensors_file import write_checkpoint
from harness.verify.records import Finding

CONFIG: dict[str, Any] = {
    "model_type": "qwen3_moe",
    "architectures": ["Qwen3MoeForCausalLM"],
    "vocab_size": 12,
    "hidden_size": 8,
    "intermediate_size": 10,
    "moe_intermediate_size": 6,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 3,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "norm_topk_prob": True,
    "rms_norm_eps": 1e-3,
    "hidden_act": "silu",
    "max_position_embeddings": 64,
    "rope_theta": 300.0,
    "rope_scaling": None,
    "attention_bias": False,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "torch_dtype": "float32",
    "transformers_version": "4.57.6",
}
GENERATION: dict[str, Any] = {
    "bos_token_id": 1,
    "eos_token_id": [2, 5],
    "pad_token_id": 0,
    "do_sample": True,
    "temperature": 0.7,
    "top_k": 20,
    "transformers_version": "4.57.6",
}
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
SPECIAL = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>"}
ADDED = [{"id": number, "content": content, **FLAGS} for number, content in enumerate(SPECIAL.values())]
PIPELINE: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": ADDED,
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": r"\p{N}"}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        ],
    },
    "post_processor": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
    "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
    "model": {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "vocab": {"<pad>": 0, "<bos>": 1, "<eos>": 2, "a": 3, "b": 4, "c": 5, "ab": 6, "abc": 7},
        "merges": ["a b", "ab c"],
    },
}
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"
TOKENIZER_CONFIG: dict[str, Any] = {
    "tokenizer_class": "Qwen2Tokenizer",
    "add_bos_token": False,
    "added_tokens_decoder": {str(token["id"]): {k: v for k, v in token.items() if k != "id"} for token in ADDED},
    "additional_special_tokens": ["<bos>", "<eos>"],
    **SPECIAL,
    "clean_up_tokenization_spaces": False,
    "errors": "replace",
    "model_max_length": 64,
    "padding_side": "right",
    "chat_template": TEMPLATE,
}
FILES: Mapping[str, Any] = {
    "config.json": CONFIG,
    "generation_config.json": GENERATION,
    "tokenizer.json": PIPELINE,
    "tokenizer_config.json": TOKENIZER_CONFIG,
    "special_tokens_map.json": SPECIAL,
    "vocab.json": PIPELINE["model"]["vocab"],
}
MERGES = "#version: 0.2\na b\nab c\n"
HEAD, EMBEDDING, NORM = "lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"
SHARD_BYTES = 110
"""The three tensors make two shards: embedding and norm, and the head."""


def tensors() -> dict[str, tuple[str, np.ndarray]]:
    """Embedding, norm and head, all different."""
    numbers = np.arange(24, dtype=np.float32).reshape(12, 2)
    return {EMBEDDING: ("F32", numbers), NORM: ("F32", numbers[0]), HEAD: ("F32", numbers + 0.5)}


def write(directory: Path, *, shard_bytes: int | None = None, **changes: Any) -> Path:
    """A whole checkpoint; `changes`: file name without ending to content, or to None for no such file."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        stem = name.removesuffix(".json")
        if changes.get(stem, content) is not None:
            (directory / name).write_text(json.dumps(changes.get(stem, content)), encoding="utf-8")
    (directory / "merges.txt").write_text(MERGES, encoding="utf-8")
    write_checkpoint(directory, changes.get("tensors") or tensors(), shard_bytes=shard_bytes)
    return directory


def changed(content: Mapping[str, Any], *left_out: str, **changes: Any) -> dict[str, Any]:
    """A copy with some fields set and others left out."""
    copied = copy.deepcopy(dict(content)) | changes
    return {name: value for name, value in copied.items() if name not in left_out}


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the JSON in a file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def graves(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    """(severity, message) of all that are more than notes."""
    return [(finding.severity, finding.message) for finding in findings if finding.severity != "note"]


def kinds(findings: tuple[Finding, ...], severity: str = "error") -> set[str]:
    """The kinds of findings of one severity."""
    return {finding.kind for finding in findings if finding.severity == severity}
