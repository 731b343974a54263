"""What a config.json says, whichever way it is spelt: one flat table of the fields that a reload feels.

The fields of a vision-language model's text part are lifted over those beside it, as older files spell them flat. Knows
one configuration at a time; comparing two is done elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.verify.companions.defaults import LayerRule, default_of, field_table, ignored_fields, is_known
from harness.verify.companions.rope import Rope, read_rope
from harness.verify.companions.values import same

TEXT_PART = "text_config"
TWO_LABELS = {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1}}
"""What a configuration without labels has, which some versions write: configuration_utils.py, `num_labels`."""
NULL_IS_EMPTY = ("mlp_only_layers",)
"""Lists that configuration classes make of null: models/qwen3_moe, models/qwen2_moe and models/qwen3_next."""


class LayerPattern(NamedTuple):
    """`layer_types` of a configuration that does not state them."""

    is_: str
    others: str
    every: int
    first_windowed: int | None
    """None: there is no window."""
    num_layers: Any

    def gives(self, value: Any) -> bool:
        """Whether `value` is the list that loading would build. Builds none: a stranger chose the number of layers."""
        if isinstance(value, LayerPattern):
            return self == value
        if not isinstance(value, list) or len(value) != self.num_layers:
            return False
        return all(kind == self._at(layer) for layer, kind in enumerate(value))

    def _at(self, layer: int) -> str:
        if self.every:
            return self.is_ if (layer + 1) % self.every == 0 else self.others
        return self.is_ if self.first_windowed is None or layer < self.first_windowed else self.others


class Part(NamedTuple):
    """A nested configuration other than the text model's: of images, of sounds."""

    model_type: str
    fields: Mapping[str, Any]
    """Without those that no reload feels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """A configuration, with its spelling taken off."""

    model_type: str
    text_type: str
    """Of the language model in it, or that it is."""
    types: tuple[str, ...]
    """Whose defaults hold for the text fields, the nearest first."""
    fields: Mapping[str, Any]
    """Of the text model, without those that no reload feels and the rotary ones."""
    rope: Rope
    contradictions: Mapping[str, tuple[Any, Any]]
    parts: Mapping[str, Part]
    """By the field that holds them."""
    stated: Mapping[str, Any]
    """The text fields as they are spelt in the file."""


def read_meaning(config: Mapping[str, Any]) -> Meaning:
    """What `config` says. A value of an unexpected type is kept as it is: whoever compares it will see it."""
    inner = config.get(TEXT_PART)
    nested = inner if isinstance(inner, Mapping) else {}
    parts = {name: value for name, value in config.items() if _is_part(name, value)}
    outer = {name: value for name, value in config.items() if name not in parts}
    ids = {name: value for name, value in outer.items() if name.endswith("_token_id") and value is not None}
    text = {**outer, **nested, **ids}  # ids of the whole model are those that generation takes
    model_type, text_type = _types(config, nested)
    types = (text_type, model_type) if text_type != model_type else (model_type,)
    rope = read_rope(text, types)
    fields, twice = _fields(text)
    _leave_out_unused_window(fields, types)
    _complete_layers(fields, text, types)
    return Meaning(
        model_type=model_type,
        text_type=text_type,
        types=types,
        fields=fields,
        rope=rope,
        contradictions=twice | rope.contradictions,
        parts={
            name: Part(str(value.get("model_type", "")), _fields(value)[0])
            for name, value in parts.items()
            if name != TEXT_PART
        },
        stated=text,
    )


def _is_part(name: str, value: Any) -> bool:
    return name.endswith("_config") and name != "quantization_config" and isinstance(value, Mapping)


def _types(config: Mapping[str, Any], nested: Mapping[str, Any]) -> tuple[str, str]:
    model_type = str(config.get("model_type", ""))
    if isinstance(nested.get("model_type"), str):
        return model_type, nested["model_type"]
    # Before text models had configurations of their own, their fields stood among those of the whole.
    inner = f"{model_type}_text"
    return model_type, inner if is_known((inner,)) and not model_type.endswith("_text") else model_type


def _fields(text: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[Any, Any]]]:
    fields = {name: value for name, value in text.items() if name not in ignored_fields() and name != TEXT_PART}
    twice: dict[str, tuple[Any, Any]] = {}
    for spelling in field_table().spellings:
        stated = [fields.pop(name) for name in spelling.names if name in fields]
        values = [value for value in stated if value is not None] or stated
        if values:
            fields[spelling.names[0]] = values[0]
        if unlike := [value for value in values[1:] if not same(value, values[0])]:
            twice[spelling.names[0]] = (values[0], unlike[0])
    for name, labels in TWO_LABELS.items():
        if same(fields.get(name), labels):
            del fields[name]
    for name in NULL_IS_EMPTY:
        if name in fields and fields[name] is None:
            fields[name] = []
    return fields, twice


def _leave_out_unused_window(fields: dict[str, Any], types: tuple[str, ...]) -> None:
    """Where use_sliding_window is false, no class keeps the window, and none looks at where it would begin."""
    if _value(fields, types, "use_sliding_window") is False:
        fields["sliding_window"] = None
        fields.pop("max_window_layers", None)


def _complete_layers(fields: dict[str, Any], text: Mapping[str, Any], types: tuple[str, ...]) -> None:
    if fields.get("layer_types") is not None:
        return
    rule = next((rule for rule in field_table().layers if any(name in rule.types for name in types)), None)
    pattern = None if rule is None else _pattern(rule, fields, text, types)
    if pattern is not None:
        fields["layer_types"] = pattern


def _pattern(
    rule: LayerRule, fields: Mapping[str, Any], text: Mapping[str, Any], types: tuple[str, ...]
) -> LayerPattern | None:
    num_layers = _value(fields, types, "num_hidden_layers")
    if rule.every:
        every = text.get(rule.field, rule.every)
        usable = type(every) is int and every > 0
        return LayerPattern(rule.is_, rule.others, every, None, num_layers) if usable else None
    windowed = (
        _value(fields, types, "use_sliding_window") is True and _value(fields, types, "sliding_window") is not None
    )
    if not windowed:
        return LayerPattern(rule.is_, rule.others, 0, None, num_layers)
    first = _value(fields, types, rule.field)
    usable = type(first) is int and not rule.without_window_only
    return LayerPattern(rule.is_, rule.others, 0, first, num_layers) if usable else None


def _value(fields: Mapping[str, Any], types: tuple[str, ...], name: str) -> Any:
    if name in fields:
        return fields[name]
    default = default_of(types, name)
    return None if default is None else default.value
