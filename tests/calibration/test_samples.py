"""A result's numbers, in the situation in which gates judge it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from harness.calibration.samples import samples_of
from harness.judging.gates import Situation
from harness.records.jobs import PlannedRead, Strike
from harness.records.results import Measured, Missing
from harness.runs.results import Context, Ended, read_result
from tests.observations import MOE, make_case

READ = PlannedRead(case=make_case(), family=MOE, writer="r1", reader="r1", form="lora")
VARIED = Strike(fault="half_batches", seed=1)


@pytest.mark.parametrize(
    ("read", "fault", "across_stacks", "reach"),
    [
        pytest.param(READ, "", False, "own_row", id="the row that wrote"),
        pytest.param(replace(READ, reader="r2"), "", False, "own_stack", id="another row"),
        pytest.param(replace(READ, reader="jax"), "", True, "other_stack", id="another stack"),
        pytest.param(replace(READ, strike=VARIED), "", False, "own_stack", id="a variation is no longer the same"),
        pytest.param(replace(READ, strike=VARIED), "half_batches", False, "own_row", id="a fault is where it is"),
    ],
)
def test_a_sample_knows_how_far_it_went(
    tmp_path: Path, read: PlannedRead, fault: str, across_stacks: bool, reach: str
) -> None:
    """What is done in another way on purpose has the noise of another row; of what is missing there is no sample."""
    context = Context(out=tmp_path, known={}, today=date(2026, 11, 21))
    result = read_result(read, Ended(directory=None, error="", reused=False), context)
    measured = Measured(metric="m", value=2.0, unit="things", num_compared=3)
    result = replace(result, measurements=(measured, Missing(metric="n", reason="no")))
    (sample,) = samples_of(result, fault, across_stacks=across_stacks)
    assert Situation("read", "float32", "lora", reach) == sample.situation
    assert ("m", 2.0, 3, fault) == (sample.metric, sample.value, sample.num_compared, sample.fault)
