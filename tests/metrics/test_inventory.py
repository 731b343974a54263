"""Files, fields and keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.metrics.inventory import changed_fields, measure, missing_files, owed_files
from harness.metrics.observed import Observed
from harness.records.cases import Family
from harness.records.jobs import FieldValue, LoadReport
from harness.records.results import Measured, Measurement, Missing
from tests.observations import DENSE, FIELD, MOE, answered, make_read, make_write

THETA = FieldValue(name="rope_theta", expected="300.0", got="10000.0")


def by_metric(observed: Observed) -> dict[str, Measurement]:
    """The measurements by name."""
    return {measurement.metric: measurement for measurement in measure(observed)}


def test_a_write_owes_its_files() -> None:
    """All there is 0 missing; one left out is counted and named; other files do not matter."""
    assert 0.0 == by_metric(make_write())["files_missing"].value  # type: ignore[union-attr]
    owed = owed_files(make_write())
    observed = make_write(files=(*owed[1:], "merged/odd.txt"))
    expected = Measured(metric="files_missing", value=1.0, unit="files", num_compared=len(owed))
    assert expected == by_metric(observed)["files_missing"]
    assert ("adapter/adapter_config.json",) == missing_files(observed)


def test_generation_config_and_tokenizer_are_owed() -> None:
    """What a reload needs beside weights is on the list."""
    expected = {"merged/generation_config.json", "merged/tokenizer.json", "merged/config.json"}
    assert expected < set(owed_files(make_write()))


@pytest.mark.parametrize(
    ("family", "stack", "folders"),
    [
        pytest.param(MOE, "torch_peft", {"adapter"}, id="experts by PEFT"),
        pytest.param(DENSE, "torch_peft", {"adapter"}, id="dense by PEFT"),
        pytest.param(DENSE, "jax_stacked", {"adapter"}, id="dense by jax"),
        pytest.param(
            MOE, "jax_stacked", {"adapter-standard", "adapter-swapped", "adapter-per_expert"}, id="experts by jax"
        ),
    ],
)
def test_an_adapter_is_owed_in_each_dialect_of_its_stack(family: Family, stack: str, folders: set[str]) -> None:
    """The weights and the configuration in each folder, and no adapter beside them; one that lacks is counted."""
    observed = answered(make_write(family), stack=stack)
    adapters = {path for path in owed_files(observed) if not path.startswith("merged/")}
    names = ("adapter_config.json", "adapter_model.safetensors")
    assert {f"{folder}/{name}" for folder in folders for name in names} == adapters
    lacking = min(adapters)
    some = replace(observed, files=tuple(path for path in owed_files(observed) if path != lacking))
    assert (lacking,) == missing_files(some)
    assert 1.0 == by_metric(some)["files_missing"].value  # type: ignore[union-attr]


def test_fields_that_came_back_otherwise_are_counted() -> None:
    """One of two changed, and it is named with both values; equal ones are none."""
    observed = answered(make_read(), fields=(FIELD, replace(THETA, name="eps")))
    assert (
        Measured(metric="config_changed", value=1.0, unit="fields", num_compared=2)
        == by_metric(observed)["config_changed"]
    )
    assert (("eps", "300.0", "10000.0"),) == changed_fields(observed)
    assert 0.0 == by_metric(make_read())["config_changed"].value  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("loading", "expected"),
    [
        pytest.param(LoadReport(), 0, id="none"),
        pytest.param(LoadReport(missing=("a", "b")), 2, id="missing"),
        pytest.param(LoadReport(unexpected=("a",)), 1, id="unexpected"),
        pytest.param(LoadReport(mismatched=("a",)), 1, id="mismatched"),
        pytest.param(LoadReport(missing=("a",), unexpected=("b",), mismatched=("c",)), 3, id="each"),
    ],
)
def test_keys_that_the_loader_could_not_place_are_counted(loading: LoadReport, expected: int) -> None:
    """Missing, unexpected and mismatched ones, all together."""
    found = by_metric(answered(make_read(), loading=loading))["keys_unplaced"]
    assert isinstance(found, Measured)
    assert (expected, "keys") == (found.value, found.unit)
    assert found.num_compared > 0


def test_what_was_not_loaded_or_compared_is_missing() -> None:
    """Without a loaded model neither fields nor keys, without weights no keys; files are there all the same."""
    crashed = by_metric(answered(make_write(), fields=()))
    assert {"config_changed", "keys_unplaced"} == {name for name, m in crashed.items() if isinstance(m, Missing)}
    assert isinstance(crashed["files_missing"], Measured)
    unweighed = by_metric(make_read(weights=None))
    assert {"keys_unplaced"} == {name for name, m in unweighed.items() if isinstance(m, Missing)}


def test_a_route_owes_no_files() -> None:
    """The files are the write's."""
    assert {"config_changed", "keys_unplaced"} == set(by_metric(make_read()))
