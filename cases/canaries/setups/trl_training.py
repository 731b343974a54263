"""What a release's SFTTrainer gives a model, and what it makes of a dataset.

Executed apart, before the calls of a canary: torch, transformers, datasets and PEFT are there, and the release is on
the path.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import trl
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from tokenizers import Tokenizer, models
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

torch.set_num_threads(1)
disable_progress_bar()

NUM_TOKENS = 100


def sequences(*lengths: int, start: int = 3) -> list[list[int]]:
    """Sequences of these lengths, each of numbers that follow each other; no two sequences do."""
    found = []
    for length in lengths:
        found.append(list(range(start, start + length)))
        start += length + 1
    return found


def batch(lengths: Sequence[int], **settings: Any) -> dict[str, Any]:
    """The one batch that a model gets of sequences of these lengths."""
    config = AutoConfig.for_model(
        "llama", vocab_size=NUM_TOKENS, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=4,
    )  # fmt: skip
    words = Tokenizer(models.WordLevel({str(number): number for number in range(NUM_TOKENS)}, unk_token="0"))
    trainer = trl.SFTTrainer(
        model=AutoModelForCausalLM.from_config(config),
        args=trl.SFTConfig(
            output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, report_to="none", save_strategy="no",
            per_device_train_batch_size=len(lengths), disable_tqdm=True, **settings,
        ),
        train_dataset=Dataset.from_dict({"input_ids": sequences(*lengths)}),
        processing_class=PreTrainedTokenizerFast(
            tokenizer_object=words, unk_token="0", pad_token="1", eos_token="2"
        ),
    )  # fmt: skip
    return dict(next(iter(trainer.get_train_dataloader())))


def runs(tokens: Sequence[int]) -> list[int]:
    """The lengths of the stretches in which each token is the one after the last: of each sequence, sorted."""
    lengths = [1]
    for before, after in pairwise(tokens):
        if after == before + 1:
            lengths[-1] += 1
        else:
            lengths.append(1)
    return sorted(lengths)


def is_longer(most: int, lengths: Sequence[int], **settings: Any) -> bool:
    """Whether a model gets a sequence of more than `most` tokens; what is refused it does not get."""
    try:
        found = batch(lengths, **settings)
    except ValueError:
        return False
    return any(length > most for row in found["input_ids"].tolist() for length in runs([t for t in row if t != 1]))


def packed(rows: list[list[int]], length: int, strategy: str, **settings: Any) -> list[list[int]]:
    """The rows of a packed dataset."""
    dataset = trl.pack_dataset(Dataset.from_dict({"input_ids": rows}), length, strategy, settings)
    found: list[list[int]] = dataset.to_dict()["input_ids"]
    return found
