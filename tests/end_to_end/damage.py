"""Ways to damage a saved checkpoint that loads nevertheless, and what a report must then say.

Each damages files under an artifact's directory, at a place that it is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from cases.injecting import rewrite
from harness.checkpoints.base import write_base
from harness.checkpoints.configs import effective_config
from harness.checkpoints.safetensors_file import read_header, read_index, read_tensor
from harness.metrics.observed import MERGED, ORACLE, adapter_folder
from harness.records.cases import Case, Family, Form
from harness.records.results import Finding

ADAPTER = adapter_folder("")
PROJECTIONS = ("gate", "up", "down")
FUSED = {"base_layer.lora_B": ("gate", "up"), "lora_B": ("down",)}
"""PEFT's names of the two fused parameters' B, to the projections that are in them."""
SCALE = 1.05


class Fault(NamedTuple):
    """A finding that must be there: one group of tensors of one role."""

    kind: str
    tensors: frozenset[str]
    layer: int
    expert: int | None
    """None where all experts of the layer are hit."""

    def is_told_by(self, finding: Finding) -> bool:
        """Whether `finding` says this, and not a tensor more."""
        where = finding.where
        named = (finding.kind, where.layer, where.expert, finding.num_alike)
        return named == (self.kind, self.layer, self.expert, len(self.tensors)) and where.tensor in self.tensors


class Damage(NamedTuple):
    """What was done to an artifact."""

    form: Form
    faults: tuple[Fault, ...]
    num_fallback: int
    """Expert projections in which less than half of the delta is right."""


class Target(NamedTuple):
    """An artifact, and the case that it is of."""

    directory: Path
    case: Case
    family: Family

    @property
    def num_layers(self) -> int:
        """Layers of its model."""
        return int(effective_config(self.family, self.case)["num_hidden_layers"])

    @property
    def num_experts(self) -> int:
        """Experts of each layer."""
        return int(effective_config(self.family, self.case)["num_experts"])


def drop_expert(target: Target, draw: Random, scratch: Path) -> Damage:
    """One expert of one layer of the merged checkpoint as it is in base."""
    layer, expert = draw.randrange(target.num_layers), draw.randrange(target.num_experts)
    names = [_tensor(layer, expert, projection) for projection in PROJECTIONS]
    base = _base(target, scratch)
    rewrite(target.directory / MERGED, names, lambda name, _: base[name])
    faults = tuple(Fault("delta_missing", frozenset([name]), layer, expert) for name in names)
    return Damage("merged", faults, num_fallback=len(names))


def scale_tensor(target: Target, draw: Random, scratch: Path) -> Damage:
    """One tensor of one expert as base + 1.05 delta, rounded as stored."""
    layer, expert = draw.randrange(target.num_layers), draw.randrange(target.num_experts)
    name = _tensor(layer, expert, draw.choice(PROJECTIONS))
    base = _base(target, scratch)[name].astype(np.float64)
    [delta] = [read_tensor(entry) for entry in read_header(target.directory / ORACLE) if entry.name == name]
    rewrite(target.directory / MERGED, [name], lambda *_: base + SCALE * delta)
    return Damage("merged", (Fault("delta_wrong_scale", frozenset([name]), layer, expert),), num_fallback=0)


def repack_adapter(target: Target, draw: Random, _scratch: Path) -> Damage:
    """The adapter's B of one fused parameter of one layer with its columns grouped by expert, not by rank."""
    layer, parameter = draw.randrange(target.num_layers), draw.choice(list(FUSED))
    name = f"base_model.model.model.layers.{layer}.mlp.experts.{parameter}.weight"

    def regroup(_name: str, b: np.ndarray) -> np.ndarray:
        return b.reshape(len(b), -1, target.num_experts).swapaxes(1, 2).reshape(b.shape)

    rewrite(target.directory / ADAPTER, [name], regroup)
    faults = []
    for projection in FUSED[parameter]:
        tensors = frozenset(_tensor(layer, expert, projection) for expert in range(target.num_experts))
        faults.append(Fault("delta_wrong_packing", tensors, layer, None))
    return Damage("lora", tuple(faults), num_fallback=len(faults) * target.num_experts)


@contextmanager
def restored(directories: list[Path]) -> Iterator[None]:
    """Afterwards, every file of the saved forms in `directories` is again as it is now."""
    paths = [path for directory in directories for form in (ADAPTER, MERGED) for path in (directory / form).iterdir()]
    contents = {path: path.read_bytes() for path in paths}
    try:
        yield
    finally:
        for path, content in contents.items():
            path.write_bytes(content)


def _tensor(layer: int, expert: int, projection: str) -> str:
    return f"model.layers.{layer}.mlp.experts.{expert}.{projection}_proj.weight"


def _base(target: Target, scratch: Path) -> dict[str, np.ndarray]:
    """The base's tensors, made from the seed once more."""
    scratch.mkdir()
    write_base(scratch, target.family, target.case)
    return {name: read_tensor(entry) for name, entry in read_index(scratch).items()}
