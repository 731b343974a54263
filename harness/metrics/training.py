"""What training says of itself, against what it must be: the first loss, and how many steps were taken.

The oracle of the first loss is the cross-entropy of the base model's logits, observed before anything was adapted. An
optimiser such as Adam does not feel the scale of its loss, so neither weights nor logits tell of a wrong one.
"""

from __future__ import annotations

import numpy as np

from harness.metrics.observed import Observed, Outputs
from harness.records.results import Measured, Measurement, Missing


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """|first loss / cross-entropy - 1|, and steps that were asked for and not taken (or the other way round).

    Writes only. An adapter that starts at random is not the base model, and has no such oracle.
    """
    if observed.form != "":
        return ()
    losses, case = observed.answer.losses, observed.case
    if not losses:
        return tuple(Missing(metric=name, reason="no loss was recorded") for name in ("first_loss_error", "steps_lost"))
    lost = Measured(
        metric="steps_lost", value=float(abs(case.steps - len(losses))), unit="steps", num_compared=case.steps
    )
    if case.adapter.init == "random":
        return (lost,)
    expected = None if observed.base is None else cross_entropy(observed.base)
    if expected is None:
        return (Missing(metric="first_loss_error", reason="the base model was not observed on these tokens"), lost)
    assert observed.base is not None
    num_tokens = observed.base.logits_BTV.shape[1]
    # TRL below 1.0 means to divide by the labels there are, and counts the first token, which nothing precedes.
    scales = (1.0, (num_tokens - 1) / num_tokens) if case.trainer == "trl" else (1.0,)
    error = min(abs(losses[0] / (scale * expected) - 1) for scale in scales)
    num_labels = observed.base.logits_BTV[:, 1:].shape[0] * (num_tokens - 1)
    return (Measured(metric="first_loss_error", value=error, unit="ratio", num_compared=num_labels), lost)


def cross_entropy(outputs: Outputs) -> float | None:
    """Mean over all tokens but the first of -ln p(token | those before it), in float64; None if it is not a number."""
    if outputs.sequences_BT is None or outputs.sequences_BT.shape != outputs.logits_BTV.shape[:2]:
        return None
    logits = outputs.logits_BTV[:, :-1].astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    mean = float(-np.take_along_axis(log_p, outputs.sequences_BT[:, 1:, None], axis=-1).mean())
    return mean if np.isfinite(mean) and mean > 0 else None
