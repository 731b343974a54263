"""What a write left on disk, for comparing: checkpoints of any layout as canonical tensors, adapters beside them.

Reads files; loads no model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np

from harness.checkpoints.naming import canonical_names, to_canonical
from harness.checkpoints.safetensors_file import TensorEntry, read_header, read_index, read_tensor
from harness.checkpoints.taken import take, unreadable
from harness.errors import ArtifactError
from harness.metrics.observed import adapter_folder
from harness.records.cases import Dialect, Family
from harness.records.jobs import Contradiction

Stored = dict[str, tuple[str, np.ndarray]]
ROLES_TIED = ("head", "embedding")
DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


def declared_config(directory: Path) -> dict[str, Any]:
    """config.json of a checkpoint."""
    config: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    return config


def adapter_of(written: Path, form: str, dialect: Dialect) -> Path:
    """The adapter that a read of `form` concerns: the one in `dialect`; for a merge, which has none, any that is there.

    What a wrong merge was mistaken for can be told by its adapter's factors, in whichever dialect they are.
    """
    dialects = get_args(Dialect) if form == "merged" else (dialect,)
    folders = [written / adapter_folder(each) for each in dialects]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def _is_canonical(family: Family, config: Mapping[str, Any], name: str) -> bool:
    return canonical_names(family, config, _without_prefix(family, name)) == (name,)


def _without_prefix(family: Family, name: str) -> str:
    for prefix, canonical in family.stored_prefixes.items():
        if name.startswith(prefix):
            return canonical + name.removeprefix(prefix)
    return name


class Saved(NamedTuple):
    """What a write saved, as far as it can be read."""

    tensors: Stored
    contradictions: tuple[Contradiction, ...]


def stored_tensors(directory: Path, family: Family, config: Mapping[str, Any]) -> Stored:
    """Canonical name to (dtype name, float32 values), of a checkpoint of ours. Raises ArtifactError where it is not."""
    saved = _canonical(read_index(directory), family, config)
    for found in saved.contradictions:
        raise ArtifactError(found.message, where=str(directory))
    return saved.tensors


def saved_tensors(directory: Path, family: Family, config: Mapping[str, Any]) -> Saved:
    """The same of what a stack saved, as a loader takes it; what cannot be read, or is there twice, is told."""
    taken = take(directory)
    saved = _canonical(taken.entries, family, config)
    return Saved(saved.tensors, (*taken.contradictions, *saved.contradictions))


def saved_contradictions(merged: Saved, adapters: Iterable[Path]) -> tuple[Contradiction, ...]:
    """What speaks against the files of a write: of the merge, and of the adapters where they cannot be read."""
    found = list(merged.contradictions)
    for path in (path for adapter in adapters for path in sorted(adapter.glob("*.safetensors"))):
        try:
            read_header(path)
        except ArtifactError as error:
            found.append(unreadable(error, f"{path.parent.name}/{path.name}"))
    return tuple(found)


def _canonical(entries: Mapping[str, TensorEntry], family: Family, config: Mapping[str, Any]) -> Saved:
    """Of a tensor that is stored under two names, the one of the canonical name counts, or else the first."""
    tensors: Stored = {}
    found = []
    # Stable: those that are stored under their canonical names come first.
    for name, entry in sorted(entries.items(), key=lambda item: _is_canonical(family, config, item[0]), reverse=True):
        try:
            values = read_tensor(entry)
        except ArtifactError as error:
            found.append(unreadable(error, entry.path.name, name))
            continue
        try:
            plain = to_canonical(family, config, {_without_prefix(family, name): values})
        except ArtifactError as error:
            text = f"{name}: {error}"
            found.append(Contradiction(kind="shape_mismatch", message=text, tensor=name, file=entry.path.name))
            continue
        if doubled := sorted(plain.keys() & tensors.keys()):
            text = f"{name} holds {doubled[0]}, which is stored by itself too ({len(doubled)} such)"
            found.append(Contradiction(kind="tensor_duplicated", message=text, tensor=name, file=entry.path.name))
        for canonical, part in plain.items():
            tensors.setdefault(canonical, (DTYPES.get(entry.dtype, entry.dtype), part))
    if config.get("tie_word_embeddings"):
        # A tied head is not stored. Comparing it under its own name shows a head that was adapted and an embedding
        # that was not, which one stored tensor cannot both hold.
        head, embedding = (next(rule.name for rule in family.tensors if rule.role == role) for role in ROLES_TIED)
        if embedding in tensors:
            tensors.setdefault(head, tensors[embedding])
    return Saved(tensors, tuple(found))
