"""Which pairs of factors an adapter's configuration means, and under which names its file must hold them.

Owns the step from settings to names, by PEFT's own rules. Reads no tensors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from typing import NamedTuple

from harness.errors import ArtifactError
from reference.jax_stacked.adapters.config import Settings
from reference.jax_stacked.adapters.names import (
    BASE_WEIGHT,
    PREFIX,
    Place,
    factor_keys,
    fused_keys,
    fused_paths,
    module_names,
    parameter_names,
)
from reference.jax_stacked.adapters.record import DOWN, Target
from reference.jax_stacked.adapters.targeting import matches, pattern_value

EMBEDDINGS = ("embed_tokens", "lm_head")
"""The last parts of the modules whose base weight PEFT saves too, if they are adapted (`save_embedding_layers`)."""


class Meant(NamedTuple):
    """One pair of factors that the configuration means."""

    name: str
    """The module or parameter, as PEFT calls it."""
    place: Place
    is_fused: bool
    """Whether it is the experts of a layer as one 3D parameter."""
    keys: tuple[str, str]
    """The tensors of A and B."""
    rank: int
    alpha: float


def meant_by(settings: Settings, targets: Mapping[str, Target], held: Set[str], *, where: str) -> list[Meant]:
    """All that `settings` mean of the expanded `targets`, for a file that holds tensors with the names `held`.

    Whether experts are Linears (transformers 4) or 3D parameters (5) depends on where the file was saved, which its
    names show. Where they show no experts, either is meant: else a file that lost its experts would look whole.
    Raises ArtifactError if nothing is meant, or something twice.
    """
    layers = {path.rpartition(".")[0] for path in fused_paths(targets)}
    holders = {key.removeprefix(PREFIX).partition(".lora_")[0] for key in held}
    # Of a layer's fused experts the outermost factors are called after the module that holds both parameters.
    found = list(_found(settings, targets, holds_fused=bool(holders & layers)))
    counts = Counter(key for each in found for key in each.keys)
    if twice := sorted(key for key, count in counts.items() if count > 1):
        raise ArtifactError("target_modules and target_parameters mean the same module", where=where, got=twice[0])
    if not found:
        raise ArtifactError("the configuration targets nothing that the model has", where=where)
    return found


def base_keys(meant: list[Meant]) -> dict[str, str]:
    """The tensors that may hold base weights of adapted embeddings and heads, by name, with their module paths."""
    paths = [each.place.path for each in meant if each.place.path.rpartition(".")[2] in EMBEDDINGS]
    return {f"{PREFIX}{path}{BASE_WEIGHT}": path for path in paths}


def _found(settings: Settings, targets: Mapping[str, Target], *, holds_fused: bool) -> Iterator[Meant]:
    for name, place in module_names(targets, experts_apart=not holds_fused).items():
        if matches(settings.target_modules, name) and not matches(settings.exclude_modules, name):
            yield _meant(settings, name, place, factor_keys(name, targets[place.path]))
    parameters = parameter_names(targets, experts_apart=False)
    if not holds_fused:
        parameters |= parameter_names(targets, experts_apart=True)
    for name, place in parameters.items():
        if not matches(settings.target_parameters, name):
            continue
        target = targets[place.path]
        if name != place.path:  # the weight of a module, with factors like the module's own
            yield _meant(settings, name, place, factor_keys(name.removesuffix(".weight"), target))
            continue
        down_too = matches(settings.target_parameters, f"{name.rpartition('.')[0]}.{DOWN}")
        yield _meant(settings, name, place, fused_keys(name, target, down_too=down_too), is_fused=True)


def _meant(settings: Settings, name: str, place: Place, keys: tuple[str, str], *, is_fused: bool = False) -> Meant:
    return Meant(
        name=name,
        place=place,
        is_fused=is_fused,
        keys=keys,
        rank=pattern_value(settings.rank_pattern, name, settings.rank),
        alpha=pattern_value(settings.alpha_pattern, name, settings.alpha),
    )
