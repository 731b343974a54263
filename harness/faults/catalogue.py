"""The catalogue of faults, read from `cases/faults/` and held to what makes sense. Runs nothing."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from harness.errors import CaseError
from harness.judging.advice import ADVICE
from harness.records.faults import CHECKS, Fault
from harness.runs.request import Catalogue
from harness.verify.verdicts import VERDICTS

DTYPES = frozenset({"float32", "bfloat16"})
KINDS = frozenset({*ADVICE, *VERDICTS, "refused"})
"""What the judge and `verify` call what they find; "refused" is what `verify` cannot read."""
INJECTING = "cases.injecting"
"""By name: it lies in the inside world, whose packages it imports when a fault strikes and not before."""


def load_faults(catalogue: Catalogue) -> Mapping[str, Fault]:
    """Every fault by its name. Raises CaseError naming the fault and what is wrong with it."""
    faults: dict[str, Fault] = {}
    for name, module in importlib.import_module(INJECTING).modules().items():
        fault = getattr(module, "FAULT", None)
        if not isinstance(fault, Fault) or not callable(getattr(module, "strike", None)):
            raise CaseError("a fault's module has a FAULT and a function strike(scene)", where=module.__name__)
        check(name, fault, catalogue)
        faults[name] = fault
    return faults


def load_areas() -> Mapping[str, str]:
    """The area of every fault by its name: the folder that it lies in."""
    modules = importlib.import_module(INJECTING).modules()
    return {name: module.__name__.split(".")[-2] for name, module in modules.items()}


def check(name: str, fault: Fault, catalogue: Catalogue) -> None:
    """Raise CaseError if the fault is not one that could be put into a job and caught."""
    where = f"fault {name}"
    cases = {case.name: case for case in (*catalogue.cases, *catalogue.fault_cases)}
    rows = {cell.name for cell in catalogue.matrix.cells}
    for case in fault.cases:
        if case not in cases:
            raise CaseError("unknown case", where=where, got=case)
    if fault.row not in rows:
        raise CaseError("unknown row", where=where, expected=", ".join(sorted(rows)), got=fault.row)
    if not fault.source or not fault.what:
        raise CaseError("a fault says what really happened, and where", where=where)
    if not fault.names:
        raise CaseError("no check must catch it", where=where, expected="at least one in `names`")
    if unknown := sorted(set[str](fault.names) - set(CHECKS)):
        raise CaseError("unknown check", where=where, expected=", ".join(CHECKS), got=unknown[0])
    if unknown := sorted(set(fault.names.values()) - KINDS):
        raise CaseError("no check names such a kind", where=where, got=unknown[0])
    if fault.form and set(fault.names) != {fault.form}:
        raise CaseError(
            "what is put into a read is seen by that read alone", where=where, expected=fault.form, got=str(fault.names)
        )
    dtypes = {cases[case].dtype for case in fault.cases}
    if (dtypes == DTYPES) == bool(fault.only):
        raise CaseError(
            "`only` says why a fault cannot exist in a dtype", where=where, expected="both dtypes, or the reason",
            got=f"{', '.join(sorted(dtypes))}; only = {fault.only!r}",
        )  # fmt: skip
