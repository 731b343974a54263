"""What PEFT calls the modules and parameters of a model, and the tensors of their factors.

Owns the names: of every target as a configuration may name it, and of the tensors in a file. Transformers 4 holds a
Linear an expert and projection, transformers 5 holds a layer's experts as two 3D parameters: both kinds are here.
Knows no files and no values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from harness.errors import UsageError
from reference.jax_stacked.adapters.record import DOWN, GATE, GATE_UP, UP, Target

WEIGHTS_FILE = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""Before every tensor's name."""
BASE_WEIGHT = ".base_layer.weight"
PROJECTIONS = (GATE, UP, DOWN)
TAKEN_FOR_EXPERTS = frozenset(PROJECTIONS)
"""Names that PEFT 0.19 and later, on transformers 5, take for experts wherever they end a target of a model that has
experts: `mlp.gate_proj` of a dense layer then means all experts, and the dense layer is not adapted."""


class Place(NamedTuple):
    """What a name of PEFT's stands for: the module path, and which of its experts."""

    path: str
    expert: int | None


def expand(targets: Mapping[str, Target]) -> dict[str, Target]:
    """`targets`, with each layer's experts under all the paths that an adapter may have: fused, and by projection.

    One of a layer's four suffices. Raises UsageError for experts that have another name, or sizes that disagree.
    """
    expanded: dict[str, Target] = {}
    sizes: dict[str, tuple[int, int, int]] = {}
    for path, target in targets.items():
        if target.kind != "experts":
            expanded[path] = target
            continue
        layer, _, projection = path.rpartition(".")
        found = _expert_sizes(path, target, projection)
        if sizes.setdefault(layer, found) != found:
            raise UsageError("targets disagree", where=layer, expected=f"{sizes[layer]}", got=f"{found} from {path}")
    for layer, (num_experts, hidden, inner) in sizes.items():
        for projection, columns, rows in (
            (GATE_UP, hidden, 2 * inner),
            (GATE, hidden, inner),
            (UP, hidden, inner),
            (DOWN, inner, hidden),
        ):
            expanded[f"{layer}.{projection}"] = Target(
                kind="experts", in_features=columns, out_features=rows, num_experts=num_experts
            )
    return expanded


def module_names(targets: Mapping[str, Target], *, experts_apart: bool) -> dict[str, Place]:
    """Every module that a list of `target_modules` can mean, for expanded `targets`.

    `experts_apart` as on transformers 4: a module an expert and projection. Else experts are no modules.
    """
    names: dict[str, Place] = {}
    for path, target in targets.items():
        layer, _, projection = path.rpartition(".")
        if target.kind != "experts":
            names[path] = Place(path, None)
        elif experts_apart and projection in PROJECTIONS:
            names |= {f"{layer}.{expert}.{projection}": Place(path, expert) for expert in range(target.num_experts)}
    return names


def parameter_names(targets: Mapping[str, Target], *, experts_apart: bool) -> dict[str, Place]:
    """What `target_parameters` can mean: weights of modules, and fused experts if they are not apart."""
    modules = module_names(targets, experts_apart=experts_apart)
    names = {f"{name}.weight": place for name, place in modules.items() if targets[place.path].kind != "embedding"}
    if not experts_apart:
        names |= {path: Place(path, None) for path in fused_paths(targets)}
    return names


def fused_paths(targets: Mapping[str, Target]) -> list[str]:
    """The paths of the 3D parameters that transformers 5 has, for expanded `targets`."""
    return [path for path, target in targets.items() if target.kind == "experts" and path.endswith((GATE_UP, DOWN))]


def factor_keys(module: str, target: Target) -> tuple[str, str]:
    """The tensors that hold A and B of the module with this name."""
    if target.kind == "embedding":
        return f"{PREFIX}{module}.lora_embedding_A", f"{PREFIX}{module}.lora_embedding_B"
    return f"{PREFIX}{module}.lora_A.weight", f"{PREFIX}{module}.lora_B.weight"


def fused_keys(path: str, target: Target, *, down_too: bool) -> tuple[str, str]:
    """The tensors that hold A and B of a layer's fused experts.

    PEFT wraps the module that holds both parameters once for each that is adapted, in the order in which it has them:
    gate_up first. So down is outermost, and gate_up is within it where down is adapted too.
    """
    layer, _, projection = path.rpartition(".")
    return factor_keys(f"{layer}.base_layer" if projection == GATE_UP and down_too else layer, target)


def _expert_sizes(path: str, target: Target, projection: str) -> tuple[int, int, int]:
    """Experts, hidden size and expert hidden size."""
    columns, rows, num_experts = target.in_features, target.out_features, target.num_experts
    if num_experts < 1:
        raise UsageError("experts need a number", where=path, got=f"num_experts={num_experts}")
    if projection == GATE_UP and rows % 2 == 0:
        return num_experts, columns, rows // 2
    if projection in (GATE, UP):
        return num_experts, columns, rows
    if projection == DOWN:
        return num_experts, rows, columns
    expected = ", ".join((GATE_UP, *PROJECTIONS))
    raise UsageError("no such projection of experts", where=path, expected=f"{expected} (with an even number of rows)")
