"""What is said of an adapter as a whole."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from harness.verify.factors import Reading
from harness.verify.records import Finding
from harness.verify.remarks import ambiguity, ambiguous, powerless, survival
from harness.verify.report import SiteSeen, State
from tests.verify.seen import ONE, evidence, job, seen

SITE = SiteSeen(
    name="w", layer=0, expert=None, part=None, state="applied", recovered=1.0, residual=0.0, num_elements=4, num_wrong=0
)
STANDARD, SWAPPED = Reading(), Reading("swapped")
GROUPED = Reading(packing="grouped_by_expert")
SMALLER = "the delta is smaller than what the stored dtype can tell from base, and was rounded away"
SOME_ZERO = "weights have a delta of zero, as experts have that no token reached"
OPEN_LAYOUT = "the factors fit as they are and transposed, and no version of PEFT in the configuration decides"
OPEN_PACKING = "Unsloth trained them without saying how it packed lora_B, which changed with its releases"


def survived(*weights: tuple[State, float]) -> list[Finding]:
    """What is said of weights whose delta is of square 4, each with its state and what the change has of the delta."""
    evidences = [seen(found=evidence(delta_squared=4.0, delta_times_change=4.0 * share)) for _, share in weights]
    return list(survival(evidences, [replace(SITE, state=state) for state, _ in weights]))


def lost(share: str, num_weights: int, severity: str) -> Finding:
    """Of a delta that was rounded away."""
    return Finding(
        kind="lost_to_rounding", severity=severity, message=SMALLER, expected="all of it",  # type: ignore[arg-type]
        got=f"{share} of it, by projection; nothing in {num_weights} weights",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        pytest.param([("applied", 1.0)], [], id="all of it"),
        pytest.param([("applied", 0.9)], [], id="nearly all of it"),
        pytest.param([("applied", 0.89)], [lost("89%", 0, "warning")], id="worn"),
        pytest.param([("applied", 0.5)], [lost("50%", 0, "warning")], id="half of it"),
        pytest.param([("applied", 0.49)], [lost("49%", 0, "error")], id="less than half"),
        pytest.param([("applied", 1.0), ("lost", 0.0)], [lost("50%", 1, "warning")], id="over all weights"),
        pytest.param([("lost", 0.0), ("lost", 0.0)], [lost("0%", 2, "error")], id="nothing of it"),
        pytest.param([("missing", 0.0), ("wrong", 0.0), ("applied", 1.0)], [], id="what is wrong was not rounded"),
        pytest.param([("wrong", 0.0)], [], id="nothing was merged rightly"),
        pytest.param([("applied", math.nan)], [], id="no numbers"),
        pytest.param([], [], id="no weights"),
        pytest.param(
            [("applied", 1.0)] * 19 + [("lost", 0.0)],
            [Finding(kind="lost_to_rounding", severity="note",
                     message="1 weights hold nothing of their delta, which rounds to base",
                     got="95% of all of it is there")],
            id="a few weights hold nothing",
        ),
    ],
)  # fmt: skip
def test_how_much_of_a_delta_the_stored_dtype_kept(weights: list[tuple[State, float]], expected: list[Finding]) -> None:
    """By projection, over all weights that are merged rightly: an error below a half, a warning below nine tenths."""
    assert expected == survived(*weights)


def test_a_delta_may_be_as_small_as_it_likes() -> None:
    """Shares are of it, whatever its size."""
    (told,) = survival([seen(found=evidence(delta_squared=1e-12, delta_times_change=2e-13))], [SITE])
    assert "20% of it, by projection; nothing in 0 weights" == told.got
    assert [] == list(survival([seen(found=evidence(delta_squared=0.0, delta_times_change=0.0))], [SITE]))


def test_what_could_not_be_compared_says_nothing_of_rounding() -> None:
    """It has no evidence, whatever is said of it; weights that have no factors stand behind the others."""
    uncompared = replace(seen(), evidence=None, pairing=None)
    assert [] == list(survival([uncompared], [SITE, SITE]))
    (told,) = survival([uncompared, seen(found=evidence(delta_times_change=1.0))], [SITE, SITE, SITE])
    assert "25% of it, by projection; nothing in 0 weights" == told.got


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        pytest.param(["applied", "zero", "zero"], [("note", f"2 of 3 {SOME_ZERO}")], id="some"),
        pytest.param(["zero", "zero"], [("error", "no weight is changed by this adapter: every lora_B is zero")],
                     id="all"),
        pytest.param([], [("error", "nothing could be compared")], id="nothing"),
        pytest.param(["applied", "missing"], [], id="none"),
    ],
)  # fmt: skip
def test_an_adapter_that_changes_nothing_proves_nothing(states: list[State], expected: list[tuple[str, str]]) -> None:
    """All of it is an error, some of it a note."""
    told = list(powerless([replace(SITE, state=state) for state in states]))
    assert expected == [(each.severity, each.message) for each in told]
    assert {"b_all_zero"} >= {each.kind for each in told}


@pytest.mark.parametrize(
    ("readings", "used", "expected"),
    [
        pytest.param((STANDARD, SWAPPED), SWAPPED, (OPEN_LAYOUT, "peft_version", "merged as swapped, rank_major"),
                     id="the layout"),
        pytest.param((STANDARD, GROUPED), GROUPED,
                     (OPEN_PACKING, "lora_B_layout in adapter_config.json", "merged as standard, grouped_by_expert"),
                     id="the packing"),
        pytest.param((STANDARD, SWAPPED), None, (OPEN_LAYOUT, "peft_version", "nothing is merged"), id="not merged"),
    ],
)  # fmt: skip
def test_what_nothing_decides_is_said_with_what_would(
    readings: tuple[Reading, ...], used: Reading | None, expected: tuple[str, str, str]
) -> None:
    """Why it is open, what is wanted, and as which it was merged."""
    why, wanted, got = expected
    assert Finding(
        kind="ambiguous_layout", severity="error", message=why, tensor="A", layer=1, expected=wanted, got=got
    ) == ambiguity("A", 1, readings, used)


def test_ambiguous_factors_are_told_once() -> None:
    """Though they are for many weights; those that a version decides, that are zero or that are wrong say nothing."""
    factors = job(ONE, ONE, num_experts=4, readings=(STANDARD, SWAPPED))
    merged: dict[str, Any] = {"job": factors, "reading": SWAPPED}
    assert [ambiguity("A", 1, (STANDARD, SWAPPED), SWAPPED)] == list(
        ambiguous([seen(**merged), seen(index=1, **merged)])
    )
    again = job(ONE, num_experts=4, readings=(STANDARD, SWAPPED))
    assert 2 == len(list(ambiguous([seen(**merged), seen(**merged | {"job": again})])))
    for silent in (
        seen(),
        seen(is_zero=True, **merged),
        seen(found=evidence(num_wrong=1), **merged),
        replace(seen(**merged), evidence=None),
    ):
        assert [] == list(ambiguous([silent]))
