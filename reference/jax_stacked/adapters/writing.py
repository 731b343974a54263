"""Writing an adapter so that stock PEFT loads it with the same deltas, in any of the dialects that PEFT has had.

Owns what goes into the two files. Must not know which package will read them, beyond the dialect:
- `standard`: PEFT 0.19 and later on transformers 5, fused experts;
- `swapped`: PEFT 0.18 on transformers 5, fused experts with the roles of A and B exchanged;
- `per_expert`: transformers 4, a pair of factors an expert and projection.
Adapters without experts are the same in all three, and may name none ("").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.checkpoints.safetensors_file import write_file
from harness.errors import UsageError
from harness.records.cases import Dialect
from reference.jax_stacked.adapters.config import Settings, write_settings
from reference.jax_stacked.adapters.convert import check_one_form, fused, per_projection
from reference.jax_stacked.adapters.names import (
    BASE_WEIGHT,
    PREFIX,
    TAKEN_FOR_EXPERTS,
    WEIGHTS_FILE,
    expand,
    factor_keys,
    fused_keys,
    module_names,
    parameter_names,
)
from reference.jax_stacked.adapters.packing import Layout, pack
from reference.jax_stacked.adapters.record import DOWN, Adapter, Factors, Target
from reference.jax_stacked.adapters.targeting import patterns_for, shortest_suffixes

LAYOUTS: dict[Dialect, Layout] = {"standard": "standard", "swapped": "swapped"}
LAYOUT_SINCE: dict[Layout, str] = {"standard": "0.19.0", "swapped": "0.18.0"}
"""What goes into `peft_version` beside fused experts: where they are square, it alone tells the layouts apart."""


class Written(NamedTuple):
    """One pair of factors as it goes into the files."""

    name: str
    """What the configuration calls the module or parameter."""
    is_parameter: bool
    keys: tuple[str, str]
    tensors: tuple[np.ndarray, np.ndarray]
    rank: int
    alpha: float


def write_adapter(
    directory: Path, adapter: Adapter, dialect: Dialect, *, targets: Mapping[str, Target], base_model: str = ""
) -> None:
    """Write `adapter` into `directory` (made if it is not there) in `dialect`.

    `targets` are all adaptable modules of the model, so that what is not adapted is known. `base_model` is where the
    base is. Raises UsageError for an adapter that does not fit the model, or that the dialect's PEFT cannot hold.
    """
    expanded = expand(targets)
    _check(adapter, dialect, expanded, where=str(directory))
    layout = LAYOUTS.get(dialect)
    held = fused(adapter) if layout else per_projection(adapter)
    written = list(_written(held, layout, expanded))
    tensors = {key: ("F32", tensor) for each in written for key, tensor in zip(each.keys, each.tensors, strict=True)}
    tensors |= {f"{PREFIX}{path}{BASE_WEIGHT}": ("F32", weight) for path, weight in adapter.base_weights.items()}
    has_fused = layout is not None and any(factors.A.ndim == 3 for factors in held.factors.values())
    directory.mkdir(parents=True, exist_ok=True)
    settings = _settings(written, expanded, adapter.rslora, LAYOUT_SINCE[layout] if layout and has_fused else "")
    write_settings(directory, settings, base_model=base_model)
    write_file(directory / WEIGHTS_FILE, tensors)


def _written(adapter: Adapter, layout: Layout | None, targets: Mapping[str, Target]) -> Iterator[Written]:
    has_experts = any(target.kind == "experts" for target in targets.values())
    for path, factors in adapter.factors.items():
        layer, _, last = path.rpartition(".")
        if factors.A.ndim == 3 and layout is None:
            for expert, pair in enumerate(zip(factors.A, factors.B, strict=True)):
                name = f"{layer}.{expert}.{last}"
                yield Written(name, False, factor_keys(name, targets[path]), pair, factors.rank, factors.alpha)
            continue
        pair, keys, name = (factors.A, factors.B), factor_keys(path, targets[path]), path
        is_parameter = factors.A.ndim == 3
        if is_parameter and layout:
            pair = pack(*pair, layout)
            keys = fused_keys(path, targets[path], down_too=f"{layer}.{DOWN}" in adapter.factors)
        elif has_experts and last in TAKEN_FOR_EXPERTS:
            # As a target module it would be taken for experts, as a parameter it is not, and the file is the same.
            name, is_parameter = f"{path}.weight", True
        yield Written(name, is_parameter, keys, pair, factors.rank, factors.alpha)


def _settings(written: list[Written], targets: Mapping[str, Target], rslora: bool, peft_version: str) -> Settings:
    rank, rank_pattern = patterns_for({each.name: each.rank for each in written})
    alpha, alpha_pattern = patterns_for({each.name: each.alpha for each in written})
    modules = {each.name for each in written if not each.is_parameter}
    parameters = {each.name for each in written if each.is_parameter}
    # Of both versions of transformers, so that a file without experts means the same on either.
    all_modules = module_names(targets, experts_apart=True).keys()
    all_parameters = (parameter_names(targets, experts_apart=apart).keys() for apart in (True, False))
    return Settings(
        rank=rank,
        alpha=alpha,
        rslora=rslora,
        target_modules=frozenset(shortest_suffixes(modules, all_modules - modules)),
        # Two parts at least: "weight" alone would mean norms too.
        target_parameters=frozenset(
            shortest_suffixes(parameters, frozenset().union(*all_parameters) - parameters, at_least=2)
        ),
        exclude_modules=frozenset(),
        rank_pattern=rank_pattern,
        alpha_pattern=alpha_pattern,
        peft_version=peft_version,
    )


def _check(adapter: Adapter, dialect: Dialect, targets: Mapping[str, Target], *, where: str) -> None:
    """The adapter fits the model, and there is a dialect for it."""
    check_one_form(adapter)
    if not adapter.factors:
        raise UsageError("adapter has no factors, and PEFT loads no adapter without targets", where=where)
    if dialect not in ("", "per_expert", *LAYOUTS):
        raise UsageError("no such dialect", where=where, expected=", ".join((*LAYOUTS, "per_expert")), got=dialect)
    for path, factors in adapter.factors.items():
        if path not in targets:
            raise UsageError(f"the model has no module {path!r} that can be adapted", where=where)
        _check_factors(path, factors, targets[path])
        if factors.A.ndim == 3 and not dialect:
            expected = ", ".join((*LAYOUTS, "per_expert"))
            raise UsageError("experts are written in a dialect", where=f"{where}: {path}", expected=expected)
        if factors.A.shape[:-2] == (1,) and dialect == "swapped":
            raise UsageError("PEFT 0.18 cannot hold a fused parameter of one expert", where=f"{where}: {path}")
    if unadapted := sorted(set(adapter.base_weights) - set(adapter.factors)):
        raise UsageError("base weights of modules that are not adapted", where=where, got=", ".join(unadapted))


def _check_factors(path: str, factors: Factors, target: Target) -> None:
    experts = (target.num_experts,) if target.kind == "experts" else ()
    expected_A, expected_B = (
        (*experts, factors.rank, target.in_features),
        (*experts, target.out_features, factors.rank),
    )
    if (factors.A.shape, factors.B.shape) != (expected_A, expected_B):
        raise UsageError(
            "factors do not fit the module",
            where=path,
            expected=f"A {expected_A} and B {expected_B}",
            got=f"A {factors.A.shape} and B {factors.B.shape}",
        )
