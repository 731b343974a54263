"""A base checkpoint and an adapter on it, saved as a user's own script would."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from tests.verify.real_releases.models import ALPHA, GENERATION, SEED, STD, TinyModel

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]


def make_base(tiny: TinyModel, directory: Path) -> None:
    """Save random weights of `tiny` in `directory`."""
    torch.manual_seed(SEED)
    config = AutoConfig.for_model(tiny.model_type, **tiny.config)
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, tiny.dtype))
    model.generation_config.update(**GENERATION)
    model.save_pretrained(directory)


def make_adapter(tiny: TinyModel, base: Path, directory: Path) -> PeftModel:
    """The base with an adapter whose every factor is random; the adapter is saved in `directory`."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, tiny.dtype))
    adapted = get_peft_model(
        model,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=tiny.rank,
            lora_alpha=ALPHA,
            target_modules=ATTENTION,
            target_parameters=list(tiny.target_parameters) or None,
        ),
    )
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(0.0, STD, generator=generator)
    adapted.save_pretrained(directory)
    return adapted
