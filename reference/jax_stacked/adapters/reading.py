"""Reading an adapter that any PEFT of the matrix saved, or our own writer, and skipping nothing in silence.

Owns what a file must hold: each tensor has a place, and each module that the configuration means has both factors. The
layout of fused experts is told by their shapes; where both fit, by the version of PEFT that saved them; where that says
nothing either, reading fails. Must not know the model beyond its targets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import numpy as np

from harness.checkpoints.safetensors_file import TensorEntry, read_header, read_tensor
from harness.errors import ArtifactError
from reference.jax_stacked.adapters.config import read_settings
from reference.jax_stacked.adapters.meaning import Meant, base_keys, meant_by
from reference.jax_stacked.adapters.names import WEIGHTS_FILE, expand
from reference.jax_stacked.adapters.packing import Layout, fitting_layouts, layout_since, unpack
from reference.jax_stacked.adapters.record import Adapter, Factors, Target

DTYPES = ("F32", "BF16", "F16")
MAX_NAMED = 6
"""How many names an error spells out."""

Entries = Mapping[str, TensorEntry]


def read_adapter(directory: Path, targets: Mapping[str, Target]) -> Adapter:
    """The adapter in `directory`, for a model whose adaptable modules are `targets`; factors in float32.

    Experts are fused where the file has them so (transformers 5), and by projection where it has a pair an expert
    (transformers 4). Raises ArtifactError for whatever cannot be used, has no place, or is missing.
    """
    settings = read_settings(directory)
    expanded = expand(targets)
    entries = _entries(directory)
    meant = meant_by(settings, expanded, entries.keys(), where=str(directory))
    bases = {key: path for key, path in base_keys(meant).items() if key in entries}
    _check_keys(entries, {key for each in meant for key in each.keys}, bases.keys(), where=str(directory))
    fused = [each for each in meant if each.is_fused]
    layout = _layout(fused, entries, expanded, settings.peft_version, where=str(directory)) if fused else None
    factors: dict[str, Factors] = {}
    experts: dict[str, list[Meant]] = defaultdict(list)
    for each in meant:
        if each.place.expert is not None:
            experts[each.place.path].append(each)
        else:
            factors[each.place.path] = _read(each, entries, expanded[each.place.path], layout)
    factors |= {path: _stack(path, each, entries, expanded[path]) for path, each in experts.items()}
    base_weights = {path: _read_base(entries[key], expanded[path]) for key, path in bases.items()}
    return Adapter(factors=factors, rslora=settings.rslora, base_weights=base_weights)


def _entries(directory: Path) -> dict[str, TensorEntry]:
    path = directory / WEIGHTS_FILE
    if not path.is_file():
        raise ArtifactError(f"no {WEIGHTS_FILE} (a pickle is never loaded)", where=str(directory))
    entries = {entry.name: entry for entry in read_header(path)}
    for entry in entries.values():
        if entry.dtype not in DTYPES:
            raise ArtifactError(
                "factors of this dtype cannot be used", where=_where(entry), expected=", ".join(DTYPES), got=entry.dtype
            )
    return entries


def _check_keys(entries: Entries, wanted: set[str], bases: Set[str], *, where: str) -> None:
    """The file holds what the configuration means, all of it and nothing else."""
    problems = []
    if unknown := sorted(set(entries) - wanted - bases):
        problems.append(f"{len(unknown)} tensors are not of a module that it targets ({_some(unknown)})")
    if missing := sorted(wanted - set(entries)):
        problems.append(f"{len(missing)} tensors of targeted modules are missing ({_some(missing)})")
    if problems:
        raise ArtifactError(f"file and configuration disagree: {', and '.join(problems)}", where=where)


def _layout(
    fused: Sequence[Meant], entries: Entries, targets: Mapping[str, Target], peft_version: str, *, where: str
) -> Layout:
    """The one layout in which all fused factors of the file fit."""
    possible: frozenset[Layout] = frozenset(("standard", "swapped"))
    for each in fused:
        target, shapes = targets[each.place.path], [entries[key].shape for key in each.keys]
        fitting = fitting_layouts(shapes[0], shapes[1], target, each.rank)
        if not fitting & possible:
            raise ArtifactError(
                "factors have another layout than others" if fitting else "factors fit no layout of fused experts",
                where=f"{where}: {each.name}",
                expected=f"rank {each.rank} of {target.num_experts} experts {target.out_features}×{target.in_features}",
                got=f"lora_A {shapes[0]} and lora_B {shapes[1]}",
            )
        possible &= fitting
    told = layout_since(peft_version)
    if len(possible) == 1:
        return next(iter(possible))
    if told is None:
        raise ArtifactError(
            "cannot tell whether fused experts are standard (PEFT 0.19 and later) or swapped (0.18): both fit",
            where=where,
            expected="a released version in peft_version",
            got=repr(peft_version),
            next_step="Write into peft_version of adapter_config.json which PEFT saved it.",
        )
    return told


def _read(each: Meant, entries: Entries, target: Target, layout: Layout | None) -> Factors:
    """A (R, I) and B (O, R) of a module, or A (E, R, I) and B (E, O, R) of a layer's fused experts."""
    entry_A, entry_B = (entries[key] for key in each.keys)
    if each.is_fused:
        assert layout is not None
        a, b = unpack(read_tensor(entry_A), read_tensor(entry_B), target.num_experts, layout)
        return Factors(A=np.ascontiguousarray(a), B=np.ascontiguousarray(b), alpha=each.alpha)
    _check_shape(entry_A, (each.rank, target.in_features))
    _check_shape(entry_B, (target.out_features, each.rank))
    return Factors(A=read_tensor(entry_A), B=read_tensor(entry_B), alpha=each.alpha)


def _stack(path: str, experts: Sequence[Meant], entries: Entries, target: Target) -> Factors:
    """A (E, R, I) and B (E, O, R) of one projection, from a pair an expert."""
    numbers = [each.place.expert for each in experts]
    if absent := sorted(set(range(target.num_experts)) - set(numbers)):
        raise ArtifactError(
            f"experts {_some([str(expert) for expert in absent])} are not adapted, and others of their layer are",
            where=path,
            expected=f"all {target.num_experts} experts or none",
        )
    scales = {(each.rank, each.alpha) for each in experts}
    if len(scales) > 1:
        got = _some([f"{rank} and {alpha}" for rank, alpha in sorted(scales)])
        raise ArtifactError("experts of one layer have different ranks or alphas", where=path, got=got)
    pairs = [_read(each, entries, target, None) for each in sorted(experts, key=lambda each: each.place.expert or 0)]
    return Factors(
        A=np.stack([pair.A for pair in pairs]), B=np.stack([pair.B for pair in pairs]), alpha=experts[0].alpha
    )


def _read_base(entry: TensorEntry, target: Target) -> np.ndarray:
    """The weight (V, D) of an embedding or a head."""
    rows, columns = target.out_features, target.in_features
    _check_shape(entry, (columns, rows) if target.kind == "embedding" else (rows, columns))
    return read_tensor(entry)


def _check_shape(entry: TensorEntry, expected: tuple[int, ...]) -> None:
    if entry.shape != expected:
        raise ArtifactError(
            "tensor has another shape than model and rank give it",
            where=_where(entry),
            expected=str(expected),
            got=str(entry.shape),
        )


def _where(entry: TensorEntry) -> str:
    return f"{entry.path}: {entry.name}"


def _some(names: Sequence[str]) -> str:
    rest = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")
