"""What a loader takes of a saved checkpoint, and where its files contradict each other: told, and never raised.

For what a stack under test has saved. Files are chosen as transformers chooses them (4.57.6 to 5.23.0,
modeling_utils.py, `_get_resolved_checkpoint_files`): the whole file before the index, then the shards that the index
names; each of them is read whole, wherever the index looks for a tensor.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from harness.checkpoints.safetensors_file import INDEX_FILE, SINGLE_FILE, TensorEntry, read_header, read_weight_map
from harness.errors import ArtifactError
from harness.records.jobs import Contradiction

ADAPTERS = "adapter_"
"""How files begin that are no part of the checkpoint beside them."""


class Taken(NamedTuple):
    """Tensors, not read yet, and what speaks against the files that they are in."""

    entries: dict[str, TensorEntry]
    contradictions: tuple[Contradiction, ...]


def take(directory: Path) -> Taken:
    """Every tensor that a loader would find in `directory`. Of those that two files have, the later file's."""
    weight_map: dict[str, str] = {}
    single, index = directory / SINGLE_FILE, directory / INDEX_FILE
    found: list[Contradiction] = []
    if index.exists():
        try:
            weight_map = read_weight_map(index)
        except ArtifactError as error:
            found.append(unreadable(error, INDEX_FILE))
    present = {path.name for path in directory.glob("*.safetensors") if not path.name.startswith(ADAPTERS)}
    if single.exists():
        files = {SINGLE_FILE}
        if index.exists():
            text = f"{INDEX_FILE} lies beside {SINGLE_FILE}: loaders take the whole file, and no shard"
            found.append(Contradiction(kind="index_mismatch", message=text, file=SINGLE_FILE))
    else:
        files = set(weight_map.values())
        if not index.exists():
            text = f"there is neither {SINGLE_FILE} nor {INDEX_FILE}"
            found.append(Contradiction(kind="file_missing", message=text, file=SINGLE_FILE))
        for name in sorted(files - present):
            text = f"{INDEX_FILE} names {name}, which is not there"
            found.append(Contradiction(kind="index_mismatch", message=text, file=name))
    for name in sorted(present - files - set(weight_map.values())):
        text = f"{name} lies beside the weights, and nothing names it"
        found.append(Contradiction(kind="index_mismatch", message=text, file=name))
    entries, doubled = _collect(directory, sorted(files & present))
    read = {entry.path.name for entry in entries.values()}
    misled = [] if single.exists() else _misled(weight_map, entries, read)
    return Taken(entries, (*found, *doubled, *misled))


def unreadable(error: ArtifactError, file: str, tensor: str = "") -> Contradiction:
    """That our reader refuses a file, or a tensor of it."""
    return Contradiction(kind="file_unreadable", message=str(error), tensor=tensor, file=file)


def _collect(directory: Path, files: list[str]) -> tuple[dict[str, TensorEntry], list[Contradiction]]:
    entries: dict[str, TensorEntry] = {}
    found = []
    for name in files:
        try:
            header = read_header(directory / name)
        except ArtifactError as error:
            found.append(unreadable(error, name))
            continue
        for entry in header:
            if entry.name in entries:
                text = f"{entry.name} is in {entries[entry.name].path.name} and in {name}"
                found.append(Contradiction(kind="tensor_duplicated", message=text, tensor=entry.name, file=name))
            entries[entry.name] = entry
    return entries, found


def _misled(weight_map: dict[str, str], entries: dict[str, TensorEntry], read: set[str]) -> list[Contradiction]:
    """Where the index does not say what the shards hold; of those that could not be read somebody else tells."""
    found = []
    for name in sorted(weight_map.keys() | entries.keys()):
        says = weight_map.get(name)
        lies = entries[name].path.name if name in entries else None
        if says != lies and (lies or says in read):
            text = f"{INDEX_FILE} looks for {name} in {says or 'no file'}, and it is in {lies or 'no shard'}"
            found.append(Contradiction(kind="index_mismatch", message=text, tensor=name, file=lies or str(says)))
    return found
