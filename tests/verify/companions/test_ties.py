"""Tests of tied weights: head and embedding are one tensor where they were one, and two where they were two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.verify.companions.checkpoint import open_checkpoint
from harness.verify.companions.stored import same_bytes
from harness.verify.companions.ties import compare_ties, is_tied, tied_weights
from tests.verify.companions.builders import CONFIG, EMBEDDING, HEAD, NORM, changed, tensors, write

OTHER = tensors()[HEAD]
EQUAL = tensors()[EMBEDDING]


def checkpoint(directory: Path, tied: bool | None, head: tuple[str, np.ndarray] | None, **fields: Any) -> Path:
    """A checkpoint that says whether it is tied, or does not say it, with this head or with none."""
    config = changed(CONFIG, *(("tie_word_embeddings",) if tied is None else ()), **fields)
    stored = {name: value for name, value in tensors().items() if name != HEAD} | ({HEAD: head} if head else {})
    return write(directory, config=config if tied is None else {**config, "tie_word_embeddings": tied}, tensors=stored)


TIED, TIED_TWICE, APART = (True, None), (True, EQUAL), (False, OTHER)
BROKEN, HEADLESS, APART_EQUAL = (True, OTHER), (False, None), (False, EQUAL)


@pytest.mark.parametrize(
    ("before", "after", "expected", "words"),
    [
        (TIED, TIED, [], ""),
        (TIED, TIED_TWICE, [], ""),
        (TIED_TWICE, TIED, [], ""),
        (APART, APART, [], ""),
        (TIED, BROKEN, ["error"], "different values"),
        (APART, BROKEN, ["error"], "different values"),
        (BROKEN, BROKEN, ["warning"], "of base too"),
        (APART, TIED, ["error"], "became true"),
        (APART, TIED_TWICE, ["error"], "became true"),
        (APART_EQUAL, TIED, ["warning"], "became true"),
        (TIED, HEADLESS, ["error"], "draws a new one"),
        (TIED, APART, ["note"], "of its own"),
        (TIED, APART_EQUAL, ["note"], "of its own"),
        (APART, HEADLESS, [], ""),
        (HEADLESS, HEADLESS, [], ""),
        ((None, OTHER), APART, [], ""),
        ((None, OTHER), TIED, ["error"], "became true"),
    ],
)
def test_ties_are_kept(tmp_path: Path, before: Any, after: Any, expected: list[str], words: str) -> None:
    """A head that is lost, overwritten or drawn anew is an error; one that the kernel sees missing is left to it."""
    base = open_checkpoint(checkpoint(tmp_path / "base", *before), role="base")
    merged = open_checkpoint(checkpoint(tmp_path / "merged", *after))
    found = compare_ties(base, merged)
    assert expected == [finding.severity for finding in found]
    assert {"tied_weights_broken"} >= {finding.kind for finding in found}
    assert all(words in finding.message and finding.tensor == HEAD for finding in found)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "llama"}, False),
        ({"model_type": "gemma2"}, True),
        ({"model_type": "gemma2", "tie_word_embeddings": False}, False),
        ({"model_type": "unheard_of"}, None),
        ({"model_type": "unheard_of", "text_config": {"tie_word_embeddings": True}}, True),
        ({"model_type": "qwen3_vl_moe_text"}, None),
        ({"tie_word_embeddings": "yes"}, None),
    ],
)
def test_whether_a_configuration_ties(config: dict[str, Any], expected: bool | None) -> None:
    """As it says, else by the type's default; None where the type is unknown or versions differ."""
    assert expected is is_tied(config)


def test_the_pair_is_found_behind_prefixes_and_not_in_layers(tmp_path: Path) -> None:
    """Names of vision-language models count, and those of layers that predict further tokens do not."""
    numbers = tensors()[EMBEDDING]
    stored = {
        "model.language_model.embed_tokens.weight": numbers,
        "model.layers.7.embed_tokens.weight": numbers,
        "model.layers.7.lm_head.weight": numbers,
    }
    opened = open_checkpoint(write(tmp_path / "c", tensors=stored))
    [pair] = tied_weights({"tie_word_embeddings": True}, opened.entries)
    assert (HEAD, "model.language_model.embed_tokens.weight") == (pair.head_name, pair.embedding_name)
    assert pair.head is None
    assert pair.embedding is not None
    assert () == tied_weights({"tie_word_embeddings": False}, opened.entries)
    assert () == tied_weights({}, {})


def test_without_head_and_embedding_there_is_nothing_to_tie(tmp_path: Path) -> None:
    """A model of another kind is not asked for a head."""
    paths = [write(tmp_path / name, tensors={NORM: tensors()[NORM]}) for name in ("a", "b")]
    assert () == compare_ties(open_checkpoint(paths[0], role="base"), open_checkpoint(paths[1]))


def test_bytes_are_compared_in_pieces(tmp_path: Path) -> None:
    """Tensors of more than one piece are the same only if their last bytes are; shape and dtype count."""
    numbers = np.zeros((3, 2**19), dtype=np.float32)
    other = numbers.copy()
    other[-1, -1] = 1
    stored = {
        "a": ("F32", numbers),
        "b": ("F32", numbers),
        "c": ("F32", other),
        "d": ("F32", numbers.reshape(-1)),
        "e": ("BF16", numbers),
    }
    entries = open_checkpoint(write(tmp_path / "c", tensors=stored)).entries
    assert same_bytes(entries["a"], entries["b"])
    assert not any(same_bytes(entries["a"], entries[name]) for name in "cde")
