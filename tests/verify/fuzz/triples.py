"""The undamaged triples: a tiny base, an adapter for it, and what merging the two gives, worked out in float64.

Every size differs from every other but in the triple `square`, which has equal ones on purpose. Knows no damage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from tests.verify.companions.builders import FILES, MERGES
from tests.verify.fuzz.directories import Files, Triple
from tests.verify.fuzz.weights import ADAPTER, Shards, Tensors, numbers, store, tensor_of, tensors_of

PREFIX = "base_model.model."
NUM_LAYERS, NUM_EXPERTS, HIDDEN, EXPERT_HIDDEN, VOCABULARY, RANK, ALPHA = 2, 4, 16, 12, 22, 2, 6
OTHER_RANK, OTHER_ALPHA = 3, 5
"""Of v_proj where ranks differ."""
COMPANIONS = {name: content for name, content in FILES.items() if name != "config.json"}


class Variant(NamedTuple):
    """What distinguishes one triple from another."""

    name: str
    dtype: str
    """As safetensors spells it."""
    has_experts: bool = True
    num_heads: int = 6
    num_groups: int = 3
    head_size: int = 3
    is_dora: bool = False
    """With magnitudes, rsLoRA, patterns, and a head that is trained in full."""


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("float32", "F32"),
        Variant("bfloat16", "BF16"),
        Variant("square", "F32", num_heads=4, num_groups=2, head_size=4),
        Variant("dense", "BF16", has_experts=False, is_dora=True),
    )
}
WITH_EXPERTS = tuple(name for name, variant in VARIANTS.items() if variant.has_experts)


@cache
def pristine(name: str) -> Triple:
    """The triple of the variant called `name`. Not to be changed."""
    variant = VARIANTS[name]
    generator = np.random.default_rng(7)
    base = {
        path: tensor_of(variant.dtype, 0.3 * generator.standard_normal(shape))
        for path, shape in _shapes(variant).items()
    }
    adapter = _factors(variant, generator, base)
    fields = _adapter_config(variant)
    wanted = merged_numbers(base, adapter, fields)
    merged = {path: tensor_of(variant.dtype, wanted[path]) if path in wanted else base[path] for path in base}
    files: Files = {ADAPTER: b"", "adapter_config.json": json.dumps(fields, indent=2).encode()}
    store(files, {ADAPTER: adapter})
    return {"base": _directory(variant, base), "adapter": files, "merged": _directory(variant, merged)}


def merged_numbers(base: Mapping[str, Any], adapter: Tensors, fields: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What each adapted weight should be, in float64, by PEFT's packing and scaling. KeyError: base has no such."""
    found = {}
    for key, a in adapter.items():
        if not key.endswith(".lora_A.weight"):
            continue
        module = key.removeprefix(PREFIX).removesuffix(".lora_A.weight")
        scaling = _scaling(fields, module)
        down, up = numbers(a), numbers(adapter[key.replace("lora_A", "lora_B")])
        if ".experts" in module:
            found |= _merged_experts(base, module, scaling, down, up)
            continue
        weight = numbers(base[f"{module}.weight"])
        adapted = weight + scaling * up @ down
        if fields.get("use_dora"):
            magnitude = numbers(adapter[key.replace("lora_A.weight", "lora_magnitude_vector")])
            adapted *= (magnitude / np.linalg.norm(adapted, axis=1))[:, None]
        found[f"{module}.weight"] = adapted
    for key, tensor in adapter.items():
        if ".lora_" not in key:
            found[key.removeprefix(PREFIX)] = numbers(tensor)
    return found


def _merged_experts(
    base: Mapping[str, Any], module: str, scaling: float, down: np.ndarray, up: np.ndarray
) -> dict[str, np.ndarray]:
    """gate_up_proj is the inner wrapper's, down_proj the outer one's."""
    experts = module.removesuffix(".base_layer")
    parts = ("gate", "up") if experts != module else ("down",)
    down_ERI = down.reshape(NUM_EXPERTS, -1, down.shape[1])
    up_ORE = up.reshape(up.shape[0], -1, NUM_EXPERTS)
    found = {}
    for expert in range(NUM_EXPERTS):
        delta = scaling * up_ORE[:, :, expert] @ down_ERI[expert]
        for part, rows in zip(parts, np.split(delta, len(parts)), strict=True):
            name = f"{experts}.{expert}.{part}_proj.weight"
            found[name] = numbers(base[name]) + rows
    return found


def _scaling(fields: Mapping[str, Any], module: str) -> float:
    last = module.rpartition(".")[2]
    rank = (fields.get("rank_pattern") or {}).get(last, fields["r"])
    alpha = (fields.get("alpha_pattern") or {}).get(last, fields["lora_alpha"])
    return float(alpha / (rank**0.5 if fields.get("use_rslora") else rank))


def _shapes(variant: Variant) -> dict[str, tuple[int, ...]]:
    queries, keys = variant.num_heads * variant.head_size, variant.num_groups * variant.head_size
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for layer in range(NUM_LAYERS):
        head = f"model.layers.{layer}."
        shapes |= {
            f"{head}input_layernorm.weight": (HIDDEN,),
            f"{head}self_attn.q_proj.weight": (queries, HIDDEN),
            f"{head}self_attn.k_proj.weight": (keys, HIDDEN),
            f"{head}self_attn.v_proj.weight": (keys, HIDDEN),
            f"{head}self_attn.o_proj.weight": (HIDDEN, queries),
            f"{head}post_attention_layernorm.weight": (HIDDEN,),
        }
        inside = [f"experts.{expert}." for expert in range(NUM_EXPERTS)] if variant.has_experts else [""]
        for place in inside:
            shapes[f"{head}mlp.{place}gate_proj.weight"] = (EXPERT_HIDDEN, HIDDEN)
            shapes[f"{head}mlp.{place}up_proj.weight"] = (EXPERT_HIDDEN, HIDDEN)
            shapes[f"{head}mlp.{place}down_proj.weight"] = (HIDDEN, EXPERT_HIDDEN)
        if variant.has_experts:
            shapes[f"{head}mlp.gate.weight"] = (NUM_EXPERTS, HIDDEN)
            shapes |= {f"{head}self_attn.{name}_norm.weight": (variant.head_size,) for name in "qk"}
    return shapes | {"model.norm.weight": (HIDDEN,), "lm_head.weight": (VOCABULARY, HIDDEN)}


def _factors(variant: Variant, generator: np.random.Generator, base: Tensors) -> Tensors:
    """Of q_proj and v_proj, and of the experts; never zero, and with changes as large as the weights'."""
    found: Tensors = {}

    def pair(module: str, rank: int, rows: int, columns: int) -> None:
        for part, shape in (("lora_A", (rank, columns)), ("lora_B", (rows, rank))):
            values = 0.3 * generator.standard_normal(shape)
            found[f"{PREFIX}{module}.{part}.weight"] = tensor_of("F32", values)

    for layer in range(NUM_LAYERS):
        head = f"model.layers.{layer}."
        for name in ("q_proj", "v_proj"):
            module = f"{head}self_attn.{name}"
            rank = OTHER_RANK if variant.is_dora and name == "v_proj" else RANK
            rows = base[f"{module}.weight"].shape[0]
            pair(module, rank, rows, HIDDEN)
            if variant.is_dora:
                magnitude = 0.5 + generator.random(rows)
                found[f"{PREFIX}{module}.lora_magnitude_vector"] = tensor_of("F32", magnitude)
        if variant.has_experts:
            pair(f"{head}mlp.experts.base_layer", NUM_EXPERTS * RANK, 2 * EXPERT_HIDDEN, HIDDEN)
            pair(f"{head}mlp.experts", NUM_EXPERTS * RANK, HIDDEN, EXPERT_HIDDEN)
    if variant.is_dora:
        head_values = 0.3 * generator.standard_normal((VOCABULARY, HIDDEN))
        found[f"{PREFIX}lm_head.weight"] = tensor_of(variant.dtype, head_values)
    return found


def _adapter_config(variant: Variant) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "somebody/tiny",
        "r": RANK,
        "lora_alpha": ALPHA,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": ["q_proj", "v_proj"],
        "peft_version": "0.19.1",
    }
    if variant.has_experts:
        fields["target_parameters"] = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    if variant.is_dora:
        fields |= {"use_dora": True, "use_rslora": True, "modules_to_save": ["lm_head"]}
        fields |= {"rank_pattern": {"v_proj": OTHER_RANK}, "alpha_pattern": {"v_proj": OTHER_ALPHA}}
    return fields


def _config(variant: Variant) -> dict[str, Any]:
    """Nothing that can be lost has the value that its loss would give it."""
    fields: dict[str, Any] = {
        **FILES["config.json"],
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * EXPERT_HIDDEN + 1,
        "moe_intermediate_size": EXPERT_HIDDEN,
        "num_hidden_layers": NUM_LAYERS,
        "num_attention_heads": variant.num_heads,
        "num_key_value_heads": variant.num_groups,
        "head_dim": variant.head_size,
        "num_experts": NUM_EXPERTS,
        "torch_dtype": {"F32": "float32", "BF16": "bfloat16"}[variant.dtype],
    }
    if variant.has_experts:
        return fields
    of_experts = ("moe_intermediate_size", "num_experts", "num_experts_per_tok", "norm_topk_prob")
    dense = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "intermediate_size": EXPERT_HIDDEN}
    return {name: value for name, value in fields.items() if name not in of_experts} | dense


def _directory(variant: Variant, tensors: Tensors) -> Files:
    """Two shards, configurations and a tokenizer."""
    files: Files = {name: json.dumps(content, indent=2).encode() for name, content in COMPANIONS.items()}
    files["config.json"] = json.dumps(_config(variant), indent=2).encode()
    files["merges.txt"] = MERGES.encode()
    names = list(tensors)
    middle = len(names) // 2
    halves = {"model-00001-of-00002.safetensors": names[:middle], "model-00002-of-00002.safetensors": names[middle:]}
    shards: Shards = {file: {name: tensors[name] for name in mine} for file, mine in halves.items()}
    store(files, shards)
    return files


@cache
def adapted_names(variant: str) -> tuple[str, ...]:
    """The weights that the adapter of a variant changes, an expert a name."""
    triple = pristine(variant)
    base, merged = tensors_of(triple["base"]), tensors_of(triple["merged"])
    return tuple(name for name in base if base[name] != merged[name])
