"""The models that stacks are measured on: families of `cases/` in other sizes, written as checkpoints that all load.

Must not know what will be measured on them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.checkpoints.base import draw
from harness.checkpoints.configs import effective_config
from harness.checkpoints.naming import tensor_table
from harness.checkpoints.safetensors_file import write_checkpoint
from harness.records.cases import AdapterSpec, Case, Family

ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
MLP = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
EXPERTS = ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")
PLAIN = {"use_sliding_window": False, "attention_bias": False}
"""As the published checkpoints of Qwen3 have it; the families of `cases/` switch on all they can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A size of a family."""

    family: str
    config: Mapping[str, Any] = field(default_factory=dict)
    """Overrides of the family's configuration."""
    modules: tuple[str, ...] = (*ATTENTION, *MLP)
    """What an adapter adapts: linear layers, by their paths in a decoder layer."""
    experts: tuple[str, ...] = ()
    """And fused experts, likewise."""


MODELS = {
    "dense": Model(
        family="qwen3",
        config=PLAIN
        | {"num_hidden_layers": 8, "hidden_size": 256, "intermediate_size": 768, "vocab_size": 1024}
        | {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 32},
    ),
    "moe": Model(
        family="qwen3_moe",
        config=PLAIN
        | {"num_hidden_layers": 4, "hidden_size": 64, "moe_intermediate_size": 48, "vocab_size": 1024}
        | {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16},
        modules=ATTENTION,
        experts=EXPERTS,
    ),
    "100m": Model(
        family="qwen3",
        config=PLAIN
        | {"num_hidden_layers": 12, "hidden_size": 768, "intermediate_size": 2304, "vocab_size": 10240}
        | {"num_attention_heads": 12, "num_key_value_heads": 6, "head_dim": 64},
    ),
    "tiny": Model(family="qwen3"),
    "tiny-moe": Model(family="qwen3_moe", modules=ATTENTION, experts=EXPERTS),
    **{
        f"{num_layers}-layers": Model(family="qwen3", config={"num_hidden_layers": num_layers})
        for num_layers in (4, 16, 48)
    },
}
"""By name, which is that of the checkpoint's folder too."""


def write_model(name: str, directory: Path, families: Mapping[str, Family]) -> None:
    """Write the checkpoint of `name` into `directory`, which is made: configuration and weights, float32."""
    model = MODELS[name]
    family = families[model.family]
    case = Case(
        name=name,
        why="to be measured",
        family=family.name,
        dtype="float32",
        trainer="loop",
        adapter=AdapterSpec(adapt=("attention",)),
        config=model.config,
    )
    config = effective_config(family, case)
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    tensors = {each.name: ("F32", draw(each, case.seed)) for each in tensor_table(family, config).values()}
    write_checkpoint(directory, tensors, shard_bytes=None)
