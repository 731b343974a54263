"""Faults × cases to jobs: each struck write with all its reads, each struck read, and their clean twins. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import cycle

from harness.checkpoints.dialects import routes_of
from harness.records.cases import Case, Family, Stack
from harness.records.faults import Fault
from harness.records.jobs import PlannedRead, PlannedWrite, Strike
from harness.runs.request import Catalogue
from harness.runs.selection import Predicate

FIRST_CONTROL_SEED = 101
"""Those of cases and of calibration lie below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One write, clean or struck, with the reads that say something of it."""

    fault: str
    """Empty for a control."""
    clean: str = "PASS"
    """What the judges must say of a control."""
    write: PlannedWrite
    reads: tuple[PlannedRead, ...]


def plan_faults(
    faults: Mapping[str, Fault], catalogue: Catalogue, seed: int, num_controls: int, wanted: Predicate
) -> tuple[tuple[Planned, ...], tuple[Planned, ...]]:
    """Struck jobs and clean ones: of every case that is struck, and `num_controls` more of other seeds.

    `wanted` chooses by "fault case".
    """
    cases = {case.name: case for case in (*catalogue.cases, *catalogue.fault_cases)}
    stacks = {cell.name: cell.stack for cell in catalogue.matrix.cells}
    struck, used = [], dict[tuple[str, str, str], Case]()
    for name, fault in faults.items():
        for case_name in fault.cases:
            case = changed(cases[case_name], fault)
            if not wanted(f"{name} {case.name}"):
                continue
            used[case.name, fault.row, fault.clean] = case
            family, stack = catalogue.families[case.family], stacks[fault.row]
            struck.append(_struck(name, fault, case, family, stack, seed))
    controls = [
        _clean(case, catalogue.families[case.family], row, stacks[row], clean) for (_, row, clean), case in used.items()
    ]
    passing = [(row, case) for (_, row, clean), case in used.items() if clean == "PASS"]
    for number, (row, case) in zip(range(num_controls), cycle(passing), strict=False):
        other_seed = FIRST_CONTROL_SEED + number
        twin = replace(case, name=f"{case.name}-seed{other_seed}", seed=other_seed)
        controls.append(_clean(twin, catalogue.families[case.family], row, stacks[row], "PASS"))
    return tuple(struck), tuple(controls)


def changed(case: Case, fault: Fault) -> Case:
    """The case as the fault wants it: under a name of its own if it is another."""
    if not fault.changes:
        return case
    words = "-".join(f"{key}_{value:g}" for key, value in fault.changes.items())
    return replace(case, name=f"{case.name}-{words}", **fault.changes)


def _clean(case: Case, family: Family, row: str, stack: Stack, clean: str) -> Planned:
    write = PlannedWrite(case=case, family=family, cell=row)
    return Planned(fault="", write=write, reads=_reads(write, stack), clean=clean)


def _struck(name: str, fault: Fault, case: Case, family: Family, stack: Stack, seed: int) -> Planned:
    strike = Strike(fault=name, seed=seed)
    if fault.form is None:
        write = PlannedWrite(case=case, family=family, cell=fault.row, strike=strike)
        return Planned(fault=name, write=write, reads=_reads(write, stack))
    write = PlannedWrite(case=case, family=family, cell=fault.row)
    reads = tuple(replace(read, strike=strike) for read in _reads(write, stack) if read.form == fault.form)
    return Planned(fault=name, write=write, reads=reads)


def _reads(write: PlannedWrite, stack: Stack) -> tuple[PlannedRead, ...]:
    """What is saved, read back by the row that saved it."""
    return tuple(
        PlannedRead(
            case=write.case,
            family=write.family,
            writer=write.cell,
            reader=write.cell,
            form=form,
            dialect=dialect,
            written_strike=write.strike,
        )
        for form, dialect in routes_of(write.case, write.family, stack)
    )
