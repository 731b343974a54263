"""Greedy `generate` from left-padded prompts of several lengths, with a stop token that ends one of them early.

Suffixes: `S` samples, `P` prompt tokens, `N` new tokens, `V` vocabulary.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig

from tests.reference.jax_stacked.torch_side.forward import sequences_of

PROMPT_LENGTHS = (6, 4, 9)
NEW_TOKENS = 12
STOP_STEPS = (4, 5, 3, 6, 2, 7, 1, 8)
"""Steps at which a sample may stop early, the best first."""
PADDED = -1


def record_generation(model: Any, directory: Path) -> None:
    """Write `generation.npz` and `generation.json`."""
    config = model.config.to_dict()
    sequences_BT = sequences_of(config)
    prompts_SP = np.full((len(PROMPT_LENGTHS), max(PROMPT_LENGTHS)), config["pad_token_id"], np.int64)
    mask_SP = np.zeros_like(prompts_SP)
    for row, length in enumerate(PROMPT_LENGTHS):
        prompts_SP[row, -length:] = sequences_BT[row, :length]
        mask_SP[row, -length:] = 1
    endless_SN, _ = _generate(model, prompts_SP, mask_SP, None)
    row, step = _early_stop(endless_SN)
    eos = int(endless_SN[row, step])
    tokens_SN, logits_SNV = _generate(model, prompts_SP, mask_SP, eos)
    top_SN2 = np.sort(logits_SNV.astype(np.float64), axis=-1)[..., -2:]
    np.savez(
        directory / "generation.npz",
        prompts_SP=prompts_SP,
        attention_mask_SP=mask_SP,
        tokens_SN=tokens_SN,
        logits_SNV=logits_SNV,
        margins_SN=top_SN2[..., 1] - top_SN2[..., 0],
    )
    setup = {
        "prompt_lengths": list(PROMPT_LENGTHS),
        "new_tokens": NEW_TOKENS,
        "eos_token_id": eos,
        "pad_token_id": config["pad_token_id"],
        "stopped_row": row,
        "stopped_step": step,
    }
    (directory / "generation.json").write_text(json.dumps(setup, indent=2) + "\n", encoding="utf-8")


def _generate(model: Any, prompts_SP: np.ndarray, mask_SP: np.ndarray, eos: int | None) -> tuple[Any, Any]:
    """The new tokens and the logits that chose them: padding and zeros after the stop token."""
    settings = {"do_sample": False, "max_new_tokens": NEW_TOKENS, "pad_token_id": model.config.pad_token_id}
    model.generation_config = GenerationConfig(eos_token_id=eos, **settings)
    out = model.generate(
        input_ids=torch.from_numpy(prompts_SP),
        attention_mask=torch.from_numpy(mask_SP),
        output_logits=True,
        return_dict_in_generate=True,
    )
    tokens_SN = out.sequences[:, prompts_SP.shape[1] :].numpy().copy()
    logits_SNV = torch.stack(out.logits, dim=1).numpy().copy()
    if tokens_SN.shape[1] != NEW_TOKENS:
        raise ValueError(f"generate stopped after {tokens_SN.shape[1]} of {NEW_TOKENS} tokens")
    for row, sample in enumerate(tokens_SN):
        stops = np.flatnonzero(sample == eos)
        if len(stops):
            tokens_SN[row, stops[0] + 1 :] = PADDED
            logits_SNV[row, stops[0] + 1 :] = 0
    return tokens_SN, logits_SNV


def _early_stop(tokens_SN: np.ndarray) -> tuple[int, int]:
    """A sample and a step at which it makes a token that it has not made before, and that no other sample makes."""
    for step in STOP_STEPS:
        for row, sample in enumerate(tokens_SN):
            others = np.delete(tokens_SN, row, axis=0)
            if sample[step] not in others and sample[step] not in sample[:step]:
                return row, step
    raise ValueError(f"no token would stop one sample alone: {tokens_SN.tolist()}")
