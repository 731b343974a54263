"""Keys and values in training."""

from __future__ import annotations

from harness.metrics.kept import NAME, measure
from harness.records.results import Measured
from tests.observations import answered, make_read, make_write


def test_what_the_pass_of_training_keeps_is_counted() -> None:
    """Where the stack says so; elsewhere, and of a route, nothing is measured."""
    kept = answered(make_write(), notes={"kept_in_training": [2, 9]})
    assert (Measured(metric=NAME, value=2.0, unit="arrays", num_compared=9),) == measure(kept)
    assert () == measure(answered(make_write(), notes={})) == measure(make_read())
