"""Decoding against itself: a token at a time with a cache and padded prompts must compute what one plain pass does.

The samples of two models that decode wrongly alike are equal. A pass over prompt and continuation is what training
does, so it is the oracle: it has no cache, no padding and no position that depends on a step.
"""

from __future__ import annotations

import numpy as np

from harness.metrics.observed import Observed, Outputs
from harness.records.results import Measured, Measurement, Missing

NAME = "decoding_error"


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """By how much the margins of generated tokens differ from those of one pass, relative to them: the median step's.

    Of a write the worse of base and trained. The median, because a near-tied router flips at any precision.
    """
    models = [observed.reloaded] if observed.form else [observed.base, observed.trained]
    errors = [_error(outputs) for outputs in models]
    told = [error for error in errors if isinstance(error, Measured)]
    return (max(told, key=lambda error: error.value) if len(told) == len(errors) else Missing(
        metric=NAME, reason="nothing was generated and then computed in one pass"
    ),)  # fmt: skip


def _error(outputs: Outputs | None) -> Measured | None:
    if outputs is None or outputs.forced_SN is None or outputs.forced_SN.shape != outputs.margins_SN.shape:
        return None
    made_SN = outputs.tokens_SN >= 0  # behind the stop token there is nothing
    margins, forced = outputs.margins_SN[made_SN], outputs.forced_SN[made_SN]
    if not margins.size or not (np.isfinite(margins).all() and np.isfinite(forced).all()):
        return None
    error = float(np.median(np.abs(margins - forced)) / max(float(np.median(np.abs(margins))), 1e-30))
    return Measured(metric=NAME, value=error, unit="ratio", num_compared=margins.size)


def forced_margins(logits_SNV: np.ndarray, tokens_SN: np.ndarray) -> np.ndarray:
    """Logit of each generated token minus that of the best other one; 0 where padded. For whoever observes."""
    made_SN = tokens_SN >= 0
    chosen_SN1 = np.maximum(tokens_SN, 0)[..., None]
    others_SNV = logits_SNV.astype(np.float64)
    chosen_SN = np.take_along_axis(others_SNV, chosen_SN1, axis=-1)[..., 0]
    np.put_along_axis(others_SNV, chosen_SN1, -np.inf, axis=-1)
    return np.where(made_SN, chosen_SN - others_SNV.max(axis=-1), 0.0)
