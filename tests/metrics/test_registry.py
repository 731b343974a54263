"""The contract of the folder: every metric file is registered, measures something, and never lies by silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import harness.metrics
from harness import codec
from harness.judging.gates import load_gates
from harness.metrics import NOT_METRICS, measure_all, registry
from harness.metrics.observed import Observed
from harness.records.jobs import Crash
from harness.records.results import Measured
from tests.observations import DENSE, MOE, answered, make_logits, make_outputs, make_read, make_write

SITUATIONS = {
    "a write of a MoE model": make_write(),
    "a write of a dense model": make_write(DENSE),
    "a lora route": make_read(form="lora"),
    "a merged route": make_read(),
    "a dense route": make_read(DENSE),
    "a route whose samples differ": make_read(
        reloaded=make_outputs(make_logits(3), tokens_SN=make_outputs(make_logits(3)).tokens_SN + 1)
    ),
}


def test_every_file_is_a_metric_or_said_not_to_be() -> None:
    """The folder's listing is the registry, and it is not empty."""
    folder = Path(harness.metrics.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert files == set(registry()) | NOT_METRICS
    assert set() == set(registry()) & NOT_METRICS
    assert len(registry()) >= 8


@pytest.mark.parametrize("name", sorted(registry()))
def test_every_metric_measures_something(name: str) -> None:
    """Of a clean write or a clean route of one family or the other."""
    made = [m for observed in SITUATIONS.values() for m in registry()[name](observed)]
    assert any(isinstance(measurement, Measured) and measurement.num_compared > 0 for measurement in made)


@pytest.mark.parametrize("name", sorted(registry()))
def test_every_metric_has_its_own_test_file(name: str) -> None:
    """A metric more is a test file more."""
    assert Path(__file__).with_name(f"test_{name}.py").is_file()


@pytest.mark.parametrize("situation", SITUATIONS)
def test_names_are_unique_and_values_can_be_recorded(situation: str) -> None:
    """No two metrics use one name, and what they measure has a JSON form."""
    measurements = measure_all(SITUATIONS[situation])
    names = [measurement.metric for measurement in measurements]
    assert sorted(set(names)) == sorted(names)
    assert len(names) == len(json.loads(codec.dumps(measurements)))


def test_every_gate_names_a_metric_that_is_measured() -> None:
    """For each kind and family in which it stands, some clean observation yields the gate's metric."""
    for gate in load_gates().gates:
        for kind in gate.kinds:
            made = {
                measurement.metric
                for observed in SITUATIONS.values()
                if (kind == "read") == bool(observed.form)
                for measurement in measure_all(observed)
            }
            assert gate.metric in made, f"{gate.metric} is gated for a {kind} and never measured of one"


def nothing(family: object, form: str) -> Observed:
    """A job that got nowhere."""
    make = make_read if form else make_write
    observed = make(family, base=None, trained=None, reloaded=None, weights=None, files=())  # type: ignore[arg-type, operator]
    crash = Crash(stage="load_base", exception="OSError", message="", traceback="")
    return answered(observed, crash=crash, fields=(), adapted=(), losses=(), notes={})


@pytest.mark.parametrize("form", ["", "lora", "merged"])
@pytest.mark.parametrize("family", [MOE, DENSE], ids=lambda family: family.name)
def test_a_job_that_got_nowhere_can_be_measured(family: object, form: str) -> None:
    """Every metric copes with nothing at all, and makes no number of it but of the files."""
    made = [m for m in measure_all(nothing(family, form)) if isinstance(m, Measured)]
    assert ([] if form else ["files_missing"]) == [measurement.metric for measurement in made]
