"""A small tokenizer as plain files, for base checkpoints: byte-level pair encoding over letter pairs.

It has the normaliser, the splitting and the decoder of the Qwen tokenizers, because newer versions of transformers
read only vocabulary and merges from the files of some model types and set up the rest themselves
(`MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS`): a tokenizer of another kind would not survive loading.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_lowercase
from typing import Any

from harness.errors import CaseError

SPECIAL_TOKENS = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>"}
UNKNOWN_ID = 1
"""A configuration names no id for unknown words, so this is where the tokenizer has theirs."""
SPACE = "Ġ"
"""How byte-level encodings write a space."""
# From transformers 5.5.0, models/qwen3_5/tokenization_qwen3_5.py (Apache-2.0).
SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+"
    r"|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def tokenizer_files(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """File name to JSON content. The vocabulary has `vocab_size` tokens: special ones, letters, letter pairs."""
    special = _special_ids(config)
    characters = [SPACE, *ascii_lowercase]
    pairs = [first + second for first in ascii_lowercase for second in ascii_lowercase]
    free_ids = sorted(set(range(config["vocab_size"])) - set(special.values()))
    if not len(characters) < len(free_ids) <= len(characters) + len(pairs):
        expected = f"{len(characters) + 5} to {len(characters) + len(pairs) + 4}"
        raise CaseError(
            "no tokenizer can be made for this vocab_size", expected=expected, got=str(config["vocab_size"])
        )
    pairs = pairs[: len(free_ids) - len(characters)]
    # Special tokens stand in the model's vocabulary too: added tokens that do not are numbered anew behind it.
    ids = {SPECIAL_TOKENS[name]: token for name, token in special.items()}
    ids |= dict(zip([*characters, *pairs], free_ids, strict=True))
    vocabulary = dict(sorted(ids.items(), key=lambda item: item[1]))
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added: list[dict[str, Any]] = [
        {"id": token, "content": SPECIAL_TOKENS[name], **flags} for name, token in special.items()
    ]
    added.sort(key=lambda token: token["id"])
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": SPLIT_PATTERN}, "behavior": "Isolated", "invert": False}
    first, second = ({"Sequence": {"id": name, "type_id": number}} for number, name in enumerate("AB"))
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        # These two do nothing, but are what transformers 5 writes: so a save changes nothing in this file.
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [first],
            "pair": [first, second],
            "special_tokens": {},
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": [list(pair) for pair in pairs],
        },
    }
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config["max_position_embeddings"],
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": {str(token["id"]): {**flags, "content": token["content"]} for token in added},
        **SPECIAL_TOKENS,
    }
    return {
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": tokenizer_config,
        "special_tokens_map.json": dict(SPECIAL_TOKENS),
    }


def _special_ids(config: Mapping[str, Any]) -> dict[str, int]:
    ids = {"unk_token": UNKNOWN_ID, **{name: config[f"{name}_id"] for name in ("pad_token", "bos_token", "eos_token")}}
    if not all(type(token) is int for token in ids.values()) or len(set(ids.values())) != len(ids):
        raise CaseError(f"special tokens need ids of their own, and {UNKNOWN_ID} is <unk>", got=str(ids))
    return ids
