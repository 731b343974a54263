"""Harmless: configurations that say the same in other words."""

from __future__ import annotations

import json
from typing import Any

from tests.verify.fuzz.damage import Scene, damage, edit
from tests.verify.fuzz.directories import content
from tests.verify.fuzz.oracle import ADAPTER_CONFIG, CONFIG
from tests.verify.fuzz.triples import WITH_EXPERTS
from tests.verify.fuzz.weights import table


@damage("harmless", is_layout=True)
def json_spelt_otherwise(scene: Scene) -> None:
    """Other white space, keys in another order, letters as numbers."""
    files = scene.side()
    name = scene.pick(sorted(name for name in files if name.endswith(".json") and "/" not in name))
    fields = table(content(files, name))
    shuffled = {key: fields[key] for key in scene.shuffled(sorted(fields))}
    text = json.dumps(shuffled, indent=scene.pick([None, 1, "\t"]), separators=scene.pick([(",", ":"), (" ,", " : ")]))
    files[name] = b"\r\n " + text.replace("o", scene.pick(["o", r"\u006f"])).encode() + b"\n\n"


@damage("harmless", is_layout=True)
def config_of_another_version(scene: Scene) -> None:
    """transformers 5 calls the dtype otherwise."""

    def change(fields: dict[str, Any]) -> None:
        fields["transformers_version"] = scene.pick(["5.23.0", "4.0.0.dev0", "?"])
        fields["dtype"] = fields.pop("torch_dtype", None) or fields["dtype"]

    edit(scene.side("base", "merged"), CONFIG, change)


@damage("harmless", is_layout=True)
def config_with_idle_fields(scene: Scene) -> None:
    """Fields that no reload feels."""
    idle: dict[str, Any] = {
        "use_cache": scene.pick([True, False]),
        "_name_or_path": "/somewhere/else",
        "initializer_range": scene.draw.random(),
        "attention_dropout": 0.1,
        "output_router_logits": True,
        "unsloth_version": "2026.1",
        "gradient_checkpointing": True,
    }
    chosen = {name: idle[name] for name in scene.some(sorted(idle))}
    edit(scene.side("base", "merged"), CONFIG, lambda fields: fields.update(chosen))


@damage("harmless", is_layout=True)
def end_tokens_as_a_list(scene: Scene) -> None:
    """One number is as good as a list of it, and a list in another order."""

    def change(fields: dict[str, Any]) -> None:
        ids = fields["eos_token_id"]
        fields["eos_token_id"] = ids[::-1] if isinstance(ids, list) else [ids]

    edit(scene.side("base", "merged"), scene.pick([CONFIG, "generation_config.json"]), change)


@damage("harmless", is_layout=True)
def rotary_fields_as_a_table(scene: Scene) -> None:
    """As transformers 5 writes them."""

    def change(fields: dict[str, Any]) -> None:
        theta = fields.pop("rope_theta", None)
        if theta is not None:
            fields["rope_parameters"] = {"rope_type": "default", "rope_theta": theta}

    edit(scene.side("merged"), CONFIG, change)


@damage("harmless", variants=WITH_EXPERTS, is_layout=True)
def number_of_experts_by_its_other_name(scene: Scene) -> None:
    """Versions differ in it."""

    def change(fields: dict[str, Any]) -> None:
        if "num_experts" in fields:
            fields["num_local_experts"] = fields.pop("num_experts")

    edit(scene.side("merged"), CONFIG, change)


@damage("harmless", is_layout=True)
def whole_numbers_with_a_point(scene: Scene) -> None:
    """300 and 300.0 are one number."""

    def change(fields: dict[str, Any]) -> None:
        for name in ("rope_theta", "lora_alpha"):
            if name in fields:
                fields[name] = scene.pick([int, float])(fields[name])

    edit(scene.triple["merged"], CONFIG, change)
    edit(scene.triple["adapter"], ADAPTER_CONFIG, change)


@damage("harmless", is_layout=True)
def adapter_config_with_idle_fields(scene: Scene) -> None:
    """What PEFT writes and reads in training alone, and lists in another order."""

    def change(fields: dict[str, Any]) -> None:
        idle = {
            "lora_dropout": 0.3,
            "inference_mode": True,
            "revision": None,
            "auto_mapping": None,
            "init_lora_weights": scene.pick([True, False, "gaussian"]),
            "loftq_config": {},
            "megatron_core": "megatron.core",
            "layers_to_transform": None,
            "exclude_modules": None,
            "peft_version": scene.pick(["0.19.1", "0.20.0", "0.21.2"]),
        }
        fields.update({name: idle[name] for name in scene.some(sorted(idle))})
        for name in ("target_modules", "target_parameters"):
            if isinstance(fields.get(name), list):
                fields[name] = scene.shuffled(fields[name])

    edit(scene.triple["adapter"], ADAPTER_CONFIG, change)


@damage("harmless", is_layout=True)
def targets_as_an_expression(scene: Scene) -> None:
    """That means the same modules."""
    expression = scene.pick(
        [r".*\.self_attn\.(q|v)_proj", r".*(q_proj|v_proj)", r"model\.layers\.\d+\.self_attn\.[qv]_proj"]
    )
    edit(scene.triple["adapter"], ADAPTER_CONFIG, lambda fields: fields.update(target_modules=expression))
