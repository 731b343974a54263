"""From findings and counts to the verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.verify.records import Finding, Severity
from harness.verify.report import ExpertCounts, SiteSeen, State, TensorCounts, Verdict
from harness.verify.verdicts import (
    GRAVITY,
    VERDICTS,
    count_experts,
    count_tensors,
    in_order,
    is_unchanged,
    verdict_of,
)

SITE = SiteSeen(
    name="w", layer=0, expert=None, part=None, state="applied", recovered=1.0, residual=0.0, num_elements=4, num_wrong=0
)


def sites(*states: State, expert: int | None = None) -> list[SiteSeen]:
    """Weights of which this became."""
    return [replace(SITE, state=state, expert=expert) for state in states]


def found(kind: str, severity: Severity = "error", tensor: str = "") -> Finding:
    """A finding."""
    return Finding(kind=kind, severity=severity, message="", tensor=tensor)


def said(*findings: Finding, states: tuple[State, ...] = ("applied", "missing")) -> Verdict:
    """The verdict, where `w` is adapted."""
    return verdict_of(findings, sites(*states), frozenset({"w"}), Verdict.CONTAINS)


@pytest.mark.parametrize("kind", sorted(VERDICTS))
def test_an_error_leads_where_its_kind_does_and_a_warning_nowhere(kind: str) -> None:
    """Only errors decide."""
    assert VERDICTS[kind] == said(found(kind))
    assert Verdict.CONTAINS == said(found(kind, "warning"), found(kind, "note"))


def test_a_kind_that_nobody_knows_is_inconclusive() -> None:
    """It is an error, and what it means cannot be told."""
    assert Verdict.INCONCLUSIVE == said(found("never_heard_of"))


def test_the_gravest_verdict_is_said() -> None:
    """Whatever was found first."""
    kinds = {verdict: kind for kind, verdict in VERDICTS.items()}
    assert set(GRAVITY) - {Verdict.BASE_UNCHANGED} == set(kinds)
    order = [found(kinds[verdict]) for verdict in GRAVITY if verdict in kinds]
    for position, verdict in enumerate(each for each in GRAVITY if each in kinds):
        assert verdict == said(*order[position:]) == said(*reversed(order[position:]))


def test_a_tensor_that_is_missing_is_part_of_the_delta_where_it_is_adapted() -> None:
    """PARTIAL for one that the adapter changes, INCOMPLETE for any other."""
    assert Verdict.PARTIAL == said(found("tensor_missing", tensor="w"))
    assert Verdict.INCOMPLETE == said(found("tensor_missing", tensor="v"))
    assert Verdict.INCOMPLETE == said(found("tensor_unexpected", tensor="w"))


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        pytest.param(("missing", "missing"), True, id="all of it is missing"),
        pytest.param(("missing", "zero", "lost", "untold"), True, id="the rest needed no change or was not told"),
        pytest.param(("missing", "applied"), False, id="some of it is there"),
        pytest.param(("missing", "wrong"), False, id="something else is there"),
        pytest.param(("zero", "lost", "untold"), False, id="nothing is known to be missing"),
        pytest.param((), False, id="there is nothing"),
    ],
)
def test_base_is_unchanged_where_nothing_that_should_have_changed_did(
    states: tuple[State, ...], expected: bool
) -> None:
    """Then what would be PARTIAL is BASE_UNCHANGED, and what is graver or not as grave stays."""
    assert expected == is_unchanged(sites(*states))
    partial = Verdict.BASE_UNCHANGED if expected else Verdict.PARTIAL
    assert partial == said(found("delta_missing"), states=states)
    assert partial == said(found("delta_missing"), found("config_mismatch"), states=states)
    assert Verdict.WRONG_VALUES == said(found("delta_missing"), found("non_finite"), states=states)
    assert Verdict.INCOMPLETE == said(found("config_mismatch"), states=states)


def test_findings_are_shown_gravest_first() -> None:
    """Errors before warnings before notes, then by where they lead; otherwise as they were found."""
    order = [
        found("passthrough_changed", tensor="b"),
        found("delta_wrong_sign", tensor="a"),
        found("delta_wrong_layout"),
        found("tensor_missing", tensor="w"),
        found("tensor_missing", tensor="v"),
        found("never_heard_of"),
        found("non_finite", "warning"),
        found("config_mismatch", "warning"),
        found("non_finite", "note"),
    ]
    assert tuple(order) == in_order([*order[2:][::-1], *order[:2]], frozenset({"w"}))
    assert tuple(order) == in_order(order, frozenset({"w"}))


def test_weights_are_counted_by_what_became_of_them() -> None:
    """What needs no change is matched; what was not told is targeted and nothing more."""
    states: tuple[State, ...] = ("applied", "applied", "lost", "zero", "missing", "wrong", "wrong", "wrong", "untold")
    assert TensorCounts(targeted=9, matched=4, unchanged=1, wrong=3) == count_tensors(sites(*states))
    assert TensorCounts(targeted=0, matched=0, unchanged=0, wrong=0) == count_tensors([])


def test_expert_projections_are_counted_by_those_whose_files_show_their_delta() -> None:
    """A delta of zero is not attempted, one that rounds to base is applied, and others are no experts."""
    states: tuple[State, ...] = ("applied", "applied", "lost", "zero", "missing", "wrong", "untold")
    experts = sites(*states, expert=0)
    assert ExpertCounts(attempted=6, applied=3, fallback=3) == count_experts([*experts, *sites("applied", "wrong")])
    assert ExpertCounts(attempted=0, applied=0, fallback=0) == count_experts(sites("applied"))
