"""The first loss and the number of steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.metrics.observed import Observed
from harness.metrics.training import cross_entropy, measure
from harness.records.cases import AdapterSpec
from harness.records.results import Measured, Measurement, Missing
from tests.observations import answered, make_case, make_outputs, make_read, make_write

CLEAN = make_write()
FIRST, *LATER = CLEAN.answer.losses


def by_metric(observed: Observed) -> dict[str, Measurement]:
    """The measurements by name."""
    return {measurement.metric: measurement for measurement in measure(observed)}


def error(observed: Observed) -> float:
    """Of the first loss."""
    found = by_metric(observed)["first_loss_error"]
    assert isinstance(found, Measured)
    return found.value


def test_cross_entropy_is_that_of_the_next_token() -> None:
    """Logits that are ln p of the next token give -ln p, whatever the last position says; by hand."""
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [1 / 3, 1 / 3, 1 / 3]])
    outputs = make_outputs(np.log(probabilities)[None], sequences_BT=np.array([[2, 1, 2]]))
    assert -(np.log(0.25) + np.log(0.8)) / 2 == pytest.approx(cross_entropy(outputs))
    assert None is cross_entropy(replace(outputs, sequences_BT=None))
    assert None is cross_entropy(replace(outputs, sequences_BT=np.array([[2, 1]])))


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        pytest.param([[1000.0, 1000.0], [-1000.0, -1000.0], [0.0, 0.0]], np.log(2), id="logits without bounds"),
        pytest.param([[0.0, -np.inf], [0.0, 0.0], [0.0, 0.0]], None, id="an impossible token"),
        pytest.param([[-np.inf, 0.0], [-np.inf, 0.0], [0.0, 0.0]], None, id="certainty"),
        pytest.param([[np.nan, 0.0], [0.0, 0.0], [0.0, 0.0]], None, id="no number"),
    ],
)
def test_a_cross_entropy_is_a_number_above_zero(logits: list[list[float]], expected: float | None) -> None:
    """However large the logits are; a loss that nothing could be held against is none."""
    outputs = make_outputs(np.array([logits], np.float32), sequences_BT=np.array([[0, 1, 1]]))
    assert (expected if expected is None else pytest.approx(expected)) == cross_entropy(outputs)


@pytest.mark.parametrize("factor", [1.0, 0.5, 1.1])
def test_the_first_loss_is_held_against_the_base_model(factor: float) -> None:
    """By how much it is off, relatively; later losses do not matter."""
    assert abs(factor - 1) == pytest.approx(error(answered(CLEAN, losses=(FIRST * factor, *LATER))))
    assert abs(factor - 1) == pytest.approx(error(answered(CLEAN, losses=(FIRST * factor, *reversed(LATER)))))


def test_the_first_loss_is_of_every_token_that_follows_another() -> None:
    """Of two sequences of five tokens, eight."""
    found = by_metric(answered(CLEAN, losses=(FIRST * 1.5, *LATER)))["first_loss_error"]
    assert Measured(metric="first_loss_error", value=pytest.approx(0.5), unit="ratio", num_compared=8) == found


def test_a_trainer_may_count_the_first_token() -> None:
    """TRL divides by one token more a sequence, in some versions; a plain loop has no such excuse."""
    num_tokens = CLEAN.base.logits_BTV.shape[1]  # type: ignore[union-attr]
    scaled = answered(CLEAN, losses=(FIRST * (num_tokens - 1) / num_tokens, *LATER))
    assert 1 / num_tokens == pytest.approx(error(scaled))
    assert 0.0 == pytest.approx(error(replace(scaled, case=make_case(trainer="trl"))), abs=1e-12)
    assert 0.0 == pytest.approx(error(replace(CLEAN, case=make_case(trainer="trl"))), abs=1e-12)


def test_an_adapter_that_begins_at_random_has_no_such_oracle() -> None:
    """Its first loss is not base's: the steps are counted all the same."""
    case = make_case(adapter=AdapterSpec(adapt=("attention",), init="random"))
    assert {"steps_lost"} == set(by_metric(replace(CLEAN, case=case)))


@pytest.mark.parametrize(("num_losses", "expected"), [(30, 0.0), (29, 1.0), (31, 1.0), (7, 23.0)])
def test_steps_are_counted_by_their_losses(num_losses: int, expected: float) -> None:
    """Fewer and more than asked for."""
    found = by_metric(answered(CLEAN, losses=(FIRST,) * num_losses))["steps_lost"]
    assert Measured(metric="steps_lost", value=expected, unit="steps", num_compared=30) == found


def test_what_was_not_recorded_is_missing() -> None:
    """No losses, or no base model; a route trains nothing."""
    assert {Missing} == {type(found) for found in measure(answered(CLEAN, losses=()))}
    assert isinstance(by_metric(replace(CLEAN, base=None))["first_loss_error"], Missing)
    assert () == measure(make_read())
