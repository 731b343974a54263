"""A second pass over the same tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.metrics.repeating import NAME, measure
from harness.records.results import Measured, Missing
from tests.observations import make_logits, make_outputs, make_read, make_write

OUTPUTS = make_outputs(make_logits(2))


def test_logits_that_a_second_pass_gave_otherwise_are_counted() -> None:
    """Of the reloaded model for a route, of base and trained together for a write; a clean one has none."""
    random = replace(OUTPUTS, unrepeated=np.asarray(3))
    clean = Measured(metric=NAME, value=0.0, unit="logits", num_compared=OUTPUTS.logits_BTV.size)
    assert (clean,) == measure(make_read())
    assert (replace(clean, value=3.0),) == measure(make_read(reloaded=random))
    both = replace(clean, value=6.0, num_compared=2 * OUTPUTS.logits_BTV.size)
    assert (both,) == measure(make_write(base=random, trained=random))


def test_one_pass_is_no_evidence() -> None:
    """Where no second one was observed, it is missing."""
    (found,) = measure(make_write(base=replace(OUTPUTS, unrepeated=None)))
    assert isinstance(found, Missing)
