"""What a write left on disk, for comparing: checkpoints of any layout as canonical tensors, adapters beside them.

Reads files; loads no model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np

from harness.checkpoints.naming import to_canonical
from harness.checkpoints.safetensors_file import read_index, read_tensor
from harness.metrics.observed import adapter_folder
from harness.records.cases import Dialect, Family

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


def _without_prefix(family: Family, name: str) -> str:
    for prefix, canonical in family.stored_prefixes.items():
        if name.startswith(prefix):
            return canonical + name.removeprefix(prefix)
    return name


def stored_tensors(directory: Path, family: Family, config: Mapping[str, Any]) -> Stored:
    """Canonical name to (dtype name, float32 values)."""
    index = read_index(directory)
    tensors: Stored = {}
    for name, entry in index.items():
        plain = {_without_prefix(family, name): read_tensor(entry)}
        for canonical, values in to_canonical(family, config, plain).items():
            tensors[canonical] = (DTYPES.get(entry.dtype, entry.dtype), values)
    if config.get("tie_word_embeddings"):
        # A tied head is not stored. Comparing it under its own name shows a head that was adapted and an embedding
        # that was not, which one stored tensor cannot both hold.
        head, embedding = (next(rule.name for rule in family.tensors if rule.role == role) for role in ROLES_TIED)
        tensors.setdefault(head, tensors[embedding])
    return tensors
