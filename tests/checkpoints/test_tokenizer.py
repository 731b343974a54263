"""Tests of the tokenizer's files."""

from __future__ import annotations

import pytest

from harness.checkpoints.tokenizer import tokenizer_files
from harness.errors import CaseError
from harness.records.cases import Family

CONFIG = {"vocab_size": 160, "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}


def test_the_vocabulary_fills_every_id_once(family: Family) -> None:
    """Each family's tokenizer has a token for each row of its embedding, and special tokens at the model's ids."""
    files = tokenizer_files(family.config)
    vocabulary = files["tokenizer.json"]["model"]["vocab"]
    assert list(range(family.config["vocab_size"])) == list(vocabulary.values())
    for name in ("pad_token", "bos_token", "eos_token"):
        token = files["tokenizer_config.json"][name]
        assert family.config[f"{name}_id"] == vocabulary[token]
        assert token == files["special_tokens_map.json"][name]


def test_merges_make_the_words_of_the_vocabulary() -> None:
    """Every pair of letters in the vocabulary has a merge, and every merge makes one."""
    model = tokenizer_files(CONFIG)["tokenizer.json"]["model"]
    words = [token for token in model["vocab"] if len(token) == 2]
    assert 160 - 4 - 27 == len(words)
    assert words == ["".join(merge) for merge in model["merges"]]


@pytest.mark.parametrize(
    "changes",
    [{"vocab_size": 20}, {"vocab_size": 5000}, {"pad_token_id": 1}, {"eos_token_id": 0}, {"bos_token_id": [2]}],
    ids=str,
)
def test_impossible_vocabularies_are_refused(changes: dict[str, object]) -> None:
    """A size that letter pairs cannot fill, or special tokens that collide, are errors."""
    with pytest.raises(CaseError):
        tokenizer_files({**CONFIG, **changes})
