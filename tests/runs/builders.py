"""Results with a verdict and a disposition, as counting needs them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.records.results import Check, Disposition, Judgement, Result, VerdictName


def result_of(verdict: VerdictName = "PASS", disposition: Disposition = "none", **changes: Any) -> Result:
    """A route of one case in one cell, with this verdict."""
    result = Result(
        id="case@r1>merged>r1",
        kind="read",
        case="case",
        family="qwen3_moe",
        dtype="float32",
        trainer="loop",
        writer="r1",
        reader="r1",
        form="merged",
        judgement=Judgement(verdict=verdict, cause="", checks=(), findings=()),
        disposition=disposition,
        known="",
        known_reason="",
        known_link="",
        measurements=(),
        first_diverging="",
        experts={},
        warnings=(),
        crash="",
        what_to_do="",
        rerun="deltaproof run",
        reused=False,
        timings_s={},
        seed=1,
        directory="",
    )
    return replace(result, **changes)


def failed_check(metric: str) -> Check:
    """A check that failed."""
    return Check(
        name=metric,
        verdict="FAIL",
        metric=metric,
        value=1.0,
        tolerance=0.1,
        relation="at_most",
        carries=True,
        message="too much",
        num_compared=3,
    )
