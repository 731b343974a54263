"""The loader transposes an embedding that is square, so that its shape says nothing."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A loader that transposes every matrix transposes the embedding too. Its shape gives it away, unless there "
    "are as many words as features: then each token silently gets one feature of all of them.",
    source='NovaSky-AI/SkyRL tx: `if "embed_tokens" in key` decides (seeds 001 and 004)',
    place="stack",
    form="merged",
    cases=("qwen3_moe-float32-loop-square_embedding", "qwen3_moe-bfloat16-loop-square_embedding"),
    row="jax",
    names={"merged": "passthrough_changed"},
)


def strike(scene: Scene) -> None:
    """The embedding's axes are exchanged on the way into the model."""
    names = scene.tensors("embedding")
    scene.hits(*names)
    scene.jax_loads(names, lambda values: values.T)
