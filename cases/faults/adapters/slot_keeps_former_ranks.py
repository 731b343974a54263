"""A slot that held a wider adapter is filled again, and the former ranks stay behind the new ones."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Only the first `rank` columns of a slot were written when an adapter was loaded into it, and nothing cleared "
    "the rest, which the next forward pass multiplied in.",
    source="NovaSky-AI/SkyRL: load_lora_checkpoint writes slices of a slot (seeds 000); reusing slots was mended in "
    "pull request 852",
    place="stack",
    form="lora",
    cases=("qwen3_moe-float32-loop-patterns", "qwen3_moe-bfloat16-loop-patterns"),
    row="jax",
    names={"lora": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """The former adapter had the slot's full rank in every module; what is as wide itself shows nothing of it."""

    def wrapper(insert: Any) -> Any:
        def call(slots: Any, slot: int, adapter: Any) -> None:
            import numpy as np

            from reference.jax_stacked.slots import _rooms

            insert(slots, slot, adapter)
            random = np.random.default_rng(scene.draw.randrange(2**32))
            for path, factors in adapter.factors.items():
                room, rank = _rooms(slots.model)[path], factors.rank
                A, B = (np.array(view.value[slot]) for view in (room.A, room.B))
                A[..., rank:] = random.normal(0.0, 0.1, A[..., rank:].shape)
                B[..., rank:, :] = random.normal(0.0, 0.1, B[..., rank:, :].shape)
                room.A.write(A, (slot,))
                room.B.write(B, (slot,))

        return call

    scene.hits(*(name for name in scene.adapted() if ".v_proj." not in name))
    scene.patch("reference.jax_stacked.slots:Slots.insert", wrapper)
