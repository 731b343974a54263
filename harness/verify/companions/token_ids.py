"""Ids of special tokens, as configurations and generation configurations state them, and how grave a change is."""

from __future__ import annotations

from typing import Any

from harness.verify.records import Severity

OF_TRAINERS = {
    "pad_token_id": "trainers give a model the padding of its tokenizer; only how a batch is filled up changes",
    "bos_token_id": "trainers give a model the first token of its tokenizer; only generation from nothing changes",
}
"""Set where base has none, or taken away: transformers' Trainer does it (`align_special_tokens`, trainer_utils.py)."""


def normal_ids(name: str, value: Any) -> Any:
    """End tokens as a sorted list: any of them ends a text, and one of them alone means the same as a list of it."""
    if name != "eos_token_id" or value is None:
        return value
    ids = value if isinstance(value, list) else [value]
    return sorted(set(ids)) if all(type(item) is int for item in ids) else value


def gravity(name: str, before: Any, after: Any) -> tuple[Severity, str]:
    """How grave it is that a field became `after`, and why; None stands for a field that is not set."""
    if name in OF_TRAINERS and (before is None or after is None):
        return "warning", OF_TRAINERS[name]
    return "error", ""
