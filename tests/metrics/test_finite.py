"""Logits that are not numbers, counted."""

from __future__ import annotations

import numpy as np

from harness.metrics.finite import NAME, measure
from harness.records.results import Measured, Missing
from tests.observations import make_logits, make_outputs, make_read, make_write


def test_each_logit_that_is_no_number_counts() -> None:
    """NaN and both infinities count one each; a clean model has none."""
    logits_BTV = make_logits(2)
    clean = Measured(metric=NAME, value=0.0, unit="logits", num_compared=logits_BTV.size)
    assert (clean,) == measure(make_read(reloaded=make_outputs(logits_BTV)))

    broken_BTV = logits_BTV.copy()
    broken_BTV[0, 0, :3] = (np.nan, np.inf, -np.inf)
    (found,) = measure(make_read(reloaded=make_outputs(broken_BTV)))
    assert isinstance(found, Measured)
    assert 3.0 == found.value


def test_a_write_is_asked_for_what_was_trained() -> None:
    """A training that diverged shows in the write, before anybody reloads it."""
    broken_BTV = make_logits(2)
    broken_BTV[:] = np.nan
    (found,) = measure(make_write(trained=make_outputs(broken_BTV)))
    assert isinstance(found, Measured)
    assert broken_BTV.size == found.value


def test_what_was_not_observed_is_missing() -> None:
    """No reloaded outputs, no count."""
    (found,) = measure(make_read(reloaded=None))
    assert isinstance(found, Missing)
