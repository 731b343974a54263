"""The first stage of the forward pass that differs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.metrics.layers import first_diverging
from harness.metrics.observed import Outputs
from tests.observations import make_logits, make_outputs

TRAINED = make_outputs(make_logits(2))


def scaled(**factors: float) -> Outputs:
    """The trained outputs with some stages (a dot in a name is an underscore) times a factor."""
    stages = {name: array * factors.get(name.replace(".", "_"), 1.0) for name, array in TRAINED.stages.items()}
    return replace(TRAINED, stages=stages)


@pytest.mark.parametrize(
    ("reloaded", "dtype", "expected"),
    [
        pytest.param(scaled(), "float32", "", id="equal"),
        pytest.param(scaled(layers_0=1.01, layers_1=2.0), "float32", "layers.0 (relative", id="the first of two"),
        pytest.param(scaled(layers_1=1.01), "float32", "layers.1 (relative difference 0.01)", id="the last"),
        pytest.param(scaled(layers_1=1.01), "bfloat16", "", id="noise in bfloat16"),
        pytest.param(scaled(layers_1=1.1), "bfloat16", "layers.1 (relative", id="no noise in bfloat16 either"),
        pytest.param(scaled(layers_0=np.nan), "float32", "layers.0 (relative difference nan)", id="NaN"),
        pytest.param(replace(TRAINED, stages={}), "float32", "embed_tokens (not there)", id="no stages"),
        pytest.param(
            replace(TRAINED, stages={name: array[:1] for name, array in TRAINED.stages.items()}),
            "float32",
            "embed_tokens (shape (1, 5, 4), was (2, 5, 4))",
            id="another shape",
        ),
        pytest.param(None, "float32", "", id="not observed"),
    ],
)
def test_the_first_stage_beyond_noise_is_named(reloaded: Outputs | None, dtype: str, expected: str) -> None:
    """In the order of the forward pass, with how far off it is; empty where nothing diverges."""
    found = first_diverging(TRAINED, reloaded, dtype)
    assert found.startswith(expected)
    assert bool(expected) == bool(found)


@pytest.mark.parametrize(
    ("expected", "got", "found"),
    [
        pytest.param(1e4, 1e4 + 1, "", id="as much as noise"),
        pytest.param(1e4, 1e4 + 1.01, "norm (relative difference 0.0001)", id="a little more"),
        pytest.param(1e-3, 1.1e-3, "norm (relative difference 0.1)", id="small numbers"),
        pytest.param(0.0, 1.0, "norm (relative difference 1e+30)", id="from nothing"),
        pytest.param(1e-3, 1e-3 + 1e-8, "", id="small numbers that agree"),
    ],
)
def test_differences_are_relative_to_the_stage(expected: float, got: float, found: str) -> None:
    """However large or small its numbers are."""
    trained, reloaded = (replace(TRAINED, stages={"norm": np.full((1, 1, 1), number)}) for number in (expected, got))
    assert found == first_diverging(trained, reloaded, "float32")
    assert "" == first_diverging(None, reloaded, "float32")
