"""The adapter is saved before the optimizer's last step, and the model is merged after it."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A save hook ran between the last backward pass and the last step, so adapter and merge are one step apart.",
    source="axolotl-ai-cloud/axolotl pull request 1573 (what is saved is not what training ended with)",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"lora": "delta_wrong_values", "verify": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """One step."""
    num_steps = 1
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
