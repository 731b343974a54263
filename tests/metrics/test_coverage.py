"""Coverage: asked against adapted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.metrics.coverage import measure, owed
from harness.metrics.observed import Observed
from harness.records.cases import AdapterSpec
from harness.records.jobs import Crash
from harness.records.results import Measured, Missing
from tests.observations import EXPERT_3, answered, make_case, make_read, make_write

ROUTER = "model.layers.0.mlp.gate.weight"
HEAD = "lm_head.weight"


def with_adapter(**changes: object) -> Observed:
    """A write whose case asks in another way."""
    return make_write(case=make_case(adapter=replace(make_case().adapter, **changes)))  # type: ignore[arg-type]


def lost_and_extra(observed: Observed) -> tuple[float, float]:
    """Both values, which must be there."""
    lost, extra = measure(observed)
    assert isinstance(lost, Measured)
    assert isinstance(extra, Measured)
    assert ("coverage_lost", "coverage_extra") == (lost.metric, extra.metric)
    return lost.value, extra.value


def test_what_is_owed_is_named_by_the_case_alone() -> None:
    """Attention of two layers and 48 expert projections; a narrower case owes less."""
    assert 8 + 48 == len(owed(make_write()))
    assert 2 * 8 == len(owed(make_write(case=make_case(adapter=AdapterSpec(adapt=("experts.down",))))))
    assert EXPERT_3 in owed(make_write())
    assert ROUTER not in owed(make_write())


@pytest.mark.parametrize(
    ("observed", "take", "add", "expected"),
    [
        pytest.param(make_write(), set(), set(), (0, 0), id="all of it"),
        pytest.param(make_write(), {EXPERT_3}, set(), (1, 0), id="one lost"),
        pytest.param(make_write(), set(), {ROUTER}, (0, 1), id="one extra"),
        pytest.param(with_adapter(recipe="all_linear"), set(), {ROUTER}, (0, 0), id="all-linear asks for more"),
        pytest.param(with_adapter(recipe="all_linear"), {EXPERT_3}, {ROUTER}, (1, 0), id="all-linear loses some"),
        pytest.param(with_adapter(modules_to_save=("lm_head",)), set(), {HEAD}, (0, 0), id="a module trained whole"),
        pytest.param(with_adapter(modules_to_save=("head",)), set(), {HEAD}, (0, 1), id="not that module"),
    ],
)
def test_lost_and_extra(observed: Observed, take: set[str], add: set[str], expected: tuple[int, int]) -> None:
    """Owed and not adapted, adapted and not owed; what a recipe is entitled to is not extra."""
    adapted = tuple(sorted((set(observed.answer.adapted) - take) | add))
    assert expected == lost_and_extra(answered(observed, adapted=adapted))


def test_nothing_adapted_is_all_lost() -> None:
    """A stack that adapts nothing loses everything, and its extra is of nothing."""
    lost, extra = measure(answered(make_write(), adapted=()))
    assert Measured(metric="coverage_lost", value=56.0, unit="tensors", num_compared=56) == lost
    assert Measured(metric="coverage_extra", value=0.0, unit="tensors", num_compared=0) == extra


def test_a_crash_before_anything_was_adapted_is_missing() -> None:
    """A write that did not get that far says so; one that crashed later is measured."""
    crash = Crash(stage="adapt", exception="ValueError", message="", traceback="")
    assert {Missing} == {type(m) for m in measure(answered(make_write(), crash=crash, adapted=()))}
    assert (0.0, 0.0) == lost_and_extra(answered(make_write(), crash=crash))


def test_routes_have_no_coverage() -> None:
    """It is the write's business."""
    assert () == measure(make_read())
