"""Base checkpoints: written by our own code from a case's seed, never by one of the versions under test.

Owns what a base holds: configuration, generation configuration, weights, tokenizer. Every cell reads the same one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from harness.checkpoints.configs import effective_config
from harness.checkpoints.naming import CanonicalTensor, tensor_table
from harness.checkpoints.safetensors_file import write_checkpoint
from harness.checkpoints.tokenizer import tokenizer_files
from harness.records.cases import Case, Family

WEIGHT_STD = 0.1
"""Large for a transformer of real size; at these sizes it gives logits that training visibly moves."""
NORM_STD = 0.2
STORED_DTYPES = {"float32": "F32", "bfloat16": "BF16"}


def write_base(directory: Path, family: Family, case: Case) -> None:
    """Write the base checkpoint of `case` into `directory`, which exists and is empty."""
    config = effective_config(family, case)
    _write_json(directory / "config.json", config)
    _write_json(directory / "generation_config.json", _generation_config(config))
    for name, content in tokenizer_files(config).items():
        _write_json(directory / name, content)
    tensors = {
        tensor.name: (_stored_dtype(tensor, case), draw(tensor, case.seed))
        for tensor in tensor_table(family, config).values()
    }
    write_checkpoint(directory, tensors, shard_bytes=case.save.shard_bytes)


def draw(tensor: CanonicalTensor, seed: int) -> np.ndarray:
    """The values of one tensor, float32: they depend on the seed and on its own name and shape alone."""
    digest = hashlib.sha256(f"{seed}:{tensor.name}".encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
    # In float64: of so many float32 draws a few would be exactly zero.
    noise = generator.standard_normal(tensor.shape)
    if tensor.init == "norm":
        # Never near zero: a channel that a norm mutes would hide whatever went wrong in it.
        values = 1 + np.clip(NORM_STD * noise, -0.7, 0.7)
    elif tensor.init == "log_positive":
        values = np.log(np.exp(noise) + 0.5)
    else:
        values = WEIGHT_STD * noise
    return np.asarray(values, dtype=np.float32)


def _stored_dtype(tensor: CanonicalTensor, case: Case) -> str:
    return "F32" if tensor.keep_float32 else STORED_DTYPES[case.dtype]


def _generation_config(config: dict[str, Any]) -> dict[str, Any]:
    """Sampling settings unlike the defaults, so that their loss is seen. Greedy decoding does not use them."""
    token_ids = {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    # Without do_sample, transformers refuses to save the three others ("generation flags are not valid").
    return token_ids | {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.85}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
