"""The rotary fields of a configuration as one flat table, whichever of their three spellings it uses.

transformers 4 reads `rope_theta`, `partial_rotary_factor` and `rope_scaling`; transformers 5 reads `rope_scaling`, or
else `rope_parameters`, and takes from outside what is not in there (5.5.0 and 5.23.0, modeling_rope_utils.py,
`convert_rope_params_to_dict` and `standardize_rope_params`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.verify.companions.defaults import default_of
from harness.verify.companions.values import same

THETA, PARTIAL = "rope_theta", "partial_rotary_factor"
TABLES = ("rope_scaling", "rope_parameters")
LOCAL_THETA = {"gemma3_text": "rope_local_base_freq", "olmo3": THETA}
"""Types whose windowed layers have unscaled rotary embeddings, and the field that gives their theta: models/gemma3 and
models/olmo3, `convert_rope_params_to_dict`."""
RENAMED = {"mrope": "default", "su": "longrope"}
"""models/qwen2_vl and models/phi3: old names of kinds."""
WITH_ORIGINAL_LENGTH = ("llama3", "yarn", "longrope")
UNSTATED = {"rope_type": "default", PARTIAL: 1.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": True}
"""What leaving a field out means in the functions of modeling_rope_utils.py."""


class Rope(NamedTuple):
    """What a configuration says of rotary embeddings."""

    fields: dict[str, Any]
    """By dotted name: `rope.rope_theta`, or by layer type `rope.full_attention.rope_theta`."""
    contradictions: dict[str, tuple[Any, Any]]
    """Fields stated twice with different values, of which versions read different ones."""
    by_layer_type: bool


def read_rope(text: Mapping[str, Any], types: tuple[str, ...]) -> Rope:
    """The rotary fields of a text model's configuration, without those that say what leaving them out says.

    A table that is none is a field of its own: no version can read it.
    """
    rope = _read_tables(text, types)
    return rope._replace(fields=rope.fields | _no_tables(text))


def _read_tables(text: Mapping[str, Any], types: tuple[str, ...]) -> Rope:
    scaling, parameters = (_table(text.get(name)) for name in TABLES)
    stated = scaling or parameters
    outside = {name: text[name] for name in (THETA, PARTIAL) if text.get(name) is not None}
    local = next((LOCAL_THETA[model_type] for model_type in types if model_type in LOCAL_THETA), None)
    by_layer_type = any(isinstance(value, Mapping) for value in stated.values())
    if local is None and not by_layer_type:
        fields = _completed({**outside, **stated}, text, types, "", alone=not stated)
        old, new = _normal({**outside, **scaling}), _normal(parameters)
        twice = {
            f"rope.{name}": (value, new[name])
            for name, value in old.items()
            if name in new and not same(value, new[name])
        }
        return Rope({f"rope.{name}": value for name, value in fields.items()}, twice, False)
    by_layer = stated if by_layer_type else {"full_attention": stated, "sliding_attention": {}}
    windowed = outside if local is None else {THETA: text.get(local)}
    layers = {
        str(name): {**(windowed if name == "sliding_attention" else outside), **value}
        for name, value in by_layer.items()
        if isinstance(value, Mapping)
    }
    found = {
        f"rope.{layer}.{name}": value
        for layer, items in layers.items()
        for name, value in _completed(items, text, types, f"{layer}.", alone=False).items()
    }
    return Rope(found, {}, True)


def aligned(first: Rope, second: Rope) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of both, under the same names: one table for all layers stands for one a layer type."""
    if first.by_layer_type == second.by_layer_type:
        return first.fields, second.fields
    if first.by_layer_type:
        return first.fields, _spread(second, first)
    return _spread(first, second), second.fields


def _no_tables(text: Mapping[str, Any]) -> dict[str, Any]:
    return {f"rope.{name}": text[name] for name in TABLES if text.get(name) and not isinstance(text[name], Mapping)}


def _spread(flat: Rope, nested: Rope) -> dict[str, Any]:
    layers = {name.split(".")[1] for name in nested.fields if name.count(".") > 1}
    return {
        f"rope.{layer}.{name.removeprefix('rope.')}": value for layer in layers for name, value in flat.fields.items()
    }


def _completed(
    stated: Mapping[str, Any], text: Mapping[str, Any], types: tuple[str, ...], prefix: str, *, alone: bool
) -> dict[str, Any]:
    """With what loading would add. `alone`: there is no table, so that the whole one of the type's default counts."""
    names = (THETA, PARTIAL, *(("factor", *UNSTATED, "original_max_position_embeddings") if alone else ()))
    fields = _normal(stated)
    for name in names:
        default = default_of(types, f"rope.{prefix}{name}") or default_of(types, f"rope.{name}")
        if name not in fields and default is not None:
            fields[name] = default.value
    if fields.get("rope_type") in WITH_ORIGINAL_LENGTH:
        outer = text.get("original_max_position_embeddings")
        length = outer if outer is not None else text.get("max_position_embeddings")
        if outer is not None or "original_max_position_embeddings" not in fields:
            fields["original_max_position_embeddings"] = length
    return {name: value for name, value in fields.items() if name not in UNSTATED or not same(value, UNSTATED[name])}


def _normal(stated: Mapping[str, Any]) -> dict[str, Any]:
    fields = {str(name): value for name, value in stated.items() if value is not None and name != "type"}
    kind = stated.get("rope_type") or stated.get("type")
    if kind is not None:
        fields["rope_type"] = RENAMED.get(kind, kind) if isinstance(kind, str) else kind
    return fields


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
