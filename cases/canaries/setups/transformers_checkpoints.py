"""Weights of a mixture of experts into a checkpoint and out of one, by a release's own conversions.

Executed apart, before the calls of a canary: torch is there, and what the release converts with.
"""

from __future__ import annotations

import copy
from typing import Any

import torch

from harness.canaries.inside import Thing, tensor

torch.set_num_threads(1)

conversions_of: Any
revert: Any
natural: Any
rename: Any
WeightRenaming: Any
WeightConverter: Any
LAYER = "model.layers.0."


def written(model_type: str, tensors: dict[str, Any], dtype: str = "float32") -> dict[str, Any]:
    """What a checkpoint holds of a model's weights."""
    model = Thing(_weight_conversions=conversions_of(model_type), config=Thing())
    return dict(revert(model, {LAYER + name: tensor(value, dtype) for name, value in tensors.items()}))


def read(model_type: str, tensors: dict[str, Any]) -> dict[str, Any]:
    """What a model gets of the tensors of a checkpoint."""
    conversions = conversions_of(model_type)
    renamings = [each for each in conversions if isinstance(each, WeightRenaming)]
    converters = [each for each in conversions if isinstance(each, WeightConverter)]
    by_pattern = {pattern: each for each in converters for pattern in each.source_patterns}
    collected: dict[str, Any] = {}
    for name, value in sorted(tensors.items(), key=lambda each: natural(each[0])):
        renamed, pattern = rename(name, renamings, converters)
        if pattern is None:
            pattern, fresh = name, WeightRenaming(name, renamed)
        else:
            fresh = copy.deepcopy(by_pattern[pattern])
        collected.setdefault(renamed, fresh).add_tensor(renamed, name, pattern, value)
    found: dict[str, Any] = {}
    for name, each in collected.items():
        converted = each.convert(name, model=Thing(), config=Thing())
        converted = converted[0] if isinstance(converted, tuple) else converted  # with what went wrong, until 5.3
        found |= {key: value[0] if isinstance(value, list) else value for key, value in converted.items()}
    return found


def of_experts(tensors: dict[str, Any], projection: str) -> Any:
    """[E, O, I]: one projection of each expert, in the order of their numbers."""
    found = {}
    for name, value in tensors.items():
        before, _, after = name.partition(".experts.")
        if after.endswith(f".{projection}.weight") and before.startswith(LAYER):
            found[int(after.partition(".")[0])] = value
    return torch.stack([found[number] for number in sorted(found)])


def separate(prefix: str, dtype: str = "float32", **projections: Any) -> dict[str, Any]:
    """A checkpoint's tensors, expert by expert, of weights [E, O, I]."""
    return {
        f"{LAYER}{prefix}.experts.{number}.{projection}.weight": tensor(value, dtype)
        for projection, weight in projections.items()
        for number, value in enumerate(weight)
    }
