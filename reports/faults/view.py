"""What the views of a kill matrix share: marks, tallies by area and by check, what is wrong in words. Pure.

Takes a `KillMatrix` and gives small frozen records; not cleaned, and knows no output format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from harness.records.faults import CHECKS, Check, CheckedFault, FaultResult, KillMatrix, StruckCase
from reports.text import counted

MarkName = Literal["named", "caught", "owed", "besides", "quiet", ""]
StandingName = Literal["named", "caught", "missed"]


class Mark(NamedTuple):
    """What a check made of a fault, as it is shown."""

    symbol: str
    says: str


MARKS: Mapping[MarkName, Mark] = {
    "named": Mark("●", "caught, and the culprit named"),
    "caught": Mark("◐", "caught, and the culprit not named"),
    "owed": Mark("✕", "missed, and it must not"),
    "besides": Mark("○", "caught, though it need not"),
    "quiet": Mark("·", "says nothing of it, and need not"),
    "": Mark("", "was not asked"),
}
"""In the order of the legend."""
STANDINGS: Mapping[StandingName, Mark] = {
    "missed": Mark("✕", "missed by a check that must catch it"),
    "caught": Mark("◐", "caught, and the culprit not named"),
    "named": Mark("✓", "caught and named"),
}
"""Gravest first."""
PLACES: Mapping[str, str] = {
    "artifact": "into what was saved",
    "stack": "into the stack's code",
    "environment": "into what surrounds the stack",
}
CHECK_NAMES: Mapping[Check, str] = {
    "write": "the judge of the training and what it saved",
    "lora": "the judge of the adapter's reload",
    "merged": "the judge of the merge's reload",
    "verify": "deltaproof verify, on the saved files",
}


class Tally(NamedTuple):
    """How many faults stand how."""

    num_faults: int
    num_named: int
    num_caught: int
    """Caught, and not named."""
    num_missed: int


class Area(NamedTuple):
    """A folder of faults."""

    name: str
    faults: tuple[FaultResult, ...]
    tally: Tally


class CheckTally(NamedTuple):
    """What one check was worth."""

    check: Check
    num_owed: int
    """Faults that it must catch: the next three together."""
    num_named: int
    num_caught: int
    num_missed: int
    num_besides: int
    """Others that it caught all the same."""


class Trouble(NamedTuple):
    """Why a check that must catch and name a fault did not."""

    check: Check
    says: str
    """In the first of the cases in which it is so."""
    cases: tuple[str, ...]
    dtypes: tuple[str, ...]


def mark_of(fault: FaultResult, check: Check) -> MarkName:
    """What a check made of a fault, the worst over its cases; empty where nobody asked it."""
    said = [each for case in fault.cases for each in case.checks if each.check == check]
    if any(check in case.owed and not _caught_by(case, check) for case in fault.cases):
        return "owed"
    if not said:
        return ""
    if not all(each.caught for each in said):
        return "quiet"
    if not is_owed(fault, check):
        return "besides"
    return "named" if all(each.named for each in said) else "caught"


def is_owed(fault: FaultResult, check: Check) -> bool:
    """Whether it must catch it."""
    return any(check in case.owed for case in fault.cases)


def owed_kinds(fault: FaultResult) -> dict[Check, str]:
    """The checks that must catch it, each with the kind of finding that must name it; "" where it was not run."""
    kinds = {each.check: each.kind for case in fault.cases for each in case.checks if each.is_owed}
    return {check: kinds.get(check, "") for check in CHECKS if is_owed(fault, check)}


def dtypes_of(fault: FaultResult) -> tuple[str, ...]:
    """Those that it was put into."""
    return tuple(sorted({case.dtype for case in fault.cases}))


def standing_of(fault: FaultResult) -> StandingName:
    """How a fault stands, over all of its cases and checks."""
    return _standing(is_caught=fault.is_caught, is_named=fault.culprit_named)


def standing_of_case(case: StruckCase) -> StandingName:
    """How one of its cases stands."""
    return _standing(is_caught=case.is_caught, is_named=case.is_named)


def tally(faults: Iterable[FaultResult]) -> Tally:
    """The tally of `faults`."""
    counts = Counter(standing_of(fault) for fault in faults)
    return Tally(counts.total(), counts["named"], counts["caught"], counts["missed"])


def areas(matrix: KillMatrix) -> tuple[Area, ...]:
    """The faults by their folder, in the matrix's order."""
    grouped: dict[str, list[FaultResult]] = {}
    for fault in matrix.faults:
        grouped.setdefault(fault.area, []).append(fault)
    return tuple(Area(name, tuple(faults), tally(faults)) for name, faults in grouped.items())


def by_check(matrix: KillMatrix) -> tuple[CheckTally, ...]:
    """Each check with what it must catch, and what it did."""
    rows = []
    for check in CHECKS:
        counts = Counter(mark_of(fault, check) for fault in matrix.faults if is_owed(fault, check))
        besides = sum(mark_of(fault, check) == "besides" for fault in matrix.faults)
        rows.append(CheckTally(check, counts.total(), counts["named"], counts["caught"], counts["owed"], besides))
    return tuple(rows)


def troubles(fault: FaultResult) -> tuple[Trouble, ...]:
    """What is wrong with a row, check by check."""
    found = []
    for check in CHECKS:
        amiss = [(case, says) for case in fault.cases if (says := _amiss(case, check))]
        if amiss:
            cases = tuple(case.case for case, _ in amiss)
            dtypes = tuple(dict.fromkeys(case.dtype for case, _ in amiss))
            found.append(Trouble(check, amiss[0][1], cases, dtypes))
    return tuple(found)


def headline(matrix: KillMatrix) -> str:
    """The numbers in one sentence."""
    alarms = counted(matrix.num_false_alarms, "false alarm") if matrix.num_false_alarms else "no false alarm"
    clean = counted(matrix.num_controls, "clean run")
    caught = f"{matrix.num_caught} of {counted(matrix.num_faults, 'known bug')} caught and named"
    return f"{caught}, {alarms} in {clean}"


def next_step(matrix: KillMatrix) -> str:
    """What to do about it."""
    found = tally(matrix.faults)
    if matrix.num_false_alarms:
        return "Look at the false alarms first: a check that cries in a clean run is believed by nobody."
    if found.num_missed:
        return "Mend the checks that miss a fault. What a fault must be named by says what is right, and stays."
    if found.num_caught:
        return "Mend what the findings name: the faults are seen, and whoever reads of them is sent to the wrong place."
    return "Nothing to do."


def _standing(*, is_caught: bool, is_named: bool) -> StandingName:
    return ("named" if is_named else "caught") if is_caught else "missed"


def _caught_by(case: StruckCase, check: Check) -> bool:
    said = [each for each in case.checks if each.check == check]
    return bool(said) and all(each.caught for each in said)


def _amiss(case: StruckCase, check: Check) -> str:
    """Why `check` did not catch and name it in this case; empty if it did, or need not."""
    said = [each for each in case.checks if each.check == check]
    if check not in case.owed:
        return ""
    if not said:
        return "was not run"
    return next((_why(each) for each in said if not each.named), "")


def _why(each: CheckedFault) -> str:
    """A crash is no catch, and a catch is not yet a name."""
    said = " ".join(filter(None, (each.verdict, each.cause)))
    if each.caught:
        return f"{said}: {each.message}" if each.message else f"{said}: what was hit is not known"
    why = "nothing was judged" if each.verdict == "ERROR" else "not caught"
    told = f", {each.message}" if each.message not in ("", each.cause) else ""
    return f"{said}: {why}{told}"
