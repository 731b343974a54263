"""Which jobs a fault makes: struck writes with clean reads, struck reads of clean writes, and clean twins."""

from __future__ import annotations

from dataclasses import replace

from harness.faults.planning import FIRST_CONTROL_SEED, plan_faults
from harness.records.jobs import Strike
from harness.runs.request import Catalogue
from tests.faults.test_catalogue import GOOD

CASE = "qwen3_moe-float32-loop"


def anything(_: str) -> bool:
    """All are wanted."""
    return True


def test_a_struck_write_is_read_by_whoever_reads_it(catalogue: Catalogue) -> None:
    """Both forms, and no read is struck itself."""
    struck, controls = plan_faults({"good": GOOD}, catalogue, 5, 0, anything)
    assert [each.write.id for each in struck] == [f"{CASE}@r1+good", "qwen3_moe-bfloat16-loop@r1+good"]
    assert struck[0].write.strike == Strike(fault="good", seed=5)
    assert [each.id for each in struck[0].reads] == [f"{CASE}@r1+good>lora>r1", f"{CASE}@r1+good>merged>r1"]
    assert [each.write.id for each in controls] == [f"{CASE}@r1", "qwen3_moe-bfloat16-loop@r1"]
    assert all(len(each.reads) == 2 and not each.write.strike for each in controls)


def test_a_struck_read_is_of_a_clean_write(catalogue: Catalogue) -> None:
    """The form that the fault is for, and no other."""
    fault = replace(GOOD, form="lora", names={"lora": "delta_missing"})
    struck, _ = plan_faults({"bad_read": fault}, catalogue, 5, 0, anything)
    assert [each.write.id for each in struck] == [f"{CASE}@r1", "qwen3_moe-bfloat16-loop@r1"]
    assert [read.id for read in struck[0].reads] == [f"{CASE}@r1>lora>r1+bad_read"]


def test_the_second_stack_reads_every_dialect(catalogue: Catalogue) -> None:
    """Of what it writes."""
    fault = replace(GOOD, row="jax")
    [first, _], _ = plan_faults({"good": fault}, catalogue, 0, 0, anything)
    assert {"lora-standard", "lora-swapped", "lora-per_expert", "merged"} == {
        read.id.split(">")[1] for read in first.reads
    }


def test_controls_have_seeds_that_nothing_else_has(catalogue: Catalogue) -> None:
    """Beside the twins: so many clean runs, each a case of its own."""
    _, controls = plan_faults({"good": GOOD}, catalogue, 0, 5, anything)
    more = controls[2:]
    assert len(more) == 5
    seeds = [each.write.case.seed for each in more]
    assert seeds == list(range(FIRST_CONTROL_SEED, FIRST_CONTROL_SEED + 5))
    assert not {case.seed for case in catalogue.cases} & set(seeds)
    assert len({each.write.id for each in controls}) == 7
    assert {each.write.case.dtype for each in more} == {"float32", "bfloat16"}


def test_only_what_is_wanted_is_planned(catalogue: Catalogue) -> None:
    """By the fault's name and the case's; without a struck case there are no controls either."""
    struck, controls = plan_faults({"good": GOOD}, catalogue, 0, 9, lambda text: text == f"good {CASE}")
    assert ([f"{CASE}@r1+good"], 10) == ([each.write.id for each in struck], len(controls))
    assert plan_faults({"good": GOOD}, catalogue, 0, 9, lambda _: False) == ((), ())


def test_a_changed_case_is_a_case_of_its_own(catalogue: Catalogue) -> None:
    """Its twin is changed as well, is expected to say what the fault says of it, and is no control of other seeds."""
    fault = replace(GOOD, changes={"steps": 5, "learning_rate": 5e-3}, clean="INCONCLUSIVE")
    struck, controls = plan_faults({"weak": fault}, catalogue, 0, 4, anything)
    name = f"{CASE}-steps_5-learning_rate_0.005"
    assert (name, 5, 5e-3) == (
        struck[0].write.case.name,
        struck[0].write.case.steps,
        struck[0].write.case.learning_rate,
    )
    assert next((each.write.id, each.clean) for each in controls) == (f"{name}@r1", "INCONCLUSIVE")
    assert len(controls) == 2
    both, controls = plan_faults({"weak": fault, "good": GOOD}, catalogue, 0, 4, anything)
    assert (4, 8, {"PASS"}) == (len(both), len(controls), {each.clean for each in controls[4:]})
    assert not any("steps" in each.write.case.name for each in controls[4:])
    assert len(plan_faults({"weak": fault}, catalogue, 0, 0, lambda text: text == f"weak {name}")[0]) == 1
