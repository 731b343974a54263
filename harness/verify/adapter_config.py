"""adapter_config.json: what PEFT reads of it to apply an adapter, each field with its type checked.

Owns the fields and PEFT's defaults (LoraConfig, peft/tuners/lora/config.py of 0.15.2 to 0.21.2). Fields that change no
delta are not looked at; those that change it in a way that is not told here are found and named. Must not know modules
or tensors.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from harness.errors import ArtifactError
from harness.verify.companions.folder import Folder
from harness.verify.records import AdapterConfig, Finding

CONFIG_FILE = "adapter_config.json"
MAX_RANK = 1 << 20
"""No weight has so many rows."""
DEFAULTS = {"r": 8, "lora_alpha": 8}
"""What PEFT takes where a file says nothing."""
LAYOUTS = ("grouped_by_expert", "rank_major")
BIASES = ("none", "all", "lora_only")

UNSUPPORTED = {
    "alora_invocation_tokens": "it acts only after certain tokens, and PEFT cannot merge it",
    "arrow_config": "it chooses between other adapters, and PEFT cannot merge it",
    "kasa_config": "it truncates the base weight and has a diagonal of its own",
    "layer_replication": "its layers are not the base's",
    "monteclora_config": "it samples its factors",
    "trainable_token_indices": "it replaces rows of the embedding",
    "use_bdlora": "its factors are block-diagonal",
    "use_qalora": "its factors act on pooled inputs",
    "velora_config": "it holds more than factors",
}
"""Fields that make something else of the factors than B @ A."""
CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Beginnings of `init_lora_weights` with which training starts from another weight than the base's."""

Value = TypeVar("Value")


def read_config(folder: Folder) -> tuple[AdapterConfig, tuple[Finding, ...]]:
    """What adapter_config.json of `folder` says, and what is wrong with it though it can be read.

    Raises ArtifactError if it is not there, is malformed, or describes no LoRA.
    """
    if CONFIG_FILE not in folder:
        raise ArtifactError(f"no {CONFIG_FILE}: not an adapter", where=str(folder.path), next_step=_elsewhere(folder))
    fields = folder.table(CONFIG_FILE)
    where = str(folder.path / CONFIG_FILE)
    _check_text(fields, where)
    if fields.get("peft_type") != "LORA":
        raise ArtifactError(
            "not a LoRA adapter", where=f"{where}: peft_type", expected="'LORA'", got=repr(fields.get("peft_type"))[:80]
        )
    config = _config(fields, where)
    _check_targets(config, where)
    return config, (*_defaulted(fields), *_unsupported(fields), *_unsaid(config))


def _config(fields: Mapping[str, Any], where: str) -> AdapterConfig:
    def get(name: str, reader: Callable[[Any, str], Value], default: Any = None) -> Value:
        return reader(fields.get(name, default), f"{where}: {name}")

    return AdapterConfig(
        rank=get("r", _rank, DEFAULTS["r"]),
        alpha=get("lora_alpha", _number, DEFAULTS["lora_alpha"]),
        rslora=get("use_rslora", _flag),
        dora=get("use_dora", _flag),
        fan_in_fan_out=get("fan_in_fan_out", _flag),
        bias=get("bias", _choice(BIASES), "none"),  # type: ignore[arg-type]
        rank_pattern=get("rank_pattern", _table(_rank)),
        alpha_pattern=get("alpha_pattern", _table(_number)),
        target_modules=None if fields.get("target_modules") is None else get("target_modules", _texts_or_text),
        target_parameters=get("target_parameters", _texts),
        modules_to_save=get("modules_to_save", _texts),
        layers_to_transform=get("layers_to_transform", _layers),
        layers_pattern=get("layers_pattern", _text_as_texts),
        exclude_modules=get("exclude_modules", _texts_or_text),
        lora_bias=get("lora_bias", _flag),
        peft_version=get("peft_version", _text),
        lora_b_layout=get("lora_B_layout", _choice((*LAYOUTS, ""))),
        base_model=get("base_model_name_or_path", _text),
        raw=fields,
    )


def _check_targets(config: AdapterConfig, where: str) -> None:
    """Combinations that PEFT refuses to load, so that nobody can have trained with them."""
    if isinstance(config.target_modules, str) and (config.layers_to_transform is not None or config.layers_pattern):
        raise ArtifactError("layers_to_transform needs target_modules that are a list", where=where)
    if config.layers_pattern and config.layers_to_transform is None:
        raise ArtifactError("layers_pattern without layers_to_transform", where=where)


def _defaulted(fields: Mapping[str, Any]) -> list[Finding]:
    return [
        _finding("config_mismatch", f"{name} is not said: PEFT takes {value}", f"{name} in {CONFIG_FILE}")
        for name, value in DEFAULTS.items()
        if name not in fields
    ]


def _unsaid(config: AdapterConfig) -> list[Finding]:
    if config.target_modules is not None or config.target_parameters:
        return []
    message = (
        "neither target_modules nor target_parameters is said: PEFT adapts what it has noted for the model's type, "
        "often q_proj and v_proj alone, and leaves out all other factors of the file without a word"
    )
    return [_finding("config_mismatch", message, "target_modules, a list of names")]


def _unsupported(fields: Mapping[str, Any]) -> list[Finding]:
    found = [(name, why) for name, why in UNSUPPORTED.items() if fields.get(name)]
    start = fields.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(CHANGES_BASE):
        found.append(("init_lora_weights", f"with {start[:40]!r} training starts from a changed base weight"))
    return [
        Finding(
            kind="adapter_unsupported",
            severity="error",
            message=f"{name}: {why}, so what a merge should hold cannot be told",
            got=repr(fields[name])[:80],
        )
        for name, why in found
    ]


def _finding(kind: str, message: str, expected: str) -> Finding:
    return Finding(kind=kind, severity="warning", message=message, expected=expected)


def _elsewhere(folder: Folder) -> str | None:
    """PEFT saves an adapter that is not called `default` in a folder of its name."""
    names = sorted(ascii(path.parent.name) for path in folder.path.glob(f"*/{CONFIG_FILE}"))
    return f"Give the folder of one adapter: {', '.join(names[:5])}." if names else None


def _check_text(fields: Mapping[str, Any], where: str) -> None:
    """Half a surrogate pair is JSON, and can be shown to nobody."""
    try:
        json.dumps(fields, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ArtifactError(
            "holds text that is no Unicode", where=where, got=ascii(error.object[error.start])
        ) from error


def _rank(value: Any, where: str) -> int:
    if type(value) is not int or not 1 <= value <= MAX_RANK:
        raise _wrong(where, value, f"a whole number from 1 to {MAX_RANK}")
    return value


def _number(value: Any, where: str) -> float:
    if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
        raise _wrong(where, value, "a finite number")
    return float(value)


def _flag(value: Any, where: str) -> bool:
    if value is not None and type(value) is not bool:
        raise _wrong(where, value, "true or false")
    return bool(value)


def _text(value: Any, where: str) -> str:
    if value is not None and not _is_text(value):
        raise _wrong(where, value, "a text")
    return value or ""


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if value is not None and not (isinstance(value, list) and all(map(_is_text, value))):
        raise _wrong(where, value, "a list of texts")
    return tuple(value or ())


def _is_text(value: Any) -> bool:
    """A text that may be shown: names are, in what is found."""
    return isinstance(value, str) and value.isprintable()


def _texts_or_text(value: Any, where: str) -> tuple[str, ...] | str:
    return value if isinstance(value, str) else _texts(value, where)


def _text_as_texts(value: Any, where: str) -> tuple[str, ...]:
    return _texts([value] if isinstance(value, str) and value else value or None, where)


def _layers(value: Any, where: str) -> tuple[int, ...] | None:
    items = value if isinstance(value, list) else [] if value is None else [value]
    if not all(type(item) is int for item in items):
        raise _wrong(where, value, "a whole number, or a list of them")
    return tuple(items) or None  # PEFT takes an empty list for none


def _choice(choices: tuple[str, ...]) -> Callable[[Any, str], str]:
    def read(value: Any, where: str) -> str:
        text = _text(value, where)
        if text not in choices:
            raise _wrong(where, value, ", ".join(choice for choice in choices if choice))
        return text

    return read


def _table(reader: Callable[[Any, str], Value]) -> Callable[[Any, str], dict[str, Value]]:
    def read(value: Any, where: str) -> dict[str, Value]:
        if not isinstance(value, dict | None):
            raise _wrong(where, value, "a table")
        return {key: reader(item, f"{where}[{key[:80]!r}]") for key, item in (value or {}).items()}

    return read


def _wrong(where: str, value: Any, expected: str) -> ArtifactError:
    return ArtifactError("cannot be used", where=where, expected=expected, got=repr(value)[:80])
