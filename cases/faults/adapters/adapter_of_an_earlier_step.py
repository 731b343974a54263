"""The saved adapter is that of some steps before the end."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Training ended without saving the adapter once more, and the directory that was merged or shipped held the "
    "last checkpoint's.",
    source="axolotl-ai-cloud/axolotl pull request 1573 (save the adapter at the end of training)",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"lora": "delta_wrong_values", "verify": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """Between three and nine steps."""
    num_steps = scene.pick(range(3, 10))
    factors: list[list[tuple[Any, Any]]] = []

    def remember(optimizer: Any, *_: Any) -> None:
        factors.append([(each, each.detach().clone()) for each in optimizer.param_groups[0]["params"]])

    def watch(_returned: Any, optimizer: Any, *_: Any, **__: Any) -> None:
        optimizer.register_step_post_hook(remember)

    def wrapper(save: Any) -> Any:
        def call(*arguments: Any) -> None:
            earlier = factors[-1 - num_steps]
            held = [each.data for each, _ in earlier]
            for each, values in earlier:
                each.data = values
            save(*arguments)
            for (each, _), data in zip(earlier, held, strict=True):
                each.data = data

        return call

    scene.hits(*scene.adapted())
    scene.after("torch.optim.adamw:AdamW.__init__", watch)
    scene.patch("reference.torch_peft.writing:save_adapter", wrapper)
