"""The table at full count, from results."""

from __future__ import annotations

from dataclasses import replace

from harness.records.results import Measured, Missing, Result
from harness.runs.full_count import full_count_rows
from tests.reports.conftest import make_cell
from tests.runs.builders import result_of

CELLS = {"r1": make_cell("r1"), "r2": make_cell("r2")}


def number(metric: str, value: float, num_compared: int, unit: str = "nats") -> Measured:
    """A measurement."""
    return Measured(metric=metric, value=value, unit=unit, num_compared=num_compared)


WHOLE = result_of(
    experts={"attempted": 18432, "applied": 18431, "fallback": 1},
    measurements=(
        number("kl_trained_reloaded_max", 2e-5, 96),
        number("kl_equal_routing_max", 3e-12, 94),
        number("kl_base_trained_mean", 1.7, 96),
        number("kl_ratio_equal_routing", 1e-12, 94, "ratio"),
        number("samples_equal", 3.0, 3, "samples"),
    ),
)


def rows_of(*results: Result) -> list[str]:
    """Cells of the rows that these results give."""
    return [row.cell for row in full_count_rows(results, {"case"}, CELLS)]


def test_a_row_holds_what_the_result_measured() -> None:
    """Counts from the weights, divergences over all positions and over those equally routed, samples, versions."""
    (row,) = full_count_rows([WHOLE], {"case"}, CELLS)
    assert ("r1", 18431, 18432, 96, 94, 3, 3, "PASS") == (
        row.cell, row.merged, row.attempted, row.num_positions, row.num_positions_equal_routing, row.samples_equal,
        row.num_samples, row.verdict,
    )  # fmt: skip
    assert WHOLE.measurements[:4] == (
        row.kl_trained_reloaded_max, row.kl_trained_reloaded_equal_routing_max, row.kl_base_trained_mean,
        row.ratio_equal_routing,
    )  # fmt: skip
    assert {"transformers": "5.5.0", "peft": "0.19.1", "trl": "0.25.1"} == row.versions


def test_only_merged_checkpoints_read_by_their_own_writer_count() -> None:
    """Another case, the other form, another reader and the write are no rows; one a cell is."""
    assert ["r1"] == rows_of(WHOLE)
    for other in (
        replace(WHOLE, case="another"),
        replace(WHOLE, form="lora"),
        replace(WHOLE, reader="r2"),
        replace(WHOLE, form="", reader=""),
    ):
        assert [] == rows_of(other)
    assert ["r1", "r2"] == rows_of(WHOLE, replace(WHOLE, writer="r2", reader="r2"))


def test_a_route_that_did_not_get_that_far_has_its_row() -> None:
    """Missing with a reason and zeros: the row is there, and not green."""
    (row,) = full_count_rows([result_of("ERROR", "new")], {"case"}, {})
    assert (0, 0, 0, 0, "ERROR") == (row.merged, row.attempted, row.num_positions, row.num_samples, row.verdict)
    assert isinstance(row.kl_trained_reloaded_max, Missing)
    assert {} == row.versions


def test_a_measurement_that_is_missing_stays_missing() -> None:
    """Its own reason is kept."""
    lost = Missing(metric="kl_equal_routing_max", reason="no position")
    (row,) = full_count_rows([replace(WHOLE, measurements=(lost,))], {"case"}, CELLS)
    assert lost == row.kl_trained_reloaded_equal_routing_max
    assert 0 == row.num_positions_equal_routing
