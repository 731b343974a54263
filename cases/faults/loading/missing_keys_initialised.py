"""A tensor was not saved, and every reload draws it anew."""

from __future__ import annotations

from cases.injecting import Scene
from harness.checkpoints.safetensors_file import Writable
from harness.records.faults import Fault

FAULT = Fault(
    what="A checkpoint lacks a module's weight; from_pretrained fills it with fresh random numbers and mentions it "
    "in a warning, and the model answers as if it had never been trained.",
    source="huggingface/transformers: `newly initialized` in the log alone, measured: docs/facts.md (KL 1.29, 5 -> "
    "4.57)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "tensor_missing", "merged": "keys_missing", "verify": "tensor_missing"},
)


def strike(scene: Scene) -> None:
    """A router, a norm, a projection or a bias of one layer is left out of the file."""
    roles = ("attention", "bias", "norm", "router")
    name = scene.pick(scene.tensors(*roles, layer=scene.layer_of(*roles)))

    def leave_out(tensors: dict[str, Writable]) -> None:
        del tensors[name]

    scene.hits(name)
    scene.merged_saved(lambda directory: scene.edit_tensors(directory, leave_out))
