"""Two experts of a layer change places, while the router stays as it is."""

from __future__ import annotations

from pathlib import Path

from cases.injecting import Scene, rewrite
from harness.checkpoints.safetensors_file import read_index, read_tensor
from harness.records.faults import Fault

FAULT = Fault(
    what="A conversion put experts in another order: the weights are all there, and each token goes to another expert.",
    source="pytorch/torchtitan#1918",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_wrong_values", "merged": "delta_wrong_values", "verify": "experts_permuted"},
)


def strike(scene: Scene) -> None:
    """Two experts' matrices are stored under each other's names."""
    layer = scene.layer_of("experts.")
    one, other = scene.draw.sample(range(scene.num_experts), 2)
    names = [scene.tensors("experts.", layer=layer, expert=expert) for expert in (one, other)]
    twin = dict(zip([*names[0], *names[1]], [*names[1], *names[0]], strict=True))

    def exchange(directory: Path) -> None:
        index = read_index(directory)
        held = {name: read_tensor(index[name]) for name in twin}
        rewrite(directory, list(twin), lambda name, _: held[twin[name]])

    scene.hits(*twin)
    scene.merged_saved(exchange)
