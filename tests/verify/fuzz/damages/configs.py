"""Harmful: configurations, generation settings and tokenizers that say something else, in sound JSON."""

from __future__ import annotations

from typing import Any

from tests.verify.fuzz.damage import ANY, Scene, damage, edit
from tests.verify.fuzz.damages.files import json_file
from tests.verify.fuzz.directories import content
from tests.verify.fuzz.oracle import CONFIG, LOAD_BEARING, OF_EXPERTS
from tests.verify.fuzz.triples import WITH_EXPERTS
from tests.verify.fuzz.weights import table

GENERATION, TOKENIZER, TOKENIZER_CONFIG = "generation_config.json", "tokenizer.json", "tokenizer_config.json"
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 10**400, -(10**4000), 1e308, 5e-324, 1.5, "", "16", "\x1b[2J\n", "\ud800",
    "\u202e", "x" * 100_000, [], {}, [[]], [None], {"": None}, {"model_type": "qwen3_moe"}, [0] * 1000,
)  # fmt: skip
"""Values that no configuration has where a number or a name is expected."""


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def stated(scene: Scene, side: str = "merged") -> list[str]:
    """The fields of a configuration that a reload feels."""
    fields = table(content(scene.triple[side], CONFIG))  # type: ignore[index]
    return [name for name in (*LOAD_BEARING, *OF_EXPERTS) if name in fields]


@damage("harmful", "INCOMPLETE", "INCONCLUSIVE", "REFUSED")
def a_field_changed(scene: Scene) -> None:
    """By a little."""
    name = scene.pick(stated(scene))

    def change(fields: dict[str, Any]) -> None:
        value = fields[name]
        if isinstance(value, bool):
            fields[name] = not value
        else:
            fields[name] = value + "x" if isinstance(value, str) else value * scene.pick([2, 3])

    edit(scene.triple["merged"], CONFIG, change)


@damage("harmful", "INCOMPLETE", "INCONCLUSIVE")
def a_field_lost(scene: Scene) -> None:
    """A reload takes its default, which is another value; but of heads that make up the hidden size it is this one."""
    name = scene.pick([name for name in stated(scene) if (name, scene.variant) != ("head_dim", "square")])
    edit(scene.triple["merged"], CONFIG, lambda fields: fields.pop(name))


@damage("harmful")
def a_field_of_base_changed(scene: Scene) -> None:
    """Or lost: the two then differ all the same."""
    name = scene.pick(stated(scene, "base"))
    # What a loader makes of square heads without the field is what the other one states.
    other = 12345 if (name, scene.variant) == ("head_dim", "square") else scene.pick([None, 12345])
    edit(
        scene.triple["base"], CONFIG, lambda fields: fields.pop(name) if other is None else fields.update({name: other})
    )


@damage("harmful")
def a_field_of_a_strange_kind(scene: Scene) -> None:
    """Where a number or a name is expected."""
    name = scene.pick(stated(scene))
    edit(scene.side("base", "merged"), CONFIG, lambda fields: fields.update({name: scene.pick(HOSTILE)}))


@damage("edit", *ANY)
def a_strange_field_more(scene: Scene) -> None:
    """Of any name and any value, in any JSON file: whether it matters is the reader's to know."""
    files, name = json_file(scene)
    known = ["rope_scaling", "rope_parameters", "layer_types", "text_config", "quantization_config", "vision_config"]
    known += ["num_experts", "num_hidden_layers", "added_tokens", "added_tokens_decoder", "model", "chat_template"]
    known += ["sliding_window", "id2label", "architectures", "tie_word_embeddings", "rank_pattern", "exclude_modules"]
    known += ["target_parameters", "layers_pattern", "layers_to_transform", "auto_map", "dtype", "eos_token_id"]
    known += ["extra_special_tokens", "weight_map", "metadata", "lora_B_layout", "transformers_weights", "\ud800", "\n"]
    field, value = (
        scene.pick(known),
        scene.pick([*HOSTILE, nested(scene.draw.randint(2, 62)), {"a": {"type": nested(9)}}]),
    )
    edit(files, name, lambda fields: fields.update({field: value}))


@damage("harmful", "INCOMPLETE")
def generation_config_lost(scene: Scene) -> None:
    """Generation falls back to greedy decoding."""
    del scene.triple["merged"][GENERATION]


@damage("harmful", "INCOMPLETE")
def generation_config_changed(scene: Scene) -> None:
    """A setting of how tokens are chosen."""
    name = scene.pick(["temperature", "top_k", "eos_token_id", "do_sample"])
    other = {"temperature": 0.71, "top_k": 21, "eos_token_id": [2], "do_sample": False}[name]
    edit(scene.triple["merged"], GENERATION, lambda fields: fields.update({name: other}))


@damage("harmful", "INCOMPLETE")
def tokenizer_lost(scene: Scene) -> None:
    """All of its files."""
    names = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt")
    for name in names:
        del scene.triple["merged"][name]


@damage("harmful", "INCOMPLETE")
def vocabulary_changed(scene: Scene) -> None:
    """A token renumbered, lost or added, or a merge lost."""

    def change(fields: dict[str, Any]) -> None:
        vocabulary, merges = fields["model"]["vocab"], fields["model"]["merges"]
        kind = scene.draw.randrange(4)
        if kind == 0:
            vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
        elif kind == 1:
            del vocabulary["abc"]
        elif kind == 2:
            vocabulary["abcd"] = 8
        else:
            merges.pop()

    edit(scene.triple["merged"], TOKENIZER, change)


@damage("harmful", "INCOMPLETE")
def chat_template_changed(scene: Scene) -> None:
    """By a blank, or lost."""

    def change(fields: dict[str, Any]) -> None:
        fields["chat_template"] += " "
        if scene.draw.random() < 0.5:
            del fields["chat_template"]

    edit(scene.triple["merged"], TOKENIZER_CONFIG, change)


@damage("harmful", "INCOMPLETE")
def config_of_merged_lost(scene: Scene) -> None:
    """Nothing can load it."""
    del scene.triple["merged"][CONFIG]


@damage("harmful", "INCONCLUSIVE", "REFUSED", variants=WITH_EXPERTS)
def family_without_rules(scene: Scene) -> None:
    """In both alike: how its experts are written is not known, and nothing can be said against them."""
    name = scene.pick(["unheard_of", "bert", "", "qwen3_moe\n", "QWEN3_MOE"])
    for side in ("base", "merged"):
        edit(scene.triple[side], CONFIG, lambda fields: fields.update(model_type=name))  # type: ignore[index]


@damage("harmful")
def said_to_be_quantised(scene: Scene) -> None:
    """A loader reads the weights as something else."""
    method = scene.pick(
        [{"quant_method": "fp8"}, {"quant_method": "gptq", "bits": 4}, {"load_in_4bit": True}, {"": {}}]
    )
    edit(scene.triple["merged"], CONFIG, lambda fields: fields.update(quantization_config=method))
