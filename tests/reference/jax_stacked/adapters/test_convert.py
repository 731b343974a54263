"""Fused gate_up against gate and up: no delta changes on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.errors import UsageError
from reference.jax_stacked.adapters.convert import fused, per_projection
from reference.jax_stacked.adapters.names import expand
from reference.jax_stacked.adapters.record import Adapter, Factors
from tests.reference.jax_stacked.adapters.conftest import (
    Choice,
    assert_same,
    deltas,
    largest_error,
    moe_targets,
    random_adapter,
)

TARGETS = expand(moe_targets())
LAYER = "model.layers.0.mlp.experts"
GATE, UP, GATE_UP = f"{LAYER}.gate_proj", f"{LAYER}.up_proj", f"{LAYER}.gate_up_proj"
ROUNDING = 1e-7
"""Where two scalings become one, up's B is multiplied once in float32."""


def of(**chosen: tuple[int, float]) -> Choice:
    """Rank and alpha by the last part of a path."""
    return lambda path: chosen.get(path.rpartition(".")[2])


def random(*, rslora: bool = False, **chosen: tuple[int, float]) -> Adapter:
    """An adapter of the modules that are chosen, in both layers."""
    return random_adapter(TARGETS, of(**chosen), rslora=rslora)


def test_splitting_gives_both_the_same_a_and_each_its_rows() -> None:
    """Gate has the first half of B's rows, up the second, and both the rank and alpha of the whole."""
    whole = random(gate_up_proj=(3, 5.0)).factors[GATE_UP]

    split = per_projection(Adapter(factors={GATE_UP: whole})).factors

    assert {GATE, UP} == split.keys()
    np.testing.assert_array_equal(whole.B, np.concatenate([split[GATE].B, split[UP].B], axis=1))
    for part in split.values():
        assert whole.A is part.A
        assert whole.alpha == part.alpha


def test_what_is_split_becomes_whole_again() -> None:
    """Equal factors A are kept once, so the rank stays."""
    adapter = random(gate_up_proj=(3, 5.0), down_proj=(2, 7.0), q_proj=(4, 8.0))

    assert_same(adapter, fused(per_projection(adapter)))


@pytest.mark.parametrize("rslora", [False, True], ids=["plain", "rslora"])
@pytest.mark.parametrize(
    ("gate", "up", "rank"),
    [((3, 5.0), (3, 5.0), 6), ((2, 3.0), (5, 4.0), 7), ((3, 5.0), (3, 1.0), 6)],
    ids=["alike", "ranks", "alphas"],
)
def test_ranks_add_up_where_gate_and_up_have_their_own_a(
    gate: tuple[int, float], up: tuple[int, float], rank: int, rslora: bool
) -> None:
    """The deltas stay what they are, whatever ranks and alphas the two have."""
    adapter = random(gate_proj=gate, up_proj=up, rslora=rslora)

    whole = fused(adapter)

    assert rank == whole.factors[GATE_UP].rank
    assert largest_error(deltas(adapter), deltas(whole)) < ROUNDING


def test_alphas_fold_where_only_they_differ() -> None:
    """One A for both needs no second rank, even if each is scaled in its own way."""
    split = per_projection(random(gate_up_proj=(3, 6.0)))
    adapter = replace(split, factors={**split.factors, UP: replace(split.factors[UP], alpha=1.5)})

    whole = fused(adapter)

    assert 3 == whole.factors[GATE_UP].rank
    assert largest_error(deltas(adapter), deltas(whole)) < ROUNDING


@pytest.mark.parametrize("projection", ["gate_proj", "up_proj"])
def test_a_projection_that_is_not_adapted_gets_no_delta(projection: str) -> None:
    """Gate or up alone is a gate_up whose other rows of B are zero."""
    adapter = random(**{projection: (3, 5.0)})

    whole = deltas(fused(adapter))

    expected = deltas(adapter)
    others = {name: delta for name, delta in whole.items() if name not in expected}
    assert 0.0 == largest_error(expected, {name: delta for name, delta in whole.items() if name in expected})
    assert len(expected) == len(others)
    assert all(not delta.any() for delta in others.values())


def test_a_dense_gate_proj_is_no_expert() -> None:
    """Linears of the same name stay as they are."""
    adapter = Adapter(factors={"model.layers.2.mlp.gate_proj": Factors(A=np.ones((2, 3)), B=np.ones((4, 2)), alpha=1)})

    assert_same(adapter, fused(adapter))
    assert_same(adapter, per_projection(adapter))


def test_a_layer_held_twice_is_refused() -> None:
    """Fused and by projection at once would be two answers; the layer and what it has are told."""
    adapter = random(gate_up_proj=(3, 5.0), up_proj=(3, 5.0))

    for convert in (fused, per_projection):
        with pytest.raises(UsageError, match="twice") as raised:
            convert(adapter)
        assert f"{LAYER}: " in str(raised.value)
        assert "got gate_up_proj, up_proj" in str(raised.value)
