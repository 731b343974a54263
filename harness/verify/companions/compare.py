"""All that lies beside the weights of two checkpoints, compared: the one place that names every part."""

from __future__ import annotations

from pathlib import Path

from harness.verify.companions.checkpoint import Checkpoint, open_checkpoint
from harness.verify.companions.configs import compare_configs
from harness.verify.companions.folder import open_folder
from harness.verify.companions.generation import compare_generation
from harness.verify.companions.stored import same_bytes
from harness.verify.companions.ties import SameValues, compare_ties
from harness.verify.companions.tokenizer import compare_tokenizers
from harness.verify.records import Finding

FLOATS = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}
"""Stored dtypes as configurations spell them."""


def compare_companions(base: Path, merged: Path, *, same_values: SameValues = same_bytes) -> tuple[Finding, ...]:
    """What of `merged`, other than its weights, a reload would find otherwise than in `base`.

    Raises ArtifactError if a file cannot be read as what it claims to be. `same_values` compares two stored tensors.
    """
    return compare_checkpoints(
        open_checkpoint(base, role="base", same_values=same_values),
        open_checkpoint(merged, same_values=same_values),
        same_values=same_values,
    )


def compare_checkpoints(
    base: Checkpoint, merged: Checkpoint, *, same_values: SameValues = same_bytes
) -> tuple[Finding, ...]:
    """As `compare_companions`, of checkpoints that are open; their own findings come first."""
    base_folder, merged_folder = open_folder(base.directory), open_folder(merged.directory)
    stored = frozenset(FLOATS[entry.dtype] for entry in merged.entries.values() if entry.dtype in FLOATS)
    findings = [*base.findings, *merged.findings]
    if merged.config:
        findings += compare_configs(base.config, merged.config, stored_dtypes=stored)
        findings += compare_ties(base, merged, same_values=same_values)
    findings += compare_generation(base_folder, merged_folder)
    findings += compare_tokenizers(base_folder, merged_folder)
    return tuple(findings)
