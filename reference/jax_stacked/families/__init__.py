"""config.json to a model's configuration: one file a family, named by its `model_type`, with one function `read`."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import ArtifactError
from reference.jax_stacked.config import ModelConfig
from reference.jax_stacked.fields import Fields


def implemented() -> tuple[str, ...]:
    """The families there are: the files of this folder."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def read_config(config: Mapping[str, Any], where: str = "config.json") -> ModelConfig:
    """The model that a config.json describes. Raises ArtifactError for a family or a field that we do not implement."""
    family = config.get("model_type")
    if family not in implemented():
        choices = ", ".join(implemented())
        raise ArtifactError("family is not implemented by jax_stacked", where=where, expected=choices, got=repr(family))
    read = importlib.import_module(f"{__name__}.{family}").read
    fields = Fields(config, where)
    model: ModelConfig = read(fields)
    fields.finish()
    return model


def load_config(directory: Path) -> ModelConfig:
    """`read_config` of a checkpoint's folder."""
    path = directory / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot be read: {error}", where=str(path)) from error
    return read_config(config, str(path))
