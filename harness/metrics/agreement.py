"""Top-1 agreement: the share of positions whose most likely next token is the same."""

from __future__ import annotations

from harness.metrics.observed import Observed
from harness.records.results import Measured, Measurement, Missing


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """Top-1 agreement of reloaded with trained; nothing for writes."""
    if observed.form == "":
        return ()
    trained, reloaded = observed.trained, observed.reloaded
    if trained is None or reloaded is None or trained.logits_BTV.shape != reloaded.logits_BTV.shape:
        return (Missing(metric="top1_agreement", reason="the two sets of logits cannot be compared"),)
    same_BT = trained.logits_BTV.argmax(axis=-1) == reloaded.logits_BTV.argmax(axis=-1)
    return (Measured(metric="top1_agreement", value=float(same_BT.mean()), unit="share", num_compared=same_BT.size),)
