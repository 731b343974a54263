"""Keys and values that a forward pass in training returns: nobody decodes from them, and they fill the memory."""

from __future__ import annotations

from harness.metrics.observed import Observed
from harness.records.results import Measured, Measurement

NAME = "kept_in_training"


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """How many arrays are kept; nothing where the stack does not say (transformers keeps them unless told not to)."""
    kept = observed.answer.notes.get("kept_in_training")
    if observed.form != "" or kept is None:
        return ()
    num_kept, num_outputs = kept
    return (Measured(metric=NAME, value=float(num_kept), unit="arrays", num_compared=int(num_outputs)),)
