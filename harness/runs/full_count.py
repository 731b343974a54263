"""The seed's table at full count, from the results of the cases that are marked for it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from harness.records.cases import PRINCIPAL
from harness.records.results import CellReport, FullCountRow, Measured, Measurement, Missing, Result


def full_count_rows(
    results: Iterable[Result], full_count_cases: Collection[str], cells: Mapping[str, CellReport]
) -> tuple[FullCountRow, ...]:
    """One row a cell: what came of the merged checkpoint that the cell wrote and read back itself."""
    rows = []
    for result in results:
        if result.case not in full_count_cases or result.form != "merged" or result.writer != result.reader:
            continue
        by_metric = {measurement.metric: measurement for measurement in result.measurements}
        rows.append(
            FullCountRow(
                cell=result.writer,
                versions=_versions(cells.get(result.writer)),
                merged=result.experts.get("applied", 0),
                attempted=result.experts.get("attempted", 0),
                kl_trained_reloaded_max=_get(by_metric, "kl_trained_reloaded_max"),
                kl_trained_reloaded_equal_routing_max=_get(by_metric, "kl_equal_routing_max"),
                kl_base_trained_mean=_get(by_metric, "kl_base_trained_mean"),
                ratio_equal_routing=_get(by_metric, "kl_ratio_equal_routing"),
                num_positions=_compared(by_metric, "kl_trained_reloaded_max"),
                num_positions_equal_routing=_compared(by_metric, "kl_equal_routing_max"),
                samples_equal=round(_value(by_metric, "samples_equal")),
                num_samples=_compared(by_metric, "samples_equal"),
                verdict=result.judgement.verdict,
            )
        )
    return tuple(rows)


def _versions(cell: CellReport | None) -> dict[str, str]:
    installed = cell.versions if cell is not None else {}
    principal = [name for packages in PRINCIPAL.values() for name in packages]
    return {name: installed[name] for name in principal if name in installed}


def _get(by_metric: Mapping[str, Measurement], name: str) -> Measurement:
    return by_metric.get(name, Missing(metric=name, reason="the route did not get that far"))


def _compared(by_metric: Mapping[str, Measurement], name: str) -> int:
    found = by_metric.get(name)
    return found.num_compared if isinstance(found, Measured) else 0


def _value(by_metric: Mapping[str, Measurement], name: str) -> float:
    found = by_metric.get(name)
    return found.value if isinstance(found, Measured) else 0.0
