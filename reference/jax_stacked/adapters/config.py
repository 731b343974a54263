"""adapter_config.json: what PEFT must be told to apply an adapter, and what a reader must know to scale it.

Owns the fields: which are used, which say nothing about the delta, and which would change it in a way that is not
implemented, so that they are refused by name. A field that nobody here knows is refused too, unless it is off.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ArtifactError
from reference.jax_stacked.adapters.targeting import Spec

CONFIG_FILE = "adapter_config.json"

REQUIRED: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "task_type": ("CAUSAL_LM", None),
    "bias": ("none",),
    # These draw A or B and leave the base alone; PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA change it when PEFT loads them.
    "init_lora_weights": (True, False, "gaussian", "orthogonal", "eva"),
}
"""Fields that must have one of these values; where one is absent, PEFT's default is among them (but for peft_type)."""
INDIFFERENT = frozenset({
    *("auto_mapping", "base_model_name_or_path", "eva_config", "inference_mode", "loftq_config", "lora_dropout"),
    *("megatron_core", "qalora_group_size", "revision"),
})  # fmt: skip
"""Fields that change no delta: where things are, how training went, what belongs to a feature that another turns on."""
USED = frozenset({
    *("alpha_pattern", "exclude_modules", "lora_alpha", "peft_version", "r", "rank_pattern", "target_modules"),
    *("target_parameters", "use_rslora"),
})  # fmt: skip
OFF: tuple[Any, ...] = (None, False, {}, [], "")

WRITTEN_BY_PEFT: dict[str, Any] = {
    "alora_invocation_tokens": None, "arrow_config": None, "auto_mapping": None, "bias": "none", "corda_config": None,
    "ensure_weight_tying": False, "eva_config": None, "exclude_modules": None, "fan_in_fan_out": False,
    "inference_mode": True, "init_lora_weights": True, "layer_replication": None, "layers_pattern": None,
    "layers_to_transform": None, "loftq_config": {}, "lora_bias": False, "lora_dropout": 0.0, "megatron_config": None,
    "megatron_core": "megatron.core", "modules_to_save": None, "peft_type": "LORA", "qalora_group_size": 16,
    "revision": None, "task_type": "CAUSAL_LM", "trainable_token_indices": None, "use_dora": False, "use_qalora": False,
}  # fmt: skip
"""What PEFT 0.18.1 saves for a plain LoRA beside what differs. Later ones add fields, of which 0.18 would warn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What adapter_config.json says of the delta."""

    rank: int
    alpha: float
    rslora: bool
    target_modules: Spec
    target_parameters: frozenset[str]
    exclude_modules: Spec
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    peft_version: str
    """Of the PEFT that first saved the adapter; "" before 0.18, which did not say."""


def read_settings(directory: Path) -> Settings:
    """The settings of the adapter in `directory`. Raises ArtifactError, naming the field, for what is not supported."""
    path = directory / CONFIG_FILE
    fields = _read_json(path)
    where = str(path)
    _refuse_unsupported(fields, where)
    version = fields.get("peft_version") or ""
    if not isinstance(version, str):
        raise _wrong("peft_version", version, "a text", where)
    return Settings(
        rank=_rank("r", fields.get("r"), where),
        alpha=_alpha("lora_alpha", fields.get("lora_alpha"), where),
        rslora=_flag("use_rslora", fields.get("use_rslora", False), where),
        target_modules=_target_modules(fields, where),
        target_parameters=_names("target_parameters", fields.get("target_parameters"), where),
        exclude_modules=_spec("exclude_modules", fields.get("exclude_modules"), where),
        rank_pattern={
            key: _rank(f"rank_pattern[{key!r}]", value, where) for key, value in _table(fields, "rank", where)
        },
        alpha_pattern={
            key: _alpha(f"alpha_pattern[{key!r}]", value, where) for key, value in _table(fields, "alpha", where)
        },
        peft_version=version,
    )


def write_settings(directory: Path, settings: Settings, *, base_model: str) -> None:
    """Write adapter_config.json with every field that PEFT 0.18.1 and later have, and no other."""
    differing = {
        "alpha_pattern": {key: _short(value) for key, value in settings.alpha_pattern.items()},
        "base_model_name_or_path": base_model or None,
        "lora_alpha": _short(settings.alpha),
        "peft_version": settings.peft_version or None,
        "r": settings.rank,
        "rank_pattern": dict(settings.rank_pattern),
        # An empty list says that no module is meant; PEFT would look for a default list if it were null.
        "target_modules": sorted(settings.target_modules),
        "target_parameters": sorted(settings.target_parameters) or None,
        "use_rslora": settings.rslora,
    }
    text = json.dumps(WRITTEN_BY_PEFT | differing, indent=2, sort_keys=True, allow_nan=False)
    (directory / CONFIG_FILE).write_text(text, encoding="utf-8")


def _refuse_unsupported(fields: Mapping[str, Any], where: str) -> None:
    if "peft_type" not in fields:
        raise ArtifactError("no peft_type: not an adapter's configuration", where=where, expected="LORA")
    for name, accepted in REQUIRED.items():
        if name in fields and not _is_any(fields[name], accepted):
            expected = " or ".join(json.dumps(value) for value in accepted)
            raise ArtifactError(f"{name} is not supported", where=where, expected=expected, got=repr(fields[name])[:80])
    for name, value in fields.items():
        if name not in {*REQUIRED, *INDIFFERENT, *USED} and not _is_any(value, OFF):
            raise ArtifactError(f"{name} is not supported", where=where, expected="it to be off", got=repr(value)[:80])


def _target_modules(fields: Mapping[str, Any], where: str) -> Spec:
    value = fields.get("target_modules")
    if value is None and not fields.get("target_parameters"):
        raise ArtifactError(
            "neither target_modules nor target_parameters: PEFT would guess by the model's type",
            where=where,
            expected="a list of names, or a regular expression",
        )
    if isinstance(value, str) and value.lower() == "all-linear":
        raise _wrong("target_modules", value, "the names that it stands for, which PEFT saves", where)
    return _spec("target_modules", value, where)


def _spec(name: str, value: Any, where: str) -> Spec:
    if isinstance(value, str):
        return _expression(name, value, where)
    return _names(name, value, where)


def _names(name: str, value: Any, where: str) -> frozenset[str]:
    if value is not None and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        raise _wrong(name, value, "a list of texts", where)
    return frozenset(value or ())


def _table(fields: Mapping[str, Any], kind: str, where: str) -> list[tuple[str, Any]]:
    name = f"{kind}_pattern"
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, dict):
        raise _wrong(name, value, "a table", where)
    return [(_expression(name, key, where), item) for key, item in value.items()]


def _expression(name: str, value: str, where: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ArtifactError(f"{name} is no regular expression: {error}", where=where, got=repr(value)[:80]) from error
    return value


def _rank(name: str, value: Any, where: str) -> int:
    if type(value) is not int or value < 1:
        raise _wrong(name, value, "a whole number from 1", where)
    return value


def _alpha(name: str, value: Any, where: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise _wrong(name, value, "a number", where)
    return float(value)


def _flag(name: str, value: Any, where: str) -> bool:
    if type(value) is not bool:
        raise _wrong(name, value, "true or false", where)
    return value


def _short(value: float) -> float:
    """As PEFT's users write it: 8, not 8.0."""
    return int(value) if float(value).is_integer() else float(value)


def _is_any(value: Any, accepted: tuple[Any, ...]) -> bool:
    # By type too: 0 equals False, and says something else.
    return any(type(value) is type(item) and value == item for item in accepted)


def _wrong(name: str, value: Any, expected: str, where: str) -> ArtifactError:
    return ArtifactError(f"{name} cannot be used", where=where, expected=expected, got=repr(value)[:80])


def _read_json(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"cannot be read: {error}", where=str(path)) from error
    if not isinstance(fields, dict):
        raise ArtifactError("not a JSON object", where=str(path))
    return fields
