"""The two trainers: a plain loop, and TRL's SFTTrainer. Both memorise the case's sequences in full batches.

Losses of different TRL versions are scaled differently, so they are recorded and never compared across cells.
"""

from __future__ import annotations

import math
import tempfile
from typing import Any

import torch

from harness.records.cases import Case
from reference.data import Tokens
from reference.torch_peft.adapting import adapt


def train_loop(model: Any, lora: Any, case: Case, tokens: Tokens) -> tuple[Any, list[float]]:
    """AdamW on the mean token loss; returns the adapted model and the finite losses before each step.

    A training that diverges is shown by its logits, which are counted where they are not numbers.
    """
    adapted = adapt(model, lora, case)
    adapted.train()
    batch = torch.from_numpy(tokens.sequences_BT)
    trainable = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=case.learning_rate, weight_decay=0.0, foreach=True)
    losses = []
    for _ in range(case.steps):
        loss = adapted(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    adapted.eval()
    return adapted, [loss for loss in losses if math.isfinite(loss)]


def train_trl(model: Any, lora: Any, case: Case, tokens: Tokens, tokenizer: Any) -> tuple[Any, list[float]]:
    """The same data through `SFTTrainer`, offline, as its documentation says; returns the model and logged losses."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    sequences = tokens.sequences_BT.tolist()
    with tempfile.TemporaryDirectory() as scratch:
        arguments = SFTConfig(
            output_dir=scratch,
            max_steps=case.steps,
            per_device_train_batch_size=len(sequences),
            learning_rate=case.learning_rate,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            logging_steps=1,
            seed=case.seed,
            use_cpu=True,
            bf16=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            gradient_checkpointing=False,
            max_length=len(sequences[0]),
            # The loss is the cross-entropy in every row: TRL 1.16 adds the experts' balance unless it is told not to.
            **({"router_aux_loss_coef": 0.0} if "router_aux_loss_coef" in SFTConfig.__dataclass_fields__ else {}),
        )
        balance = getattr(model.config, "router_aux_loss_coef", None)
        trainer = SFTTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict({"input_ids": sequences}),
            processing_class=tokenizer,
            peft_config=lora,
        )
        trainer.train()
    if balance is not None:
        model.config.router_aux_loss_coef = balance  # the trainer writes there what it was told
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    adapted = trainer.model
    adapted.eval()
    return adapted, [loss for loss in losses if math.isfinite(loss)]
