"""A reload of an adapter looks for layers by number where they are called by text, and finds none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Paths of a state were compared with texts, and their entries were no texts: what was looked for was "
    "silently not there, and the factors of every layer stayed as they were in the empty slot.",
    source="NovaSky-AI/SkyRL #1079: review of the checks for keys within nnx paths (seeds 001)",
    place="stack",
    form="lora",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    row="jax",
    names={"lora": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """A slot takes those factors alone whose path has no number in it."""

    def compared(insert: Callable[..., None]) -> Callable[..., None]:
        def insert_found(slots: Any, slot: int, adapter: Any) -> None:
            held = {_entries(path): path for path in adapter.factors}
            found = {path: adapter.factors[path] for entries, path in held.items() if tuple(path.split(".")) == entries}
            insert(slots, slot, replace(adapter, factors=found))

        return insert_found

    scene.hits(*scene.adapted())
    scene.patch("reference.jax_stacked.slots:Slots.insert", compared)


def _entries(path: str) -> tuple[str | int, ...]:
    """A path as the state has it: layers are numbers."""
    return tuple(int(entry) if entry.isdecimal() else entry for entry in path.split("."))
