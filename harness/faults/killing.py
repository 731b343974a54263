"""From what the checks say to the kill matrix: which fault was caught by which check, and named. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checkpoints.configs import effective_config
from harness.checkpoints.naming import module_table
from harness.faults.checking import Said
from harness.faults.naming import unnamed
from harness.faults.planning import Planned
from harness.records.faults import CHECKS, CheckedFault, Control, Fault, FaultResult, StruckCase
from harness.records.jobs import Hit
from harness.verify.report import Verdict


def struck_case(planned: Planned, fault: Fault, hit: Hit | None, said: Sequence[Said], seed: int) -> StruckCase:
    """One fault in one case: it is caught if every check that must catch it has, and none of those by accident."""
    table = module_table(planned.write.family, effective_config(planned.write.family, planned.write.case))
    checks = []
    for each in said:
        kind = fault.names.get(each.check) if hit is not None else None
        caught = each.verdict != expected_of(fault.clean)[each.check] and (fault.crashes or not each.is_crash)
        message = (each.message or each.cause) if kind else ""
        if caught and kind and hit is not None:
            message = unnamed(kind, hit, each.findings, table)
        named = caught and bool(kind) and not message
        checks.append(
            CheckedFault(
                check=each.check,
                result=each.result,
                verdict=each.verdict,
                cause=each.cause,
                is_owed=each.check in fault.names,
                kind=fault.names.get(each.check, ""),
                caught=caught,
                named=named,
                message=message,
                metrics=each.metrics,
            )
        )
    owed = [check for check in checks if check.is_owed]
    is_whole = set(fault.names) <= {check.check for check in owed}
    return StruckCase(
        case=planned.write.case.name,
        dtype=planned.write.case.dtype,
        hit=() if hit is None else hit.told,
        owed=tuple(fault.names),
        checks=tuple(checks),
        is_caught=is_whole and all(check.caught for check in owed),
        is_named=is_whole and all(check.named for check in owed),
        rerun=f"deltaproof faults --seed {seed} -k '{planned.fault} and {planned.write.case.name}'",
    )


def fault_result(name: str, area: str, fault: Fault, cases: Sequence[StruckCase]) -> FaultResult:
    """A row of the matrix."""
    by_case = [{check.check for check in case.checks if check.caught} for case in cases]
    caught_by = set.intersection(*by_case) if by_case else set()
    return FaultResult(
        name=name,
        area=area,
        what=fault.what,
        source=fault.source,
        place=fault.place,
        only=fault.only,
        caught_by=tuple(sorted(caught_by)),
        is_caught=bool(cases) and all(case.is_caught for case in cases),
        culprit_named=bool(cases) and all(case.is_named for case in cases),
        cases=tuple(cases),
    )


def control(planned: Planned, said: Sequence[Said]) -> Control:
    """A clean run: whatever is not quiet is an alarm, and so is one of which nothing was said.

    Where the training is too weak on purpose, a judge that passes it claims what it could not see.
    """
    expected = expected_of(planned.clean)
    alarms = tuple(
        f"{each.check} {each.result}: {each.verdict} {each.cause}, expected {expected[each.check]}"
        for each in said
        if each.verdict != expected[each.check]
    )
    return Control(
        case=planned.write.case.name,
        seed=planned.write.case.seed,
        num_checks=len(said),
        alarms=alarms or (() if said else ("nothing was checked",)),
    )


def expected_of(clean: str) -> dict[str, str]:
    """What each check says of a run without any fault."""
    return {**dict.fromkeys(CHECKS, clean), "verify": Verdict.CONTAINS}
