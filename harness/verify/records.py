"""What the verifier's parts hand to each other: an adapter as its files say it, and what is found.

Data flows one way: adapter and checkpoints -> what each stored tensor should hold -> evidence -> findings -> report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.checkpoints.safetensors_file import TensorEntry

Severity = Literal["error", "warning", "note"]
"""Only errors decide a verdict."""
PairKind = Literal["linear", "embedding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, and where; a contract (DESIGN section 5). Alike findings are grouped when shown."""

    kind: str
    severity: Severity
    message: str
    tensor: str = ""
    layer: int | None = None
    expert: int | None = None
    expected: str = ""
    got: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorPair:
    """A and B of one adapted weight, not read yet, with all that its file says of how they are meant."""

    module: str
    """The module's path in the model, without PEFT's wrappers: `model.layers.0.self_attn.q_proj`."""
    depth: int
    """How many `base_layer` stand between the module and its factors: PEFT wraps a module once for each 3D parameter
    that it adapts, the first parameter innermost. 0 for every other module."""
    kind: PairKind
    a: TensorEntry
    """(rank, in); of embeddings (rank, vocabulary)."""
    b: TensorEntry
    """(out, rank); of embeddings (hidden, rank)."""
    magnitude: TensorEntry | None = None
    """DoRA's vector, (out,)."""
    bias: TensorEntry | None = None
    """`lora_bias`: of lora_B, (out,)."""
    rank: int
    """As the configuration means it for this module: of one expert, where factors hold several."""
    alpha: float
    scaling: float
    """alpha / rank, or alpha / sqrt(rank) with rsLoRA."""
    parameter: str = ""
    """The parameter of the module that is adapted, where target_parameters tell it: `gate_up_proj`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeTensor:
    """A tensor that the adapter holds in full: of `modules_to_save`, a trained bias, a trained embedding."""

    name: str
    """The parameter's path in the model: `lm_head.weight`."""
    entry: TensorEntry
    why: Literal["modules_to_save", "bias", "embedding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadKey:
    """A tensor of the adapter that has no meaning to PEFT, and what becomes of it there."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterConfig:
    """adapter_config.json, as far as it decides what a delta is."""

    rank: int
    alpha: float
    rslora: bool
    dora: bool
    fan_in_fan_out: bool
    bias: Literal["none", "all", "lora_only"]
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    target_modules: tuple[str, ...] | str | None
    """Names or suffixes, a pattern, or None where nothing is said."""
    target_parameters: tuple[str, ...]
    modules_to_save: tuple[str, ...]
    layers_to_transform: tuple[int, ...] | None
    layers_pattern: tuple[str, ...]
    exclude_modules: tuple[str, ...] | str = ()
    """Names or suffixes, or a pattern."""
    lora_bias: bool = False
    peft_version: str
    """Of the PEFT that saved it; empty where it is not said (before 0.18)."""
    lora_b_layout: str
    """unsloth_zoo's marker: `grouped_by_expert`, `rank_major`, or empty."""
    base_model: str
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """An adapter's directory, read without its numbers."""

    directory: Path
    config: AdapterConfig
    pairs: tuple[FactorPair, ...]
    whole: tuple[WholeTensor, ...]
    unread: tuple[UnreadKey, ...]
    findings: tuple[Finding, ...]
    """What is wrong with it whatever the base."""
