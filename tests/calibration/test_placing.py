"""A gate stands between noise and the nearest fault that its metric can tell; what it cannot tell is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.calibration.placing import APART, Placed, place
from harness.calibration.policy import Policy
from harness.calibration.samples import Sample
from harness.errors import CaseError
from harness.judging.gates import Situation

MOST = Policy(metric="m", kinds=("read",), dtypes=("float32",), relation="at_most", evidence="a test")
LEAST = replace(MOST, relation="at_least")
COUNT = replace(MOST, bound=0.0)
HERE = Situation("read", "float32", "lora", "own_row")
SIZES = st.floats(1e-14, 1e3)


def sample(value: float, fault: str = "", **changes: Any) -> Sample:
    """One number."""
    one = Sample(
        metric="m", situation=HERE, value=value, num_compared=9, result="r", fault=fault,
    )  # fmt: skip
    return replace(one, **changes)


def test_the_gate_is_in_the_middle() -> None:
    """Geometrically, on two digits, towards the noise; the worst clean result counts, and the nearest fault."""
    placed = place(MOST, [sample(1e-8), sample(4e-8)], [sample(1.0, "far"), sample(4e-2, "near")])
    assert (4e-5, 4e-8, 2) == (placed.bound, placed.noise, placed.num_clean)
    assert (4e-2, "near", True, ()) == (placed.nearest, placed.nearest_fault, placed.carries, placed.unseen)


def test_a_share_that_may_not_fall_is_placed_the_other_way_round() -> None:
    """The least clean one is its noise."""
    placed = place(LEAST, [sample(0.9), sample(0.64)], [sample(0.01, "near"), sample(0.001, "far")])
    assert (0.08, 0.64, 0.01, "near") == (placed.bound, placed.noise, placed.nearest, placed.nearest_fault)


@given(noise=SIZES, fault=SIZES)
def test_a_placed_gate_passes_what_is_clean_and_fails_the_fault(noise: float, fault: float) -> None:
    """Or, where the two overlap, it fails nobody: then it carries nothing, and the fault is said to be unseen."""
    placed = place(MOST, [sample(noise)], [sample(fault, "f", caught_by=("another",))])
    assert noise <= placed.bound
    if fault > APART * noise:
        assert fault > placed.bound
        assert placed.carries
    else:
        assert not placed.carries
        assert placed.nearest is None
        assert placed.unseen in ((), ("f (another)",))
        assert (fault <= placed.bound) == (placed.unseen != ())


def test_a_fault_within_the_noise_is_unseen_and_does_not_move_the_gate() -> None:
    """It is listed with who catches it; one that nobody catches is listed too."""
    clean = [sample(2e-4)]
    seen = [sample(2e-2, "expert")]
    alone = place(MOST, clean, seen)
    hidden = [sample(1e-4, "scale", caught_by=("weights", "counts")), sample(1e-5, "lost")]
    placed = place(MOST, clean, [*seen, *hidden])
    assert (alone.bound, alone.nearest) == (placed.bound, placed.nearest)
    assert ("lost (nothing)", "scale (weights, counts)") == placed.unseen


def test_without_noise_a_fault_still_has_a_gate_before_it() -> None:
    """Exactly zero is what a bit-identical reload gives."""
    placed = place(MOST, [sample(0.0)], [sample(1e-6, "f")])
    assert 0.0 < placed.bound < 1e-6
    assert placed.carries


def test_a_bound_that_is_given_stays_and_clean_results_must_pass_it() -> None:
    """A count that is not zero in a clean run is no noise: it is a bug of somebody."""
    placed = place(COUNT, [sample(0.0)], [sample(3.0, "f")])
    assert (0.0, 0.0, 3.0, True) == (placed.bound, placed.noise, placed.nearest, placed.carries)
    with pytest.raises(CaseError, match="a clean result fails the bound"):
        place(COUNT, [sample(1.0)], [])


def test_of_all_that_must_be_equal_those_count_that_are_not() -> None:
    """Samples: the bound is the margin of a tie, and clean results may differ within it."""
    policy = replace(MOST, relation="all", bound=0.25)
    placed = place(policy, [sample(9.0), sample(8.0)], [sample(6.0, "f"), sample(8.0, "hidden")])
    assert (0.25, 1.0, 3.0, "f") == (placed.bound, placed.noise, placed.nearest, placed.nearest_fault)


@pytest.mark.parametrize(
    ("policy", "clean", "text"),
    [
        pytest.param(MOST, [], "m: no clean result has this metric: nothing can place its gate", id="no clean result"),
        pytest.param(replace(MOST, bound=0.25), [sample(0.5), sample(0.1)],
                     "m: a clean result fails the bound that policy gives; expected 0.25; got 0.5", id="at most"),
        pytest.param(replace(LEAST, bound=0.25), [sample(0.5), sample(0.1)],
                     "m: a clean result fails the bound that policy gives; expected 0.25; got 0.1", id="at least"),
    ],
)  # fmt: skip
def test_what_cannot_be_placed_is_told_whole(policy: Policy, clean: list[Sample], text: str) -> None:
    """The metric, what was wanted, and the worst of what there is."""
    with pytest.raises(CaseError) as raised:
        place(policy, clean, [])
    assert text == str(raised.value)


def test_a_bound_that_is_given_needs_no_clean_result() -> None:
    """Its noise is not known then, no fault is said to be apart from it, and those that it lets through are listed."""
    placed = place(COUNT, [], [sample(3.0, "f"), sample(0.0, "hidden", caught_by=("weights",))])
    assert Placed(
        bound=0.0, noise=None, num_clean=0, nearest=None, nearest_fault="", unseen=("hidden (weights)",), carries=True
    ) == placed  # fmt: skip


def test_a_clean_result_may_lie_on_the_bound_that_is_given() -> None:
    """It passes such a gate, so it is no contradiction."""
    for policy in (replace(MOST, bound=0.5), replace(LEAST, bound=0.5)):
        assert 0.5 == place(policy, [sample(0.5)], []).bound


@pytest.mark.parametrize(
    ("policy", "noise", "fault", "bound"),
    [
        pytest.param(MOST, 1e-8, 2e-2, 1.4e-5, id="down, where the noise is below"),
        pytest.param(LEAST, 0.64, 0.02, 0.12, id="up, where it is above"),
    ],
)
def test_the_middle_is_rounded_towards_the_noise(policy: Policy, noise: float, fault: float, bound: float) -> None:
    """So that no fault comes to lie on the clean side by it."""
    assert bound == place(policy, [sample(noise)], [sample(fault, "f")]).bound


@pytest.mark.parametrize("policy", [MOST, COUNT, replace(LEAST, bound=0.1)], ids=["placed", "of a count", "given"])
def test_what_only_confirms_never_carries(policy: Policy) -> None:
    """However far the fault is."""
    clean, struck = [sample(0.0 if policy.relation == "at_most" else 0.5)], [sample(1e-3, "f")]
    assert place(policy, clean, struck).carries
    assert not place(replace(policy, carries=False), clean, struck).carries


def test_the_signal_and_what_must_be_equal_hide_nothing() -> None:
    """A fault with a good signal is none that it lets through; and a weak clean training is no failure of its floor."""
    signal = replace(LEAST, bound=0.05, power=True)
    placed = place(signal, [sample(0.01), sample(0.5)], [sample(0.6, "f")])
    assert (0.05, 0.01, ()) == (placed.bound, placed.noise, placed.unseen)


@pytest.mark.parametrize(
    ("policy", "noise", "bound"),
    [
        pytest.param(MOST, 2.31e-13, 2.4e-12, id="ten times the noise, rounded up"),
        pytest.param(LEAST, 0.9, 0.09, id="a tenth of a share"),
    ],
)
def test_without_a_fault_a_gate_stands_apart_from_the_noise(policy: Policy, noise: float, bound: float) -> None:
    """And carries nothing: it tells nothing apart."""
    placed = place(policy, [sample(noise)], [])
    assert (bound, False, None) == (placed.bound, placed.carries, placed.nearest)


def test_without_a_fault_and_without_noise_a_gate_stands_near_the_least_there_may_be() -> None:
    """Not at 0: another machine may round the last digit otherwise."""
    assert 1e-15 <= place(MOST, [sample(0.0)], []).bound < 2e-15


@pytest.mark.parametrize(
    ("policy", "noise", "fault", "is_apart"),
    [
        pytest.param(MOST, 1.0, 10.0, False, id="ten times"),
        pytest.param(MOST, 1.0, 11.0, True, id="more"),
        pytest.param(MOST, 0.0, 9e-16, False, id="no more than what no noise may have"),
        pytest.param(LEAST, 0.5, 0.05, False, id="a tenth"),
        pytest.param(LEAST, 0.5, 0.04, True, id="less"),
        pytest.param(replace(MOST, relation="all", bound=0.25), 8.0, 8.0, False, id="as many that are not equal"),
        pytest.param(replace(MOST, relation="all", bound=0.25), 8.0, 7.0, True, id="one more"),
    ],
)
def test_how_far_a_fault_must_be_to_be_told_from_noise(
    policy: Policy, noise: float, fault: float, *, is_apart: bool
) -> None:
    """Ten times; of counts, any more."""
    assert is_apart == (place(policy, [sample(noise)], [sample(fault, "f")]).nearest is not None)


def test_what_is_of_another_gate_does_not_count() -> None:
    """Another metric, kind, dtype, form or reach."""
    others = [
        sample(1.0, metric="n"),
        sample(1.0, situation=Situation("write", "float32")),
        sample(1.0, situation=HERE._replace(dtype="bfloat16")),
        sample(1.0, situation=HERE._replace(form="merged")),
        sample(1.0, situation=HERE._replace(reach="other_stack")),
    ]
    own = replace(MOST, reaches=("own_row",), forms=("lora",))
    placed = place(own, [sample(1e-9), *others], [])
    assert (1e-9, 1) == (placed.noise, placed.num_clean)
    away = replace(MOST, reaches=("other_stack",))
    assert place(away, [sample(1e-9), sample(2e-9, situation=HERE._replace(reach="other_stack"))], []).noise == 2e-9
    with pytest.raises(CaseError, match="nothing can place its gate"):
        place(own, others, [])


def test_a_fault_counts_further_away_too() -> None:
    """Faults are put where the row that wrote reads; noise is what distance adds. Another form is another thing."""
    away = replace(MOST, reaches=("other_stack",), forms=("lora",))
    clean = [sample(1e-6, situation=HERE._replace(reach="other_stack"))]
    placed = place(away, clean, [sample(1e-2, "f")])
    assert (1e-2, "f", True) == (placed.nearest, placed.nearest_fault, placed.carries)
    assert place(away, clean, [sample(1e-2, "f", situation=HERE._replace(form="merged"))]).nearest is None
