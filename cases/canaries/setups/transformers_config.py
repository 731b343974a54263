"""Configurations as JSON, out of it and into it, by a release's own class.

Executed apart, before the calls of a canary: the release's configuration of Qwen3-MoE is there.
"""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

from harness.canaries.inside import StandIn

Config: Any


class PushToHubMixin:
    """What a configuration has of it is named when the class is made."""

    def push_to_hub(self) -> None:
        """Nothing."""


class Utilities(ModuleType):
    """In the place of transformers.utils: all else in it is a stand-in."""

    PushToHubMixin = PushToHubMixin

    @staticmethod
    def is_torch_available() -> bool:
        """As where it is used."""
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(StandIn("transformers.utils"), name)


_UTILITIES = Utilities("transformers.utils")
_UTILITIES.__path__ = []  # what is in it can be imported
sys.modules["transformers.utils"] = _UTILITIES


def read(values: dict[str, Any]) -> Any:
    """The configuration of what config.json holds."""
    return Config.from_dict(json.loads(json.dumps(values)))


def written(config: Any) -> dict[str, Any]:
    """What config.json holds of a configuration."""
    values: dict[str, Any] = json.loads(config.to_json_string())
    return values


def rope_of(config: Any) -> dict[str, Any]:
    """The settings of rotary positions that a model takes, whole numbers as such: transformers 4 has two places."""
    if hasattr(Config(), "rope_parameters"):
        rope = config.rope_parameters
    else:
        rope = {"rope_type": "default", **(config.rope_scaling or {}), "rope_theta": config.rope_theta}
    return {key: int(value) if isinstance(value, float) else value for key, value in rope.items()}


def set_to(config: Any, name: str, value: Any) -> Any:
    """The configuration with another value of an attribute."""
    setattr(config, name, value)
    return config
