"""Adapters in memory: what they scale by, and which factors cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from harness.errors import UsageError
from reference.jax_stacked.adapters.record import Adapter, Factors

Q = "model.layers.0.self_attn.q_proj"


def factors(shape_A: tuple[int, ...], shape_B: tuple[int, ...], alpha: float = 6.0) -> Factors:
    """Factors of ones."""
    return Factors(A=np.ones(shape_A, np.float32), B=np.ones(shape_B, np.float32), alpha=alpha)


@pytest.mark.parametrize(("rslora", "expected"), [(False, 1.5), (True, 3.0)], ids=["plain", "rslora"])
def test_scaling_is_alpha_over_rank_or_over_its_root(rslora: bool, expected: float) -> None:
    """As PEFT has it, with each module's own alpha and rank."""
    adapter = Adapter(factors={Q: factors((4, 3), (2, 4))}, rslora=rslora)

    assert expected == adapter.scaling(Q)


def test_the_rank_of_experts_is_not_their_number() -> None:
    """A (E, R, I) has R rows an expert."""
    assert 3 == factors((5, 3, 7), (5, 2, 3)).rank


@pytest.mark.parametrize(
    ("shape_A", "shape_B"),
    [((4, 3), (4, 2)), ((5, 3, 7), (2, 3)), ((5, 3, 7), (4, 2, 3)), ((3,), (3,))],
    ids=["ranks", "axes", "experts", "vectors"],
)
def test_factors_that_do_not_multiply_are_refused(shape_A: tuple[int, ...], shape_B: tuple[int, ...]) -> None:
    """Both shapes are told."""
    with pytest.raises(UsageError, match="A and B do not multiply") as raised:
        factors(shape_A, shape_B)

    assert str(shape_A) in str(raised.value)
    assert str(shape_B) in str(raised.value)
