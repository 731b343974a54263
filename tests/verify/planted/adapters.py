"""Adapters drawn from a seed, as PEFT would hold them in memory and name them in files.

Owns the names and shapes of the factors in every style. What they mean for the weights is merging.py's matter.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from harness.checkpoints.safetensors_file import round_to
from tests.verify.adapter_files import PREFIX, Tensors, write_adapter
from tests.verify.planted.models import Model, Part, expert_of

Style = Literal["standard", "swapped", "per_expert", "none"]
"""How experts are adapted. `standard`: lora_A has the columns of the fused parameter, as from PEFT 0.19 on. `swapped`:
it has the rows, as in PEFT 0.18, and later too where the parameter says that it is transposed. `per_expert`: one Linear
each, as transformers 4 has them."""
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")
PARAMETERS: dict[str, tuple[Part, ...]] = {"gate_up_proj": ("gate", "up"), "down_proj": ("down",)}
"""In the order of the module, so the first is innermost."""
A_STD = 0.3
WEIGHT_STD = 0.1
VERSIONS: dict[Style, str] = {"standard": "0.19.1", "swapped": "0.18.1", "per_expert": "0.19.1", "none": "0.19.1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How an adapter was configured, and how large its deltas are. Scaling is 5/3 unless told: no power of two."""

    style: Style = "standard"
    targets: tuple[str, ...] = ATTENTION
    """Ends of the paths of the Linears, and `embed_tokens`."""
    parameters: tuple[str, ...] = ("gate_up_proj", "down_proj")
    """Of fused experts."""
    rank: int = 3
    alpha: float = 5
    relative: float = 0.1
    """Of a delta to its base weight, by their root mean squares."""
    seed: int = 0
    rslora: bool = False
    rank_pattern: tuple[tuple[str, int], ...] = ()
    alpha_pattern: tuple[tuple[str, float], ...] = ()
    dora: bool = False
    lora_bias: bool = False
    saved: tuple[str, ...] = ()
    """modules_to_save."""
    trained_bias: Literal["none", "lora_only", "all"] = "none"
    saves_base: Literal["", "as it was", "trained"] = ""
    """The weight of an adapted embedding or head too, as PEFT does by itself: `save_embedding_layers`."""
    dtype: Literal["F32", "BF16"] = "F32"
    prefix: str = PREFIX
    """Before the paths of modules in the file."""
    version: str | None = None
    """Of PEFT, if not the one that the style is named for; empty: not said."""


DEFAULT = Recipe()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """The factors of one module, or of one fused parameter."""

    key: str
    """The module's path in the file, with its wrappers."""
    kind: Literal["linear", "embedding", "fused"]
    a: np.ndarray
    b: np.ndarray
    rank: int
    """Of one expert."""
    alpha: float
    scaling: float
    site: str = ""
    """Of what is not fused."""
    layer: int = -1
    parts: tuple[Part, ...] = ()
    magnitude: np.ndarray | None = None
    bias: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adapter:
    """All of an adapter."""

    recipe: Recipe
    pairs: tuple[Pair, ...]
    whole: dict[str, np.ndarray] = field(default_factory=dict)
    """By the parameter's path in the model."""


@cache
def draw(model: Model, recipe: Recipe) -> Adapter:
    """The adapter that this recipe gives for this model; another seed gives other numbers alone."""
    rng = np.random.default_rng(zlib.crc32(f"{model.name} {recipe.seed}".encode()))
    pairs = [*_linears(model, recipe, rng)]
    if recipe.style in ("standard", "swapped"):
        pairs += _fused(model, recipe, rng)
    return Adapter(recipe=recipe, pairs=tuple(pairs), whole=dict(_whole(model, recipe, rng)))


def _linears(model: Model, recipe: Recipe, rng: np.random.Generator) -> Iterator[Pair]:
    targets = {*recipe.targets, *(model.experts.names.values() if model.experts else ())}
    for site, weight in model.weights.items():
        module = site.removesuffix(".weight")
        leaf = module.rpartition(".")[2]
        is_expert = expert_of(site) is not None
        is_meant = recipe.style == "per_expert" and leaf in targets if is_expert else leaf in recipe.targets
        if not is_meant or weight.ndim != 2:
            continue
        rank, alpha, scaling = _scale(recipe, module)
        rows, columns = weight.shape
        is_embedding = leaf == "embed_tokens"
        a, b = _factors(rng, recipe, rank, scaling, (columns, rows) if is_embedding else (rows, columns))
        if recipe.lora_bias and f"{module}.bias" not in model.weights:
            continue  # PEFT has no place to merge it into
        lengths, noise = np.linalg.norm(weight, axis=1), rng.standard_normal((2, rows))
        yield Pair(
            key=module,
            kind="embedding" if is_embedding else "linear",
            a=a,
            b=b,
            rank=rank,
            alpha=alpha,
            scaling=scaling,
            site=site,
            magnitude=(lengths * (1 + 0.1 * noise[0])).astype(np.float32) if recipe.dora else None,
            bias=(0.1 * noise[1]).astype(np.float32) if recipe.lora_bias else None,
        )


def _fused(model: Model, recipe: Recipe, rng: np.random.Generator) -> Iterator[Pair]:
    experts = model.experts
    assert experts is not None, f"{model.name} has no experts"
    adapted = [name for name in PARAMETERS if name in recipe.parameters]
    for layer in experts.layers:
        for number, name in enumerate(adapted):
            rank, alpha, scaling = _scale(recipe, f"{experts.module(layer)}.{name}")
            parts = PARAMETERS[name]
            rows, columns = model.weights[experts.site(layer, 0, parts[0])].shape
            shape = (rows * len(parts), columns)
            is_turned = (recipe.style == "swapped") != experts.turned
            a, b = _factors(rng, recipe, rank, scaling, shape[::-1] if is_turned else shape, experts.num)
            yield Pair(
                key=experts.module(layer) + ".base_layer" * (len(adapted) - 1 - number),
                kind="fused",
                a=a,
                b=b,
                rank=rank,
                alpha=alpha,
                scaling=scaling,
                layer=layer,
                parts=parts,
            )


def _factors(
    rng: np.random.Generator,
    recipe: Recipe,
    rank: int,
    scaling: float,
    shape: tuple[int, int],
    num_experts: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """lora_A and lora_B as files hold them, whose products have the size that the recipe asks for."""
    b_std = recipe.relative * WEIGHT_STD / (scaling * math.sqrt(rank) * A_STD)
    a = A_STD * rng.standard_normal((num_experts * rank, shape[1]))
    b = b_std * rng.standard_normal((shape[0], num_experts * rank))
    dtype = {"F32": "float32", "BF16": "bfloat16"}[recipe.dtype]
    return round_to(dtype, a), round_to(dtype, b)


def _scale(recipe: Recipe, name: str) -> tuple[int, float, float]:
    """Rank, alpha and scaling as PEFT takes them: by the first pattern that matches the end of the name."""
    rank = next((value for key, value in recipe.rank_pattern if _matches(key, name)), recipe.rank)
    alpha = next((value for key, value in recipe.alpha_pattern if _matches(key, name)), recipe.alpha)
    return rank, alpha, alpha / (math.sqrt(rank) if recipe.rslora else rank)


def _matches(key: str, name: str) -> bool:
    return re.match(rf"(.*\.)?({key})$", name) is not None


def _whole(model: Model, recipe: Recipe, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    for site, weight in model.weights.items():
        module, _, leaf = site.rpartition(".")
        name = module.rpartition(".")[2]
        is_saved = any(module == saved or module.endswith(f".{saved}") for saved in recipe.saved)
        is_bias = leaf == "bias" and (
            recipe.trained_bias == "all" or (recipe.trained_bias == "lora_only" and name in recipe.targets)
        )
        if is_saved or is_bias:
            yield site, (weight + 0.03 * rng.standard_normal(weight.shape)).astype(np.float32)
        elif recipe.saves_base and name in ("embed_tokens", "lm_head") and name in recipe.targets:
            is_other = recipe.saves_base == "trained"
            yield site, (weight + 0.03 * rng.standard_normal(weight.shape)).astype(np.float32) if is_other else weight


def tensors_of(adapter: Adapter) -> Tensors:
    """The tensors of adapter_model.safetensors."""
    recipe = adapter.recipe
    found: Tensors = {}
    for pair in adapter.pairs:
        path = f"{recipe.prefix}{pair.key}"
        for name, factor in (("A", pair.a), ("B", pair.b)):
            ending = f"lora_embedding_{name}" if pair.kind == "embedding" else f"lora_{name}.weight"
            found[f"{path}.{ending}"] = (recipe.dtype, factor)
        if pair.magnitude is not None:
            found[f"{path}.lora_magnitude_vector"] = ("F32", pair.magnitude)
        if pair.bias is not None:
            found[f"{path}.lora_B.bias"] = ("F32", pair.bias)
    adapted = {pair.site for pair in adapter.pairs}
    for name, value in adapter.whole.items():
        module, _, leaf = name.rpartition(".")
        wrapper = ".base_layer" if f"{module}.weight" in adapted else ""
        found[f"{recipe.prefix}{module}{wrapper}.{leaf}"] = ("F32", value)
    return found


def config_of(model: Model, recipe: Recipe) -> dict[str, Any]:
    """What adapter_config.json says beside what every adapter's does."""
    targets = list(recipe.targets)
    config: dict[str, Any] = {"target_parameters": ...}
    if recipe.style == "per_expert" and model.experts:
        targets += [name for name in model.experts.names.values() if name not in targets]
    elif recipe.style in ("standard", "swapped") and model.experts:
        block = ".".join(model.experts.held.split(".")[-2:])
        config["target_parameters"] = [f"{block}.{name}" for name in recipe.parameters]
    return {
        **config,
        "r": recipe.rank,
        "lora_alpha": recipe.alpha,
        "target_modules": targets,
        "use_rslora": recipe.rslora,
        "use_dora": recipe.dora,
        "lora_bias": recipe.lora_bias,
        "bias": recipe.trained_bias,
        "rank_pattern": dict(recipe.rank_pattern),
        "alpha_pattern": dict(recipe.alpha_pattern),
        "modules_to_save": list(recipe.saved) or None,
        "peft_version": VERSIONS[recipe.style] if recipe.version is None else recipe.version or ...,
    }


def write(directory: Path, model: Model, adapter: Adapter, **changes: Any) -> Path:
    """The adapter's directory; `changes` of its configuration, or `tensors` instead of its own."""
    tensors = changes.pop("tensors", None) or tensors_of(adapter)
    return write_adapter(directory, tensors, **{**config_of(model, adapter.recipe), **changes})
