"""Where in the forward pass a reloaded model is off, and by how much at most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.metrics.layers import NAME, StageError, first_beyond, measure, stage_errors
from harness.metrics.observed import Observed, Outputs
from harness.records.results import Measured, Missing
from tests.observations import DENSE, MOE, make_logits, make_outputs, make_read, make_write

TRAINED = make_outputs(make_logits(2))
PASS = ("embed_tokens", "layers.0.self_attn", "layers.0.mlp", "layers.0", "layers.1.self_attn", "layers.1.mlp", "norm")
"""The stages of two sparse layers."""


def scaled(**factors: float) -> Outputs:
    """The trained outputs with some stages (a dot in a name is an underscore) times a factor."""
    stages = {name: array * factors.get(name.replace(".", "_"), 1.0) for name, array in TRAINED.stages.items()}
    return replace(TRAINED, stages=stages)


def read(reloaded: Outputs | None) -> Observed:
    """A route of the trained outputs to these."""
    return make_read(trained=TRAINED, reloaded=reloaded)


@pytest.mark.parametrize(
    ("reloaded", "bound", "expected"),
    [
        pytest.param(scaled(), 1e-4, "None", id="equal"),
        pytest.param(scaled(layers_0=1.01, layers_1=2.0), 1e-4, "layers.0 (relative", id="the first of two"),
        pytest.param(scaled(layers_1=1.01), 1e-4, "layers.1 (relative difference 0.01)", id="the last"),
        pytest.param(scaled(layers_1=1.01), 5e-2, "None", id="within the bound"),
        pytest.param(scaled(layers_1=1.1), 5e-2, "layers.1 (relative", id="beyond it"),
        pytest.param(scaled(layers_1=2.0), 1.0, "None", id="on it"),
        pytest.param(scaled(layers_0=np.nan), 1e-4, "layers.0 (relative difference nan)", id="NaN"),
        pytest.param(replace(TRAINED, stages={}), 1e-4, "embed_tokens (not there)", id="no stages"),
        pytest.param(
            replace(TRAINED, stages={name: array[:1] for name, array in TRAINED.stages.items()}),
            1e-4,
            "embed_tokens (shape (1, 5, 4), was (2, 5, 4))",
            id="another shape",
        ),
        pytest.param(None, 1e-4, "None", id="not observed"),
    ],
)
def test_the_first_stage_beyond_a_bound_is_named(reloaded: Outputs | None, bound: float, expected: str) -> None:
    """In the order of the forward pass, with how far off it is; nothing where nothing diverges."""
    assert str(first_beyond(read(reloaded), bound)).startswith(expected)


@pytest.mark.parametrize(
    ("stage", "layer"), [("embed_tokens", None), ("layers.11", 11), ("layers.3.self_attn", 3), ("norm", None)]
)
def test_a_stage_knows_its_layer(stage: str, layer: int | None) -> None:
    """What is in no layer has none."""
    trained = replace(TRAINED, stages={stage: TRAINED.stages["layers.0"]})
    (error,) = stage_errors(make_read(trained=trained, reloaded=trained))
    assert (stage, layer, 0.0) == (error.stage, error.layer, error.error)


def measured(observed: Observed) -> Measured:
    """The one number."""
    (found,) = measure(observed)
    assert isinstance(found, Measured)
    return found


def test_the_worst_stage_counts() -> None:
    """Relative to the trained model's, over every position of every stage."""
    assert Measured(metric=NAME, value=0.0, unit="ratio", num_compared=30) == measured(read(scaled()))
    assert pytest.approx(0.5) == measured(read(scaled(layers_0=1.1, layers_1=1.5))).value


@pytest.mark.parametrize(
    ("reloaded", "reason"),
    [
        (None, "no stage of the forward pass was observed"),
        (replace(TRAINED, stages={}), "embed_tokens (not there)"),
        (scaled(layers_1=np.nan), "layers.1 (relative difference nan)"),
    ],
    ids=["not observed", "no stages", "NaN"],
)
def test_what_cannot_be_compared_is_no_number(reloaded: Outputs | None, reason: str) -> None:
    """The stage is in the reason."""
    assert (Missing(metric=NAME, reason=reason),) == measure(read(reloaded))


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        pytest.param({}, "not there", id="not there"),
        pytest.param(
            {"embed_tokens": TRAINED.stages["embed_tokens"][:1]}, "shape (1, 5, 4), was (2, 5, 4)", id="shape"
        ),
    ],
)
def test_a_stage_that_cannot_be_compared_is_infinitely_far_off(stages: dict[str, np.ndarray], problem: str) -> None:
    """And nothing of it was compared."""
    first, *_ = stage_errors(read(replace(TRAINED, stages=stages)))
    assert StageError("embed_tokens", np.inf, 0, problem) == first


def test_a_write_has_no_reload() -> None:
    """Nothing is measured of it."""
    assert () == measure(make_write())


def flipped(layer: int, position: int, *spoiled: str) -> Observed:
    """A route whose routers choose otherwise in one layer at one position of the first sequence, and whose stages
    `spoiled` are another number from there on in that sequence.
    """
    stage = np.ones((2, 5, 4), np.float32)
    trained = replace(TRAINED, stages=dict.fromkeys(PASS, stage))
    other = stage.copy()
    other[0, position:] = 9.0
    routing = TRAINED.routing_MBTK.copy()
    routing[layer, 0, position] += 1
    stages = {name: other if name in spoiled else stage for name in PASS}
    return make_read(trained=trained, reloaded=replace(trained, stages=stages, routing_MBTK=routing))


BEHIND = {0: PASS[2:], 1: PASS[5:]}
"""By layer: the stages behind its router."""


@pytest.mark.parametrize("layer", [0, 1])
def test_behind_a_flipped_router_positions_do_not_count(layer: int) -> None:
    """The flip's own and the later ones of its sequence, from its experts on."""
    observed = flipped(layer, 2, *BEHIND[layer])
    assert 0.0 == measured(observed).value
    assert 70 - 3 * len(BEHIND[layer]) == measured(observed).num_compared


@pytest.mark.parametrize("layer", [0, 1])
def test_before_a_flipped_router_they_do(layer: int) -> None:
    """What makes the router choose otherwise is seen in the stage before it."""
    [*_, before] = [name for name in PASS if name not in BEHIND[layer]]
    observed = flipped(layer, 2, before, *BEHIND[layer])
    assert measured(observed).value > 1
    assert before == getattr(first_beyond(observed, 0.1), "stage", "")


def test_where_routing_cannot_be_told_every_position_counts() -> None:
    """Of a dense model, and of one that reports another number of layers."""
    for family in (DENSE, MOE):
        observed = flipped(0, 2, *BEHIND[0])
        assert observed.trained is not None
        assert observed.reloaded is not None
        none = np.zeros((0, 2, 5, 0), np.int64)
        trained, reloaded = (replace(each, routing_MBTK=none) for each in (observed.trained, observed.reloaded))
        assert 70 == measured(make_read(family, trained=trained, reloaded=reloaded)).num_compared


@pytest.mark.parametrize(
    ("expected", "got", "error"),
    [
        pytest.param(1e4, 1e4 + 1, 1e-4, id="large numbers"),
        pytest.param(1e-3, 1.1e-3, 0.1, id="small numbers"),
        pytest.param(0.0, 1.0, np.sqrt(40) * 1e30, id="from nothing"),
    ],
)
def test_differences_are_relative_to_the_stage(expected: float, got: float, error: float) -> None:
    """However large or small its numbers are."""
    trained, reloaded = (replace(TRAINED, stages={"norm": np.full((2, 5, 4), number)}) for number in (expected, got))
    (found,) = stage_errors(make_read(trained=trained, reloaded=reloaded))
    assert pytest.approx(error) == found.error
