"""A module that was trained whole is in the adapter, and a reload leaves base's in its place."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Names of modules_to_save were not translated when the adapter was loaded through the model's class, so the "
    "trained head was left out in silence.",
    source="huggingface/transformers pull request 48595; huggingface/sentence-transformers issue 3980",
    place="stack",
    form="lora",
    cases=("qwen3-float32-loop-modules_to_save", "qwen3-bfloat16-loop-modules_to_save"),
    names={"lora": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """It is set up as a copy of base's, and nothing is loaded into it."""

    def forget(model: Any, *_: Any, **__: Any) -> Any:
        from peft.utils.other import ModulesToSaveWrapper

        for module in model.modules():
            if isinstance(module, ModulesToSaveWrapper):
                for copy in module.modules_to_save.values():
                    copy.load_state_dict(module.original_module.state_dict())
        return model

    scene.hits(*scene.tensors("head"))
    scene.after("peft.peft_model:PeftModel.from_pretrained", forget)
