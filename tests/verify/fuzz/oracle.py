"""Whether a triple is still the model that it was: a second opinion, worked out in float64 without a line of ours.

Reads weights as a loader does, predicts every adapted weight from base and adapter, and compares. Where it does not
know what a difference means (a field of a configuration that it has no opinion of), it says so.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any

import numpy as np

from tests.verify.fuzz.directories import Files, Triple, content
from tests.verify.fuzz.triples import merged_numbers, pristine
from tests.verify.fuzz.weights import (
    INDEX,
    WHOLE,
    Tensor,
    Tensors,
    Unreadable,
    numbers,
    split,
    table,
    tensor_of,
    tensors_of,
    unpack,
)

CONFIG, ADAPTER_CONFIG = "config.json", "adapter_config.json"
LOAD_BEARING = (
    "model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "head_dim", "rms_norm_eps", "rope_theta", "max_position_embeddings", "intermediate_size",
)  # fmt: skip
"""Fields without which, or with another value, a reload computes something else."""
OF_EXPERTS = ("num_experts", "num_experts_per_tok", "moe_intermediate_size", "norm_topk_prob")
OTHER_SPELLINGS = ("rope_parameters", "num_local_experts", "n_routed_experts", "moe_num_experts", "text_config")
"""Where one of these is stated, what its classic field means depends on who reads it."""
SCALING = ("r", "lora_alpha", "use_rslora", "use_dora")
"""Fields of the adapter's configuration that the prediction reads."""
IDLE = ("lora_dropout", "task_type", "peft_version", "base_model_name_or_path", "inference_mode", "revision")
"""Fields of it that change no delta."""
PROSE = (".md", ".gitattributes", "LICENSE")
"""Endings of files that nothing reads."""
MANTISSA_BITS = {"F32": 23, "BF16": 7}
SMALLEST_EXPONENT = -126
IN_SINGLE = 2.0**-18
"""What a product in float32 may be off by, over the sum of what it adds up, with room to spare."""
IN_FEWER_BITS = 2.0**-8
"""What one in TF32, or of factors in bfloat16, may be."""
ROUNDINGS = 12
"""Of DoRA, which rounds every step to the stored dtype."""


class Truth(Enum):
    """What may be said of a triple."""

    SAME = "the adapter is in it, and nothing else is different"
    DIFFERENT = "something is not as it should be"
    UNREADABLE = "no loader could read it"
    UNKNOWN = "it depends on what is not told here"
    ROUGH = "the adapter is in it, if a product with fewer bits than float32 is let pass; which must be said"


def truth_of(triple: Triple, variant: str) -> Truth:
    """What a verifier has to find out of a triple that was made from the pristine one of `variant`."""
    try:
        base, merged = (_tensors(triple[side]) for side in ("base", "merged"))
        adapter = tensors_of(triple["adapter"])
        configs = [table(content(triple[side], CONFIG)) for side in ("base", "merged")]
        fields = table(content(triple["adapter"], ADAPTER_CONFIG))
    except (Unreadable, KeyError):
        return Truth.UNREADABLE
    original = pristine(variant)["adapter"]
    found = {
        _weights(base, merged, adapter, fields),
        _configs(configs[0], configs[1]),
        _companions(triple["base"], triple["merged"]),
        _is_alike(_deciding(fields), _deciding(table(content(original, ADAPTER_CONFIG)))),
        _is_alike(sorted(adapter), sorted(tensors_of(original))),
        _is_alike([_is_indexed(triple[side]) for side in ("base", "merged")], [True, True]),
    }
    return _worst(found)


def _worst(found: Collection[Truth]) -> Truth:
    return next((truth for truth in (Truth.DIFFERENT, Truth.UNKNOWN, Truth.ROUGH) if truth in found), Truth.SAME)


def _is_alike(first: Any, second: Any) -> Truth:
    return Truth.SAME if _spelt(first) == _spelt(second) else Truth.UNKNOWN


def _tensors(files: Files) -> Tensors:
    """What a loader takes: the whole file, or else the shards that the index names."""
    if WHOLE in files:
        return split(unpack(content(files, WHOLE)))
    shards = [unpack(content(files, name)) for name in sorted(set(_weight_map(files).values()))]
    return split({name: tensor for tensors in shards for name, tensor in tensors.items()})


def _weight_map(files: Files) -> dict[str, str]:
    weight_map = table(content(files, INDEX)).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise Unreadable("index")
    if any("/" in name or not name.endswith(".safetensors") for name in weight_map.values()):
        raise Unreadable("out of the directory")
    return weight_map


def _is_indexed(files: Files) -> bool:
    """Whether the files with weights are those that a loader reads, and the index says truly what is where."""
    names = {name for name in files if name.endswith(".safetensors") and "/" not in name}
    if WHOLE in files:
        return names == {WHOLE} and INDEX not in files
    held = {tensor: name for name in sorted(names) for tensor in unpack(content(files, name))}
    return held == _weight_map(files) and isinstance(table(content(files, INDEX)).get("metadata"), dict)


def _weights(base: Tensors, merged: Tensors, adapter: Tensors, fields: Mapping[str, Any]) -> Truth:
    if base.keys() != merged.keys() or any(base[name][:2] != merged[name][:2] for name in base):
        return Truth.DIFFERENT
    try:
        with np.errstate(all="ignore"):
            wanted = merged_numbers(base, adapter, fields)
            verdicts = {
                _adapted(base[name], values, merged[name], is_dora=bool(fields.get("use_dora")))
                for name, values in wanted.items()
            }
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, IndexError):
        return Truth.DIFFERENT
    if any(base[name].data != merged[name].data for name in base if name not in wanted):
        return Truth.DIFFERENT
    return _worst(verdicts)


def _adapted(base: Tensor, wanted: np.ndarray, merged: Tensor, *, is_dora: bool) -> Truth:
    """SAME where every element is the nearest number; DIFFERENT where one is farther away than roundings."""
    bits = MANTISSA_BITS.get(merged.dtype)
    if bits is None or wanted.shape != merged.shape:
        return Truth.DIFFERENT
    got, before = numbers(merged), numbers(base)
    if not np.isfinite(wanted).all() or not np.isfinite(got).all():
        return Truth.DIFFERENT
    delta = np.abs(wanted - before)
    terms = np.abs(before) + np.abs(wanted) + delta
    away = np.abs(got - wanted)
    sums = np.maximum(np.abs(wanted), np.abs(got))
    if merged == tensor_of(merged.dtype, wanted):
        return Truth.SAME
    # A merge may round the delta first, which can be larger than the sum.
    allowed = (ROUNDINGS if is_dora else 2) * _step(np.maximum(sums, delta), bits)
    if (away <= allowed + IN_SINGLE * terms).all():
        return Truth.UNKNOWN
    return Truth.ROUGH if (away <= allowed + IN_FEWER_BITS * terms).all() else Truth.DIFFERENT


def _step(values: np.ndarray, mantissa_bits: int) -> np.ndarray:
    """From each number to the next in a dtype."""
    exponent = np.maximum(np.frexp(values)[1] - 1, SMALLEST_EXPONENT)
    return np.ldexp(1.0, exponent - mantissa_bits)


def _configs(base: Mapping[str, Any], merged: Mapping[str, Any]) -> Truth:
    if _spelt(base) == _spelt(merged):
        return Truth.SAME
    if any(name in config for name in OTHER_SPELLINGS for config in (base, merged)):
        return Truth.UNKNOWN
    has_experts = any("moe" in str(config.get("model_type")) for config in (base, merged))
    fields = (*LOAD_BEARING, *OF_EXPERTS) if has_experts else LOAD_BEARING
    is_other = any(_spelt(_value(base, name)) != _spelt(_value(merged, name)) for name in fields)
    return Truth.DIFFERENT if is_other else Truth.UNKNOWN


def _value(config: Mapping[str, Any], name: str) -> Any:
    """As it is stated; the size of a head follows from others."""
    value, sizes = config.get(name), [config.get(other) for other in ("hidden_size", "num_attention_heads")]
    if value is None and name == "head_dim" and all(type(size) is int and size > 0 for size in sizes):
        return sizes[0] // sizes[1]
    return value


def _deciding(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in (*SCALING, *IDLE)}


def _companions(base: Files, merged: Files) -> Truth:
    """Whether all other files say the same."""
    names = {name for name in (*base, *merged) if "/" not in name and not name.endswith((*PROSE, ".safetensors"))}
    for name in names - {CONFIG, INDEX}:
        try:
            one, other = content(base, name), content(merged, name)
            if one != other and _spelt(table(one)) != _spelt(table(other)):
                return Truth.UNKNOWN
        except (KeyError, Unreadable):
            return Truth.UNKNOWN
    return Truth.SAME


def _spelt(value: Any) -> str:
    """A JSON value in one spelling: keys sorted, 300.0 as 300."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
