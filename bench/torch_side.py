"""`python -m bench.torch_side`: the measured process of transformers and PEFT, run by the newest row's interpreter.

Does the work as a user writes it, with the libraries' defaults.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.utils import logging

from bench.serving import Task, serve
from bench.work import Decode, Step


def make_task(work: Decode | Step) -> Task:
    """`work`, ready to be done."""
    return _decode(work) if isinstance(work, Decode) else _step(work)


def _decode(work: Decode) -> Task:
    model = _load(work.checkpoint).eval()
    # The checkpoint's own settings would fill in what is left out here: its stop token, for one.
    model.generation_config = GenerationConfig(
        max_new_tokens=work.num_new, do_sample=False, eos_token_id=None, pad_token_id=model.config.pad_token_id
    )
    prompts = torch.tensor(work.prompts)
    mask = torch.ones_like(prompts)

    def run() -> list[list[int]]:
        tokens: list[list[int]] = model.generate(prompts, attention_mask=mask)[:, prompts.shape[1] :].tolist()
        return tokens

    return Task(run)


def _step(work: Step) -> Task:
    torch.manual_seed(0)
    model = _load(work.checkpoint)
    if work.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.config.use_cache = False
    options = {"target_parameters": list(work.experts)} if work.experts else {}
    lora = LoraConfig(r=work.rank, lora_alpha=2 * work.rank, target_modules=list(work.modules), **options)
    adapted = get_peft_model(model, lora).train()
    trainable = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-3, weight_decay=0.0)
    sequences = torch.tensor(work.sequences)

    def run() -> float:
        loss = adapted(input_ids=sequences, labels=sequences).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return Task(run)


def _load(checkpoint: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, local_files_only=True)


if __name__ == "__main__":
    logging.disable_progress_bar()
    serve(make_task)
