"""The loader reshapes attention's output projection to the shape it needs, where it should have transposed it."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Weights are stored (out, in) and wanted (heads, head_dim, out). A loader that reshapes to that, where it "
    "should have transposed, gets the right shape and scattered values.",
    source="nntile/nntile #402, review of T5's output weight; NovaSky-AI/SkyRL tx reshapes o_proj on its way too",
    place="stack",
    form="merged",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    row="jax",
    names={"merged": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """The output projection, of every layer."""
    names = [name for name in scene.tensors("attention") if ".o_proj." in name]
    scene.hits(*names)
    # The stack transposes what it is given, so this is held as `stored.reshape(in, out)`.
    scene.jax_loads(names, lambda values_OI: values_OI.reshape(values_OI.shape[::-1]).T)
