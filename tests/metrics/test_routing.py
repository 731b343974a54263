"""Which positions count as equally routed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.metrics.observed import Outputs
from harness.metrics.routing import equally_routed, measure
from harness.records.results import Measured, Missing
from tests.observations import DENSE, make_logits, make_outputs, make_read, make_write


def routed(*flips: tuple[int, int, int]) -> Outputs:
    """Outputs whose routing differs from the clean one at these (layer, sequence, token)."""
    outputs = make_outputs(make_logits(2))
    routing_MBTK = outputs.routing_MBTK.copy()
    for layer, sequence, token in flips:
        routing_MBTK[layer, sequence, token] = (4, 6)
    return replace(outputs, routing_MBTK=routing_MBTK)


def test_a_flip_takes_the_rest_of_its_sequence_with_it() -> None:
    """From the first flip on, whatever its layer, attention carries the difference: only what is before it is equal."""
    equal_BT = equally_routed(routed(), routed((1, 0, 2), (0, 0, 4), (0, 1, 4)))
    assert equal_BT is not None
    assert [[True, True, False, False, False], [True, True, True, True, False]] == equal_BT.tolist()


def test_no_flip_leaves_every_position() -> None:
    """Equal routing is equal everywhere."""
    equal_BT = equally_routed(routed(), routed())
    assert equal_BT is not None
    assert equal_BT.all()


def test_the_share_is_over_all_positions() -> None:
    """Two positions of ten before the first flips leave a fifth."""
    reloaded = routed((0, 0, 1), (1, 1, 1))
    expected = Measured(metric="equal_routing_share", value=0.2, unit="share", num_compared=10)
    assert (expected,) == measure(make_read(reloaded=reloaded))
    assert (replace(expected, value=1.0),) == measure(make_read())


def test_routing_that_cannot_be_compared_is_missing() -> None:
    """A reload that was not observed, or that routes in another number of layers, gives the reason."""
    fewer = make_outputs(make_logits(2), routing_MBTK=np.zeros((1, 2, 5, 2), int))
    for reloaded, word in ((None, "not observed"), (fewer, "(1, 2, 5, 2)")):
        (found,) = measure(make_read(reloaded=reloaded))
        assert isinstance(found, Missing)
        assert word in found.reason


def test_dense_models_and_writes_have_no_share() -> None:
    """Where there is no routing to compare, the metric does not apply; for a route of a MoE model it does."""
    assert () == measure(make_read(DENSE)) == measure(make_write())
    assert 1 == len(measure(make_read()))
