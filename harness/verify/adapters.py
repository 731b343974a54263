"""Reading a PEFT adapter's directory without its numbers: each pair of factors, each whole tensor, and what PEFT drops.

Owns the directory: every tensor of its file ends as part of a pair, as a whole tensor, or as an unread key with its
reason; what is malformed is one ArtifactError. Must not know the base: where a module's weight lies, and whether it has
one at all, is told elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from harness.checkpoints.safetensors_file import TensorEntry, read_header
from harness.errors import ArtifactError
from harness.verify.adapter_config import CONFIG_FILE, read_config
from harness.verify.adapter_keys import FactorKey, StrayKey, parse_key
from harness.verify.adapter_pairs import Group, Stray, pair_up
from harness.verify.adapter_targets import is_targeted
from harness.verify.companions.folder import Folder, open_folder
from harness.verify.records import Adapter, AdapterConfig, Finding, UnreadKey, WholeTensor

__all__ = ["is_targeted", "read_adapter"]

WEIGHTS_FILE = "adapter_model.safetensors"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|blocks|h)\.(\d+)\.")
_EXPERT = re.compile(r"\.experts\.(\d+)\.")
_NUMBER = re.compile(r"(\d+)")


class Contents(NamedTuple):
    """A file's tensors by what their names say."""

    groups: list[Group]
    whole: list[WholeTensor]
    strays: list[Stray]
    unwrapped: list[str]
    """Keys that were read without the names of wrappers in them."""


def read_adapter(directory: Path) -> Adapter:
    """The adapter in `directory`. Raises ArtifactError for whatever is missing, malformed or contradicts itself.

    Pairs, whole tensors and unread keys are in the order of their names, with numbers as numbers.
    """
    folder = open_folder(directory)
    config, findings = read_config(folder)
    entries = _read_entries(folder)
    contents = _sort_out(entries, config)
    paired = pair_up(contents.groups, config, where=str(directory / CONFIG_FILE))
    strays = sorted([*contents.strays, *paired.strays], key=lambda stray: _natural(stray.key))
    return Adapter(
        directory=directory,
        config=config,
        pairs=tuple(sorted(paired.pairs, key=lambda pair: (_natural(pair.module), pair.depth))),
        whole=tuple(sorted(contents.whole, key=lambda tensor: _natural(tensor.name))),
        unread=tuple(UnreadKey(key=stray.key, reason=stray.why.reason) for stray in strays),
        findings=(
            *findings,
            *_wrapper_findings(contents.unwrapped),
            *(_stray_finding(stray) for stray in strays),
            *paired.findings,
        ),
    )


def _read_entries(folder: Folder) -> tuple[TensorEntry, ...]:
    if WEIGHTS_FILE in folder:
        path = folder.checked(WEIGHTS_FILE)
        if entries := read_header(path):
            return entries
        raise ArtifactError("holds no tensor", where=str(path))
    if pickles := [name for name in folder.files if name.endswith(PICKLES)]:
        raise ArtifactError(
            "its weights are a pickle, which may run any program, and is never loaded",
            where=str(folder.path / pickles[0]),
            expected=WEIGHTS_FILE,
            next_step="Load it with PEFT where that is safe, and save it with safe_serialization=True.",
        )
    raise ArtifactError(f"no {WEIGHTS_FILE}", where=str(folder.path))


def _sort_out(entries: Iterable[TensorEntry], config: AdapterConfig) -> Contents:
    groups: dict[tuple[str, int], Group] = {}
    whole: dict[str, WholeTensor] = {}
    strays: list[Stray] = []
    unwrapped = []
    for entry in entries:
        meaning = parse_key(entry.name, where=str(entry.path))
        if isinstance(meaning, StrayKey):
            strays.append(Stray(entry.name, meaning))
            continue
        if isinstance(meaning, FactorKey):
            place = (meaning.module, meaning.depth)
            held = groups.setdefault(place, Group(*place, {})).entries.setdefault(meaning.part, entry)
        else:
            tensor = WholeTensor(name=meaning.name, entry=entry, why=_why_whole(meaning.name, config))
            held = whole.setdefault(meaning.name, tensor).entry
        if held is not entry:
            raise ArtifactError("two tensors mean the same", where=str(entry.path), got=f"{held.name}, {entry.name}")
        if meaning.unwrapped:
            unwrapped.append(entry.name)
    strays = [_without_twin(stray, whole) for stray in strays]
    return Contents(list(groups.values()), list(whole.values()), strays, unwrapped)


def _without_twin(stray: Stray, whole: Mapping[str, WholeTensor]) -> Stray:
    """With resized embeddings PEFT saves a module of modules_to_save twice, and reads it once."""
    if stray.why.twin not in whole:
        return stray
    return Stray(stray.key, StrayKey(f"a second copy of {stray.why.twin}, which PEFT does not read", "note"))


def _why_whole(name: str, config: AdapterConfig) -> Literal["modules_to_save", "bias", "embedding"]:
    """PEFT takes modules_to_save for endings of paths, with or without a dot before them (`_set_trainable`).

    What is no bias is called an embedding, as the only other weights that PEFT writes are those of embeddings and
    heads; it reads any other too.
    """
    parts = name.split(".")
    owners = (".".join(parts[:count]) for count in range(1, len(parts)))
    if config.modules_to_save and any(owner.endswith(config.modules_to_save) for owner in owners):
        return "modules_to_save"
    return "bias" if parts[-1].endswith("bias") else "embedding"


def _wrapper_findings(unwrapped: list[str]) -> list[Finding]:
    if not unwrapped:
        return []
    message = (
        f"{len(unwrapped)} tensors were saved through a wrapper (another PeftModel, or parallel or compiled modules), "
        "whose name is left out here; PEFT on the base itself would drop them without a word"
    )
    return [Finding(kind="adapter_key_wrapped", severity="warning", message=message, tensor=unwrapped[0])]


def _stray_finding(stray: Stray) -> Finding:
    return Finding(
        kind="adapter_key_unmatched",
        severity=stray.why.severity,
        message=stray.why.reason,
        tensor=stray.key,
        layer=_number(_LAYER, stray.key),
        expert=_number(_EXPERT, stray.key),
    )


def _number(place: re.Pattern[str], key: str) -> int | None:
    match = place.search(key)
    return int(match[1]) if match else None


def _natural(name: str) -> list[tuple[str, int]]:
    """Sorts layers.2 before layers.10."""
    parts = [*_NUMBER.split(name), ""]
    return [(text, int(number or -1)) for text, number in zip(parts[::2], parts[1::2], strict=True)]
