"""Adapted tensors that training left as they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from harness.checkpoints.configs import effective_config
from harness.checkpoints.naming import module_table
from harness.metrics.untrained import NAME, measure, reached, untrained
from harness.records.results import Measured, Missing
from tests.observations import FAMILIES, Weights, answered, make_read, make_weights, make_write

ATTENTION = "model.layers.0.self_attn.q_proj.weight"
REACHED = "model.layers.1.mlp.experts.1.gate_proj.weight"
UNREACHED = "model.layers.1.mlp.experts.7.gate_proj.weight"


def zero(*names: str) -> Callable[[Weights, Weights, Weights], None]:
    """Adapted, and never trained."""

    def damage(got: Weights, base: Weights, deltas: Weights) -> None:
        for name in names:
            deltas[name] = 0 * deltas[name]
            got[name] = base[name]

    return damage


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param((), set(), id="none"),
        pytest.param((ATTENTION,), {ATTENTION}, id="a Linear"),
        pytest.param((REACHED,), {REACHED}, id="an expert that tokens reached"),
        pytest.param((UNREACHED,), set(), id="an expert that no token reached"),
        pytest.param((ATTENTION, REACHED, UNREACHED), {ATTENTION, REACHED}, id="all three"),
    ],
)
def test_a_zero_delta_counts_where_tokens_came_through(names: tuple[str, ...], expected: set[str]) -> None:
    """The base model sends every token to experts 0 and 1 of both layers: 12 projections, beside 8 of attention."""
    observed = make_write(weights=make_weights(damage=zero(*names)))
    assert expected == untrained(observed)
    assert (Measured(metric=NAME, value=float(len(expected)), unit="tensors", num_compared=20),) == measure(observed)


def test_the_last_token_teaches_nothing() -> None:
    """An expert that only last tokens reach has no gradient."""
    observed = make_write(weights=make_weights(damage=zero(UNREACHED)))
    assert observed.base is not None
    for position, expected in ((-1, set()), (-2, {UNREACHED}), (0, {UNREACHED})):
        routing_MBTK = observed.base.routing_MBTK.copy()
        routing_MBTK[1, 0, position] = (1, 7)
        assert expected == untrained(replace(observed, base=replace(observed.base, routing_MBTK=routing_MBTK)))


def test_routing_is_that_of_the_layers_that_have_experts() -> None:
    """The first layer of this family has none, so that the first of what was routed is of the second."""
    family = FAMILIES["deepseek_v3"]
    observed = make_write(family)
    table = module_table(family, effective_config(family, observed.case))
    layers = sorted({tensor.layer for tensor in table.values() if tensor.expert is not None})
    assert 0 not in layers
    assert observed.base is not None
    shape = (len(layers), *observed.base.routing_MBTK.shape[1:])
    routing_MBTK = np.zeros(shape, int)
    routing_MBTK[..., 1] = 3
    found = reached(replace(observed, base=replace(observed.base, routing_MBTK=routing_MBTK)))
    assert {(layer, expert) for layer in layers for expert in (0, 3)} == {
        (table[name].layer, table[name].expert) for name in found if table[name].expert is not None
    }


def test_without_routing_only_what_is_no_experts_is_known_to_be_reached() -> None:
    """No base, or a base that routed in another number of layers."""
    observed = make_write(weights=make_weights(damage=zero(ATTENTION, REACHED)))
    assert observed.base is not None
    fewer = replace(observed.base, routing_MBTK=observed.base.routing_MBTK[:1])
    for base in (None, fewer):
        assert {ATTENTION} == untrained(replace(observed, base=base))
    assert set() == untrained(replace(observed, weights=None))


def test_only_what_is_adapted_and_compared_counts() -> None:
    """Coverage is another check; without weights it is missing, and a route trains nothing."""
    observed = make_write(weights=make_weights(damage=zero(ATTENTION)))
    adapted = tuple(name for name in observed.answer.adapted if name != ATTENTION)
    assert set() == untrained(answered(observed, adapted=adapted))
    (found,) = measure(replace(observed, weights=None))
    assert isinstance(found, Missing)
    assert () == measure(make_read())
    assert np.count_nonzero(observed.weights.delta_norm == 0)  # type: ignore[union-attr]
