"""Which files of a directory are the checkpoint, as a loader takes them, and where they contradict each other.

A file that cannot be what it claims to be is an ArtifactError. What a loader would accept in silence is a finding: an
index beside a whole file, shards that no index names, tensors that the index names and no shard has, or two have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.checkpoints.safetensors_file import INDEX_FILE, SINGLE_FILE, TensorEntry, read_header
from harness.errors import ArtifactError
from harness.verify.companions.folder import LARGE, Folder, open_folder
from harness.verify.companions.stored import same_bytes
from harness.verify.companions.values import named, plain
from harness.verify.records import Finding, Severity

CONFIG_FILE = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
WEIGHTS = ".safetensors"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
HOW_TO_CONVERT = (
    "Pickles are never loaded: whoever trusts the file can save the model again with transformers, "
    "save_pretrained(DIR, safe_serialization=True)"
)

Role = Literal["base", "merged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint's directory, read without its numbers."""

    directory: Path
    role: Role
    entries: Mapping[str, TensorEntry] = field(repr=False)
    """The tensors that a loader would take, by name."""
    config: Mapping[str, Any] = field(repr=False)
    """config.json as it is; empty if a merged checkpoint lacks it."""
    findings: tuple[Finding, ...]
    files: tuple[str, ...]


class _Weights(NamedTuple):
    """What the files hold: every copy of every tensor, in the order in which a loader reads the files."""

    copies: Mapping[str, list[TensorEntry]]
    files: tuple[str, ...]
    findings: tuple[Finding, ...]


def open_checkpoint(
    directory: Path, *, role: Role = "merged", same_values: Callable[[TensorEntry, TensorEntry], bool] = same_bytes
) -> Checkpoint:
    """Read the headers and the configuration of the checkpoint in `directory`.

    Raises ArtifactError if there is none, if it holds pickles only, or if a file of it is malformed. What is wrong with
    the base is a warning at most: the merge did not do it. `same_values` compares tensors that are there twice.
    """
    folder = open_folder(directory)
    if CONFIG_FILE not in folder and role == "base":
        raise ArtifactError(f"there is no {CONFIG_FILE}", where=str(directory))
    config = folder.table(CONFIG_FILE)
    weights = _read_weights(folder)
    entries, duplicates = _choose(weights.copies, same_values)
    findings = [*weights.findings, *duplicates, *_leftovers(folder, weights.files, config)]
    if CONFIG_FILE not in folder:
        findings.append(_finding("config_mismatch", f"{CONFIG_FILE} is missing: nothing can load the checkpoint"))
    if role == "base":
        findings = [_softened(finding) for finding in findings]
    return Checkpoint(
        directory=directory, role=role, entries=entries, config=config, findings=tuple(findings), files=folder.files
    )


def _read_weights(folder: Folder) -> _Weights:
    """The files that a loader reads: the whole one before the index, as transformers' loading does it.

    transformers 4.57.6 to 5.23.0, modeling_utils.py, `_get_resolved_checkpoint_files`.
    """
    if SINGLE_FILE in folder:
        found = []
        if INDEX_FILE in folder:
            text = (
                f"{INDEX_FILE} lies beside {SINGLE_FILE}: transformers reads the whole file, others may read the shards"
            )
            found.append(_finding("index_mismatch", text))
        return _Weights(_headers(folder, [SINGLE_FILE]), (SINGLE_FILE,), tuple(found))
    if INDEX_FILE in folder:
        return _read_shards(folder)
    files = [name for name in folder.files if name.endswith(WEIGHTS) and not name.startswith("adapter_")]
    if not files:
        raise _no_weights(folder)
    text = f"there is neither {SINGLE_FILE} nor {INDEX_FILE}: transformers does not find {named(files)}"
    return _Weights(_headers(folder, files), tuple(files), (_finding("index_mismatch", text),))


def _read_shards(folder: Folder) -> _Weights:
    index = folder.table(INDEX_FILE, LARGE)
    weight_map = _weight_map(folder, index)
    files = sorted(set(weight_map.values()))
    copies = _headers(folder, files)
    findings = []
    absent = sorted(name for name in weight_map if name not in copies)
    if absent:
        text = f"{INDEX_FILE} names tensors that no shard has ({len(absent)}): {named(absent)}"
        findings.append(_finding("index_mismatch", text, tensor=absent[0]))
    elsewhere = sorted(
        name
        for name, file in weight_map.items()
        if name in copies and all(entry.path.name != file for entry in copies[name])
    )
    if elsewhere:
        text = f"{INDEX_FILE} names the wrong shard of tensors ({len(elsewhere)}): {named(elsewhere)}"
        findings.append(_finding("index_mismatch", text, tensor=elsewhere[0]))
    unlisted = sorted(set(copies) - set(weight_map))
    if unlisted:
        text = f"{INDEX_FILE} does not list tensors of its shards ({len(unlisted)}): {named(unlisted)}"
        findings.append(_finding("index_mismatch", text, tensor=unlisted[0]))
    return _Weights(copies, tuple(files), (*findings, *_check_metadata(index, copies)))


def _weight_map(folder: Folder, index: Mapping[str, Any]) -> dict[str, str]:
    where = str(folder.path / INDEX_FILE)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ArtifactError("index has no weight_map", where=where)
    for name, file in weight_map.items():
        # Plain names only, so that no map reaches outside its directory, on any system.
        if not isinstance(file, str) or file in ("", ".", "..") or set(file) & set("/\\:\0"):
            raise ArtifactError(f"index leads {plain(name)!r} out of the directory", where=where, got=plain(str(file)))
        if not file.endswith(WEIGHTS):
            raise ArtifactError(
                f"index names a file that is no {WEIGHTS}", where=where, got=plain(file), next_step=HOW_TO_CONVERT
            )
        if file not in folder:
            raise ArtifactError("index names a file that is not there", where=where, got=plain(file))
    return weight_map


def _check_metadata(index: Mapping[str, Any], copies: Mapping[str, list[TensorEntry]]) -> tuple[Finding, ...]:
    metadata = index.get("metadata")
    if not isinstance(metadata, dict):
        # utils/hub.py, get_checkpoint_shard_files: `index["metadata"]`, in every version up to 5.23.0.
        return (_finding("index_mismatch", f"{INDEX_FILE} has no metadata: transformers refuses to load it"),)
    held_bytes = sum(entry.stop - entry.start for entries in copies.values() for entry in entries[:1])
    stated = metadata.get("total_size")
    if stated is None or stated == held_bytes:
        return ()
    text = f"{INDEX_FILE} gives a total_size that the shards do not have"
    got = plain(str(stated)[:40])
    return (Finding(kind="index_mismatch", severity="warning", message=text, expected=str(held_bytes), got=got),)


def _headers(folder: Folder, files: list[str]) -> dict[str, list[TensorEntry]]:
    copies: dict[str, list[TensorEntry]] = defaultdict(list)
    for name in files:
        for entry in read_header(folder.checked(name)):
            copies[entry.name].append(entry)
    return dict(copies)


def _choose(
    copies: Mapping[str, list[TensorEntry]], same_values: Callable[[TensorEntry, TensorEntry], bool]
) -> tuple[dict[str, TensorEntry], list[Finding]]:
    """Of tensors that several files have, the last: loaders read the files by name, and later ones overwrite."""
    findings = []
    for name, entries in copies.items():
        if len(entries) == 1:
            continue
        files = named(entry.path.name for entry in entries)
        alike = all(same_values(entries[0], other) for other in entries[1:])
        severity: Severity = "warning" if alike else "error"
        text = f"is in {files}, with {'the same' if alike else 'different'} values"
        findings.append(_finding("tensor_duplicated", f"{plain(name)} {text}", tensor=name, severity=severity))
    return {name: entries[-1] for name, entries in copies.items()}, findings


def _leftovers(folder: Folder, read: tuple[str, ...], config: Mapping[str, Any]) -> list[Finding]:
    """Files beside the checkpoint that some loader takes for it, or for a part of it."""
    findings = []
    adapters = [name for name in folder.files if name.startswith("adapter_model")]
    stale = [name for name in folder.files if name.endswith(WEIGHTS) and name not in (*read, *adapters)]
    if stale:
        text = f"files that nothing names lie beside the weights: {named(stale)}; some loaders read every {WEIGHTS}"
        findings.append(_finding("index_mismatch", text))
    if ADAPTER_CONFIG in folder:
        # models/auto/auto_factory.py: with PEFT installed, 4.57 then loads `base_model_name_or_path` instead of these
        # weights; 5.23 loads these weights and puts the adapter on top of them, a second time.
        text = f"{ADAPTER_CONFIG} was left in the checkpoint: transformers with PEFT loads the adapter again"
        findings.append(_finding("index_mismatch", text, severity="warning"))
    elif adapters:
        text = f"adapter files were left in the checkpoint: {named(adapters)}"
        findings.append(_finding("index_mismatch", text, severity="note"))
    if explicit := config.get("transformers_weights"):
        text = f"{CONFIG_FILE} names its weights itself ({plain(str(explicit))}): transformers 5 reads that, 4 does not"
        findings.append(_finding("index_mismatch", text))
    return findings


def _no_weights(folder: Folder) -> ArtifactError:
    where = str(folder.path)
    if ADAPTER_CONFIG in folder or any(name.startswith("adapter_") for name in folder.files):
        return ArtifactError("is an adapter, and no checkpoint", where=where, expected=SINGLE_FILE)
    pickles = [name for name in folder.files if name.endswith(PICKLES)]
    if pickles:
        return ArtifactError(
            f"has its weights in pickles only: {named(pickles)}", where=where, next_step=HOW_TO_CONVERT
        )
    return ArtifactError(f"no *{WEIGHTS} file", where=where)


def _finding(kind: str, message: str, *, tensor: str = "", severity: Severity = "error") -> Finding:
    return Finding(kind=kind, severity=severity, message=message, tensor=tensor)


def _softened(finding: Finding) -> Finding:
    severity: Severity = "warning" if finding.severity == "error" else finding.severity
    return replace(finding, severity=severity, message=f"base: {finding.message}")
