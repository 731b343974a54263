"""The tokens that every stack trains on and is judged by: memorised sequences, drawn from the case's seed.

numpy only, so that two stacks in two environments draw the same tokens.
Suffixes: `B` sequences, `T` tokens, `S` samples.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

NUM_SEQUENCES = 8
NUM_TOKENS = 16
NUM_SAMPLES = 3
PROMPT_TOKENS = 6
NEW_TOKENS = NUM_TOKENS - PROMPT_TOKENS
FIRST_WORD = 4
"""Token ids below this are special (pad, eos, bos, unk)."""
STOP_POSITION = 12
"""Where the first sequence holds the stop token, so that a lost eos changes what is generated."""


class Tokens(NamedTuple):
    """Training sequences, which are also the evaluation sequences, and the prompts that are their beginnings."""

    sequences_BT: np.ndarray
    prompts_SP: np.ndarray


def draw_tokens(seed: int, vocab_size: int, eos_token_id: int) -> Tokens:
    """The tokens of a case: eight random sequences; the first one stops early."""
    generator = np.random.Generator(np.random.PCG64([seed, vocab_size]))
    sequences_BT = generator.integers(FIRST_WORD, vocab_size, size=(NUM_SEQUENCES, NUM_TOKENS), dtype=np.int64)
    sequences_BT[0, STOP_POSITION] = eos_token_id
    return Tokens(sequences_BT, sequences_BT[:NUM_SAMPLES, :PROMPT_TOKENS])


def eos_of(config: dict[str, Any]) -> int:
    """The (first) stop token of a configuration."""
    eos = config["eos_token_id"]
    return int(eos[0] if isinstance(eos, list) else eos)
