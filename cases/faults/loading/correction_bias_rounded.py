"""The float32 correction bias of the routers is loaded as bfloat16, and saved so."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="e_score_correction_bias is float32 in checkpoints whose other weights are bfloat16. A model that does not "
    "say so rounds it on loading, and near ties tokens go to other experts.",
    source="huggingface/transformers 4.57, mended in #42580; vllm-project/vllm #23640; measured: docs/facts.md",
    place="stack",
    cases=("deepseek_v3-bfloat16-loop",),
    only="a model in float32 rounds nothing",
    names={"write": "passthrough_changed", "merged": "passthrough_changed", "verify": "dtype_changed"},
)
MODEL = "transformers.models.deepseek_v3.modeling_deepseek_v3:DeepseekV3PreTrainedModel"


def strike(scene: Scene) -> None:
    """The class no longer lists it among what stays float32."""

    def none(_kept: Any) -> list[str]:
        return []

    scene.hits(*scene.tensors("router_bias"))
    scene.patch(f"{MODEL}._keep_in_fp32_modules_strict", none)
