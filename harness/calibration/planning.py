"""What calibration runs: clean cases of several seeds, read by their own row, by the other stack and in variations;
and every fault. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.checkpoints.dialects import routes_of
from harness.faults.planning import Planned, plan_faults
from harness.planning.expand import PlanCell, applies
from harness.records.cases import Case
from harness.records.faults import Fault
from harness.records.jobs import PlannedRead, PlannedWrite, Strike
from harness.runs.request import Catalogue

VARIED = "torch_peft"
"""The stack that variations are of."""


def plan_calibration(
    catalogue: Catalogue,
    cells: Sequence[PlanCell],
    faults: Mapping[str, Fault],
    variations: Sequence[str],
    num_seeds: int,
) -> tuple[tuple[Planned, ...], tuple[Planned, ...]]:
    """Clean writes with their reads, and struck ones."""
    clean = []
    for case in catalogue.cases:
        if not case.grid or case.full_count or case.cells:
            continue
        for seed in range(1, num_seeds + 1):
            twin = case if seed == case.seed else replace(case, name=f"{case.name}-seed{seed}", seed=seed)
            clean += [
                _clean(twin, case, catalogue, cell, cells, variations)
                for cell in cells
                if cell.stack in case.stacks
                and applies(case, catalogue.families[case.family], cell.stack, cell.versions) is None
            ]
    struck, _ = plan_faults(faults, catalogue, 0, 0, lambda _: True)
    return tuple(clean), struck


def _clean(
    case: Case,
    declared: Case,
    catalogue: Catalogue,
    writer: PlanCell,
    cells: Sequence[PlanCell],
    variations: Sequence[str],
) -> Planned:
    """`case` is `declared` with another seed: what is known to break of that one breaks of both, and is no noise."""
    family = catalogue.families[case.family]
    write = PlannedWrite(case=case, family=family, cell=writer.name)
    reads = [
        PlannedRead(case=case, family=family, writer=writer.name, reader=reader.name, form=form, dialect=dialect)
        for reader in cells
        if applies(replace(case, stacks=(reader.stack,)), family, reader.stack, reader.versions) is None
        for form, dialect in routes_of(case, family, writer.stack)
    ]
    reads = [read for read in reads if replace(read, case=declared).id not in catalogue.known]
    own = [read for read in reads if read.reader == writer.name and writer.stack == VARIED]
    varied = [replace(read, strike=Strike(fault=name, seed=case.seed)) for read in own for name in variations]
    return Planned(fault="", write=write, reads=(*reads, *varied))
