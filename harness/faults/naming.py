"""Whether findings name a culprit: the kind that was asked for, and what was hit, no more and no less. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from harness.checkpoints.naming import CanonicalTensor
from harness.records.jobs import Hit
from harness.records.results import Finding

OF_KEYS = frozenset({"adapter_key_unmatched"})
"""Kinds that say something of a name in the adapter's file, which need not be any tensor's of the model."""
GENERATION = "generation_config."
SYMPTOM = "logits_differ"
"""A kind that names no tensors."""


def unnamed(kind: str, hit: Hit, findings: Sequence[Finding], table: Mapping[str, CanonicalTensor]) -> str:
    """How these findings do not name what was hit by `kind`; empty if they do."""
    found = [finding for finding in findings if finding.kind == kind]
    if not found:
        return f"expected {kind}, got {', '.join(sorted({finding.kind for finding in findings})) or 'nothing'}"
    if hit.field and not any(_says_field(finding, hit.field) for finding in found):
        return f"expected the field {hit.field}, got {_places(found)}"
    if hit.file and not any(_says(finding, PurePosixPath(hit.file).name) for finding in found):
        return f"expected the file {hit.file}, got {_places(found)}"
    if kind == SYMPTOM:
        return _unnamed_stage(hit.tensors, found, table) if hit.tensors else ""
    names = hit.keys if kind in OF_KEYS and hit.keys else hit.tensors
    return _unnamed_tensors(names, found, table) if names else ""


def _unnamed_stage(tensors: Sequence[str], found: Sequence[Finding], table: Mapping[str, CanonicalTensor]) -> str:
    """A symptom names where it begins: a stage of the first layer that was hit, whose module has a tensor of them."""
    first = min((table[name].layer or 0 for name in tensors if table[name].layer is not None), default=None)
    for finding in found:
        stage = finding.got.partition(" ")[0]
        if stage and finding.where.layer == first and any(f".{stage}." in f".{name}" for name in tensors):
            return ""
    return f"expected a stage of layer {first} with {tensors[0]}, got {[finding.got for finding in found]}"


def _says_field(finding: Finding, field: str) -> bool:
    """Fields of the generation settings are told by that name, or as a field of that file."""
    name = field.removeprefix(GENERATION)
    return _says(finding, field) or (name != field and _says(finding, f"{GENERATION}json") and _says(finding, name))


def _says(finding: Finding, name: str) -> bool:
    """As what it is about, or in its words: there are findings of `verify` that have no other place for it."""
    word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    return any(word.search(text) for text in (finding.where.tensor, finding.expected, finding.message))


def _unnamed_tensors(tensors: Sequence[str], found: Sequence[Finding], table: Mapping[str, CanonicalTensor]) -> str:
    """Findings are groups, each of one kind and role, with a tensor that stands for them: of no two the same."""
    num_named = sum(finding.num_alike for finding in found)
    named = {finding.where.tensor for finding in found}
    if named - set(tensors) or num_named != len(tensors) or len(named) != len(found):
        return f"expected {len(tensors)} tensors like {tensors[0]}, got {num_named} like {_places(found)}"
    for axis in ("layer", "expert"):
        places = {getattr(table[name], axis) for name in tensors if name in table}
        told = {getattr(finding.where, axis) for finding in found}
        if len(places) == 1 and told != places:
            return f"expected {axis} {places.pop()}, got {sorted(map(str, told))}"
    return ""


def _places(found: Sequence[Finding]) -> str:
    return ", ".join(sorted({finding.where.tensor or finding.expected or finding.message for finding in found})[:4])
