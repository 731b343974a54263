"""Tied weights: whether the head and the embedding of a merged checkpoint are one where they were one in base.

Owns the field `tie_word_embeddings`, together with what is stored. Compares bytes of these two tensors alone, and does
not ask whether an adapter has changed them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from harness.checkpoints.safetensors_file import TensorEntry
from harness.verify.companions.checkpoint import Checkpoint
from harness.verify.companions.defaults import default_of
from harness.verify.companions.stored import same_bytes
from harness.verify.companions.values import plain
from harness.verify.records import Finding, Severity

FIELD = "tie_word_embeddings"
HEADS = ("lm_head.weight", "embed_out.weight")
EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight")
"""How models call them, after any prefix: embed_out and embed_in are GPT-NeoX's, wte GPT-2's."""
INSIDE_LAYERS = ".layers."
"""DeepSeek's layer for the prediction of further tokens has an embedding and a head of its own, which are not meant."""

SameValues = Callable[[TensorEntry, TensorEntry], bool]


class TiedPair(NamedTuple):
    """The two names that are one tensor where a configuration ties them, and what is stored of them."""

    head_name: str
    embedding_name: str
    head: TensorEntry | None
    embedding: TensorEntry | None


def tied_weights(config: Mapping[str, Any], entries: Mapping[str, TensorEntry]) -> tuple[TiedPair, ...]:
    """The pairs that must be one tensor: one pair if the configuration ties (or may tie) them, else none."""
    return () if is_tied(config) is False else _pairs(entries)


def is_tied(config: Mapping[str, Any]) -> bool | None:
    """Whether head and embedding are one: as stated, or by default of the model type; None where none is known."""
    text = config.get("text_config")
    inner = text if isinstance(text, Mapping) else {}
    for stated in (config.get(FIELD), inner.get(FIELD)):
        if isinstance(stated, bool):
            return stated
    for model_type in (config.get("model_type"), inner.get("model_type")):
        default = default_of((str(model_type),), FIELD)
        if default is not None and isinstance(default.value, bool):
            return default.value
    return None


def compare_ties(base: Checkpoint, merged: Checkpoint, *, same_values: SameValues = same_bytes) -> tuple[Finding, ...]:
    """Whether a reload of merged has head and embedding as base has them: one tensor, or two."""
    if not (pairs := _pairs(merged.entries)) or not (base_pairs := _pairs(base.entries)):
        return ()
    [pair], [base_pair] = pairs, base_pairs
    head, embedding = plain(pair.head_name), plain(pair.embedding_name)
    base_ties, ties = _ties(base, base_pair, same_values), _ties(merged, pair, same_values)
    if ties and pair.head and pair.embedding and not same_values(pair.head, pair.embedding):
        inherited = base_ties and base_pair.head is not None and not _is_one(base_pair, same_values)
        text = f"{FIELD} is true, and {head} and {embedding} are stored with different values: "
        text += "transformers 4 uses the embedding as head, transformers 5 ties nothing"
        return (_finding(pair, text + (", of base too" if inherited else ""), "warning" if inherited else "error"),)
    if ties and base_ties is False:
        alike = _is_one(base_pair, same_values)
        text = f"base has a head of its own, and merged says that {embedding} is its head: {FIELD} became true"
        return (_finding(pair, text, "warning" if alike else "error"),)
    if ties is False and base_ties and pair.head is None:
        text = f"base ties its head to {embedding}; merged says that it does not, and has no {head}"
        return (_finding(pair, f"{text}: a reload draws a new one", "error"),)
    if ties is False and base_ties:
        text = f"base ties its head to {embedding}; merged stores {head} as a tensor of its own"
        return (_finding(pair, text, "note"),)
    return ()


def _pairs(entries: Mapping[str, TensorEntry]) -> tuple[TiedPair, ...]:
    embedding = _shortest(entries, EMBEDDINGS)
    head = _shortest(entries, HEADS)
    if embedding is None and head is None:
        return ()
    head_name, embedding_name = head or HEADS[0], embedding or f"model.{EMBEDDINGS[0]}"
    return (TiedPair(head_name, embedding_name, entries.get(head_name), entries.get(embedding_name)),)


def _shortest(names: Iterable[str], endings: tuple[str, ...]) -> str | None:
    found = [
        name
        for name in names
        if INSIDE_LAYERS not in name and any(name == ending or name.endswith(f".{ending}") for ending in endings)
    ]
    return min(found, key=lambda name: (len(name), name), default=None)


def _ties(checkpoint: Checkpoint, pair: TiedPair, same_values: SameValues) -> bool | None:
    stated = is_tied(checkpoint.config)
    if stated is not None or pair.embedding is None:
        return stated
    if pair.head is None:
        return True
    return None if _is_one(pair, same_values) else False


def _is_one(pair: TiedPair, same_values: SameValues) -> bool:
    return pair.head is None or pair.embedding is None or same_values(pair.head, pair.embedding)


def _finding(pair: TiedPair, message: str, severity: Severity) -> Finding:
    return Finding(kind="tied_weights_broken", severity=severity, message=message, tensor=pair.head_name)
