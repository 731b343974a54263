"""Load models the way a user does, and write down what the loader said.

Owns the process settings (threads, determinism). Knows nothing of cases or verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from harness.records.cases import Family
from harness.records.jobs import FieldValue, LoadReport
from reference.companions import compare_generation
from reference.fields import compare_fields
from reference.rotary import compare_frequencies


def prepare_process(seed: int) -> None:
    """One thread and one seed: two threads are slower here, and results must not depend on the machine's cores."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.manual_seed(seed)


def load_model(directory: Path, dtype: str) -> tuple[PreTrainedModel, LoadReport]:
    """The checkpoint in `directory` as a causal language model of `dtype`, and the keys that did not match."""
    model, info = AutoModelForCausalLM.from_pretrained(
        directory, dtype=getattr(torch, dtype), output_loading_info=True, local_files_only=True
    )
    report = LoadReport(
        missing=tuple(sorted(info["missing_keys"])),
        unexpected=tuple(sorted(info["unexpected_keys"])),
        mismatched=tuple(sorted(str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"])),
    )
    model.eval()
    return model, report


def load_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """The tokenizer beside a checkpoint."""
    return AutoTokenizer.from_pretrained(directory, local_files_only=True)


def compare_held(base: Path, config: Mapping[str, Any], family: Family, model: Any) -> tuple[FieldValue, ...]:
    """What `base` declares (`config` is its own) against what a live model, or PEFT's wrapper of one, holds."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    fields = compare_fields(config, family.aliases, fields_of(inner.config))
    frequencies = compare_frequencies(fields, inner.model.rotary_emb.inv_freq.detach().double().numpy())
    held = inner.generation_config
    return (*fields, frequencies, *compare_generation(base, lambda name: getattr(held, name, None)))


def fields_of(config: PretrainedConfig) -> Callable[[str], Any]:
    """What a loaded configuration holds at a (dotted) place; None if it is not there."""
    held = config.to_dict()

    def look(place: str) -> Any:
        head, *rest = place.split(".")
        value = getattr(config, head, held.get(head))
        for key in rest:
            value = value.get(key) if isinstance(value, Mapping) else None
        return str(value).removeprefix("torch.") if isinstance(value, torch.dtype) else value

    return look
