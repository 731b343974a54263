"""A tiny mixture of experts in transformers 5, and adapters for it, by a release of PEFT that is imported.

Executed apart, before the calls of a canary: torch and transformers are there, and the release is on the path.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from harness.canaries.inside import tensor

torch.set_num_threads(1)

HEADS, HEAD_DIM = 2, 4
Factors = tuple[Any, Any]
"""A [E * r, I] and B [E * O, r], each expert's own one below the other, as nested lists."""


class Stack(torch.nn.Module):
    """Two Linears, and a parameter of another module."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(4, 5)
        self.second = torch.nn.Linear(5, 6)
        self.third = torch.nn.Module()
        self.third.weight = torch.nn.Parameter(torch.zeros(3, 4))


def mixture(experts: int, inner: int, hidden: int, dtype: str = "float32") -> Any:
    """A Qwen3-MoE of one layer, whose experts are fused."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "qwen3_moe", vocab_size=32, hidden_size=hidden, intermediate_size=inner, moe_intermediate_size=inner,
        num_hidden_layers=1, num_attention_heads=HEADS, num_key_value_heads=1, head_dim=HEAD_DIM, num_experts=experts,
        num_experts_per_tok=2,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))


def saved_before_fusion(
    hidden: int, rank: int, alpha: int, targets: Any, dtype: str = "float32", **projections: Factors
) -> str:
    """The folder of an adapter as transformers 4 has it: of q_proj, and of `projections` of each expert by itself."""
    folder = Path(tempfile.mkdtemp())
    factors = {"self_attn.q_proj": (torch.randn(rank, hidden), torch.randn(HEADS * HEAD_DIM, rank))}
    for projection, (a, b) in projections.items():
        num_experts = len(a) // rank
        for number, each in enumerate(zip(tensor(a).chunk(num_experts), tensor(b).chunk(num_experts), strict=True)):
            factors[f"mlp.experts.{number}.{projection}"] = each
    tensors = {
        f"base_model.model.model.layers.0.{name}.lora_{letter}.weight": value.to(getattr(torch, dtype)).contiguous()
        for name, pair in factors.items()
        for letter, value in zip("AB", pair, strict=True)
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "none", "r": rank, "bias": "none",
        "lora_alpha": alpha, "lora_dropout": 0.0, "inference_mode": True, "target_modules": targets,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(folder)


def deltas(folder: str, experts: int, inner: int, hidden: int, dtype: str = "float32") -> dict[str, Any]:
    """What the adapter of a folder adds to the weights of the experts [E, O, I]: gate_proj, up_proj, down_proj."""
    model = mixture(experts, inner, hidden, dtype)
    block = model.model.layers[0].mlp.experts
    before = (block.gate_up_proj.detach().clone(), block.down_proj.detach().clone())
    block = peft.PeftModel.from_pretrained(model, folder).merge_and_unload().model.layers[0].mlp.experts
    gate, up = (block.gate_up_proj.detach() - before[0]).chunk(2, dim=1)
    return {"gate_proj": gate, "up_proj": up, "down_proj": block.down_proj.detach() - before[1]}


def adapt(**targets: Any) -> Any:
    """A Stack with LoRA."""
    return peft.get_peft_model(Stack(), peft.LoraConfig(r=2, **targets))


def num_adapted(model: Any, adapter: str = "default") -> int:
    """The layers with factors of an adapter."""
    return sum(adapter in getattr(module, "lora_A", ()) for module in model.modules())


def is_told(what: str, do: Callable[[], object], kinds: Sequence[type[Exception]] = (ValueError, RuntimeError)) -> bool:
    """Whether an error is raised, or a warning given, that names `what`."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            do()
        except tuple(kinds) as error:
            return what in str(error)
    return any(what in str(each.message) for each in told)
