"""What calibration runs: of every seed the same, read in every way that must not matter, and nothing known to break."""

from __future__ import annotations

from functools import cache

from harness.calibration.planning import plan_calibration
from harness.faults.planning import Planned
from harness.planning.expand import PlanCell
from harness.runs.request import Catalogue, load_catalogue

R1 = PlanCell(name="r1", stack="torch_peft", versions={"transformers": "5.5.0", "peft": "0.19.1", "trl": "0.25.1"})
JAX = PlanCell(name="jax", stack="jax_stacked", versions={"jax": "0.9.0", "flax": "0.12.0"})
VARIATIONS = ("backwards", "upside_down")


@cache
def catalogue() -> Catalogue:
    """The project's own."""
    return load_catalogue()


def clean(num_seeds: int) -> tuple[Planned, ...]:
    """Without any fault."""
    planned, struck = plan_calibration(catalogue(), (R1, JAX), {}, VARIATIONS, num_seeds)
    assert struck == ()
    return planned


def test_every_seed_trains_every_case_and_reads_it_in_every_way() -> None:
    """By its own row, by the other stack, and in each variation of the stack that has any."""
    planned = clean(3)
    assert {1, 2, 3} == {each.write.case.seed for each in planned}
    by_seed = [sum(len(each.reads) for each in planned if each.write.case.seed == seed) for seed in (1, 2, 3)]
    assert by_seed[0] == by_seed[1] == by_seed[2] > 100
    [one] = [each for each in planned if each.write.id == "qwen3_moe-float32-loop-seed2@r1"]
    ways = {(read.form, read.reader, read.strike.fault if read.strike else "") for read in one.reads}
    own = {(form, "r1", variation) for form in ("lora", "merged") for variation in ("", *VARIATIONS)}
    assert own | {("lora", "jax", ""), ("merged", "jax", "")} == ways


def test_what_is_known_to_break_is_no_noise_under_any_seed() -> None:
    """PEFT reads factors of the other layout without a word."""
    known = "qwen3_moe-float32-loop@jax>lora-swapped>r1"
    assert known in catalogue().known
    ids = {read.id for each in clean(2) for read in each.reads}
    assert not {known, known.replace("loop@", "loop-seed2@")} & ids
    assert "qwen3_moe-float32-loop-seed2@jax>lora-standard>r1" in ids
