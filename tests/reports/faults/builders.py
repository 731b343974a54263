"""Builders of kill matrices: one that is good, one with every kind of trouble, one that strangers wrote."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

from harness.records.faults import (
    CHECKS,
    SCHEMA_VERSION,
    Check,
    CheckedFault,
    Control,
    FaultResult,
    KillMatrix,
    StruckCase,
)
from tests.reports.conftest import HOSTILE

TENSOR = "model.layers.1.mlp.experts.2.up_proj.weight"
VERSIONS = {"r1": {"transformers": "5.5.0", "peft": "0.19.1"}, "jax": {"jax": "0.10.2", "flax": "0.12.8"}}
OWED: tuple[Check, ...] = ("merged", "verify")


def checked(
    check: Check, *, caught: bool = True, named: bool = True, owed: bool = True, **changes: Any
) -> CheckedFault:
    """What one check made of it."""
    made = CheckedFault(
        check=check,
        result=f"of {check}",
        verdict="FAIL" if caught else "PASS",
        cause="delta_missing experts.up" if caught else "",
        is_owed=owed,
        kind="delta_missing" if owed else "",
        caught=caught,
        named=named,
        metrics=("weight_residual_max",) if caught else (),
    )
    return replace(made, **changes)


def quiet(check: Check) -> CheckedFault:
    """A check that need not catch it, and does not."""
    return checked(check, owed=False, caught=False, named=False)


def struck(*checks: CheckedFault, case: str = "qwen3_moe-float32-loop", name: str = "one_expert_missed") -> StruckCase:
    """One case: `merged` and `verify` must catch it."""
    owed = [each for each in checks if each.is_owed]
    is_whole = {each.check for each in owed} == set(OWED)
    return StruckCase(
        case=case,
        dtype="bfloat16" if "bfloat16" in case else "float32",
        hit=(TENSOR,),
        owed=OWED,
        checks=checks,
        is_caught=is_whole and all(each.caught for each in owed),
        is_named=is_whole and all(each.named for each in owed),
        rerun=f"deltaproof faults --seed 0 -k '{name} and {case}'",
    )


def fault(*cases: StruckCase, name: str = "one_expert_missed", area: str = "merging", **changes: Any) -> FaultResult:
    """A row."""
    by_case = [{each.check for each in case.checks if each.caught} for case in cases]
    made = FaultResult(
        name=name,
        area=area,
        what="A merge passed over one expert.",
        source="unslothai/unsloth-zoo issue 42",
        place="artifact",
        only="",
        caught_by=tuple(sorted(set.intersection(*by_case))) if by_case else (),
        cases=cases,
        is_caught=bool(cases) and all(case.is_caught for case in cases),
        culprit_named=bool(cases) and all(case.is_named for case in cases),
    )
    return replace(made, **changes)


def matrix(*faults: FaultResult, alarms: tuple[str, ...] = (), **changes: Any) -> KillMatrix:
    """All of it, with two clean runs."""
    num_caught = sum(each.is_caught and each.culprit_named for each in faults)
    made = KillMatrix(
        schema_version=SCHEMA_VERSION,
        run_id="faults-20261121T232750-8fac",
        started_at="2026-11-21T23:27:50Z",
        command="deltaproof faults",
        expression="",
        seed=0,
        num_faults=len(faults),
        num_caught=num_caught,
        num_false_alarms=int(bool(alarms)),
        num_controls=2,
        exit_code=int(num_caught < len(faults) or bool(alarms)),
        faults=faults,
        controls=(
            Control(case="clean", seed=1, num_checks=4, alarms=alarms),
            Control(case="clean-seed101", seed=101, num_checks=4),
        ),
        versions=VERSIONS,
        duration_s=519.4,
    )
    return replace(made, **changes)


NAMED = (checked("write", owed=False, named=False), quiet("lora"), checked("merged"), checked("verify"))
GOOD = fault(struck(*NAMED))
MISSED = fault(
    struck(checked("merged", caught=False, named=False), checked("verify"), case="qwen3_moe-bfloat16-loop"),
    struck(*NAMED),
    name="norm_eps_by_default",
    area="loading",
    only="",
)
NOT_NAMED = fault(
    struck(checked("merged"), checked("verify", named=False, message="expected layer 1, got None")),
    name="rank_taken_as_one",
    only="bfloat16 rounds it away",
)
NOT_RUN = fault(struck(checked("merged")), name="stale_shards", place="environment")
CRASHED = fault(
    struck(checked("merged", caught=False, named=False, verdict="ERROR", cause="crashed compare", message="KeyError"),
           checked("verify")),
    name="stale_single_file",
)  # fmt: skip
NOWHERE = fault(name="no_case", area="running")


def hostile(value: Any) -> Any:
    """A record with a stranger's words in every text that is not one of a few."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = {"schema_version", "check"}
        changes = {
            field.name: hostile(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.name not in kept
        }
        return replace(value, **changes)
    if isinstance(value, tuple):
        return tuple(each if each in CHECKS else hostile(each) for each in value)
    if isinstance(value, dict):
        return {f"{key} {HOSTILE}": hostile(each) for key, each in value.items()}
    return HOSTILE if isinstance(value, str) and value not in ("", "float32") else value


MATRICES = {
    "good": matrix(GOOD, replace(GOOD, name="another", area="loading")),
    "bad": matrix(GOOD, MISSED, NOT_NAMED, NOT_RUN, CRASHED, NOWHERE, alarms=("merged clean: FAIL delta_missing",)),
    "selection": matrix(GOOD, expression="one_expert and float32"),
    "empty": matrix(controls=(), num_controls=0, versions={}),
    "hostile": hostile(matrix(GOOD, NOT_NAMED, MISSED, alarms=("merged",), expression="x")),
    "many": matrix(
        *(replace(each, name=f"{each.name}_{number}") for number in range(27) for each in (GOOD, MISSED, NOT_NAMED,
                                                                                           NOT_RUN, CRASHED))
    ),
}  # fmt: skip
