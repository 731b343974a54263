"""A wrong delta is recognised as the factors read another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.checkpoints.packing import is_transposed, misread_tensors
from harness.checkpoints.safetensors_file import write_file
from harness.records.cases import Family

NAME = "model.layers.0.self_attn.q_proj.weight"
PREFIX = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
DRAW = np.random.default_rng(3)
A_RI, B_OR = DRAW.standard_normal((2, 6)), DRAW.standard_normal((6, 2))
DELTA = B_OR @ A_RI


@pytest.mark.parametrize(
    ("true", "got", "expected"),
    [
        pytest.param(DELTA, A_RI.T @ B_OR.T, True, id="factors exchanged, each transposed"),
        pytest.param(DELTA, 0.5 * DELTA.T, True, id="with another scale"),
        pytest.param(DELTA, DELTA, False, id="the same"),
        pytest.param(DELTA, -DELTA.T, False, id="another sign"),
        pytest.param(DELTA, DELTA[::-1], False, id="other rows"),
        pytest.param(DELTA + DELTA.T, DELTA + DELTA.T, False, id="a symmetric one is its own transpose"),
        pytest.param(DELTA[:4], DELTA[:4].T, False, id="not square: the shape tells"),
        pytest.param(np.stack([DELTA, DELTA]), np.stack([DELTA.T, DELTA.T]), False, id="no matrix"),
        pytest.param(DELTA, 0 * DELTA, False, id="nothing"),
    ],
)
def test_a_transposed_delta_of_a_square_module(true: np.ndarray, got: np.ndarray, expected: bool) -> None:
    """Its direction is the transpose's, and not its own."""
    assert expected == is_transposed(true, got)


def test_exchanged_factors_of_a_linear_are_a_wrong_layout(tmp_path: Path, qwen3_moe: Family) -> None:
    """Of the tensors that are wrong those that are transposed, and no others; an adapter without experts will do."""
    factors = {f"{PREFIX}A.weight": ("F32", B_OR.T), f"{PREFIX}B.weight": ("F32", A_RI.T)}
    write_file(tmp_path / "adapter_model.safetensors", factors)
    other = NAME.replace("q_proj", "o_proj")
    found = misread_tensors(
        tmp_path,
        qwen3_moe,
        dict(qwen3_moe.config),
        frozenset({NAME, other}),
        lambda name: DELTA,
        lambda name: DELTA.T if name == NAME else DELTA[::-1],
    )
    assert {NAME: "delta_wrong_layout"} == found
