"""In which way fused factors are read: by shapes first, the version second, and markers for the packing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.verify.factors import Reading
from harness.verify.readings import stated_readings
from harness.verify.records import AdapterConfig, FactorPair
from harness.verify.targets import Target
from tests.verify.layouts import entry, pair

E, R = 4, 2
SQUARE, OBLONG = (6, 6), (6, 5)
STANDARD, SWAPPED = Reading("standard"), Reading("swapped")


def config(version: str = "", **raw: Any) -> AdapterConfig:
    """A configuration that says no more than this about layouts."""
    return AdapterConfig(
        rank=R, alpha=1.0, rslora=False, dora=False, fan_in_fan_out=False, bias="none", rank_pattern={},
        alpha_pattern={}, target_modules=None, target_parameters=(), modules_to_save=(), layers_to_transform=None,
        layers_pattern=(), peft_version=version, lora_b_layout=raw.get("lora_B_layout", ""), base_model="", raw=raw,
    )  # fmt: skip


def job(
    shape: tuple[int, int],
    layout: str = "standard",
    *,
    name: str = "gate_up_proj",
    gpt_oss: bool = False,
    rank: int = R,
) -> tuple[FactorPair, Target]:
    """Factors in a layout for experts of a shape."""
    rows, columns = shape if layout == "standard" else shape[::-1]
    orientation = "in_out" if gpt_oss else "out_in"
    target = Target(
        parameter=f"model.layers.0.mlp.experts.{name}", sites=(), shape=shape, orientation=orientation,
        num_experts=E, is_transposed=gpt_oss,
    )  # fmt: skip
    factors = pair("model.layers.0.mlp.experts", (E * rank, columns), (rows, E * rank))
    return replace(factors, rank=rank), target


@pytest.mark.parametrize("version", ["", "0.17.1", "0.18.1", "0.19.1", "0.21.2", "nonsense"])
@pytest.mark.parametrize(("layout", "wanted"), [("standard", STANDARD), ("swapped", SWAPPED)])
def test_shapes_decide_whatever_the_version_says(version: str, layout: str, wanted: Reading) -> None:
    """An oblong matrix fits in one way."""
    assert ((wanted,),) == stated_readings(config(version), [job(OBLONG, layout)])


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("0.18.1", (SWAPPED,)),
        ("0.18.2.dev0", (SWAPPED,)),
        ("0.19.0.dev0", (STANDARD,)),
        ("0.19.1", (STANDARD,)),
        ("0.21.2", (STANDARD,)),
        ("", (STANDARD, SWAPPED)),
        ("nonsense", (STANDARD, SWAPPED)),
    ],
)
def test_of_square_ones_the_version_tells(version: str, wanted: tuple[Reading, ...]) -> None:
    """Where it is not said, both are left."""
    assert (wanted,) == stated_readings(config(version), [job(SQUARE)])


@pytest.mark.parametrize("version", ["", "0.18.1", "0.21.2"])
def test_another_parameter_of_the_adapter_settles_it(version: str) -> None:
    """One PEFT saved all of it, and down's shapes cannot be changed by a version that somebody wrote."""
    jobs = [job(SQUARE), job(OBLONG, "standard", name="down_proj"), job(SQUARE)]
    assert ((STANDARD,), (STANDARD,), (STANDARD,)) == stated_readings(config(version), jobs)
    jobs = [job(SQUARE), job(OBLONG, "swapped", name="down_proj")]
    assert ((SWAPPED,), (SWAPPED,)) == stated_readings(config(version), jobs)


def test_parameters_that_contradict_each_other_settle_nothing() -> None:
    """Then the version counts again."""
    jobs = [job(SQUARE), job(OBLONG, "swapped"), job(OBLONG, "standard")]
    assert ((STANDARD,), (SWAPPED,), (STANDARD,)) == stated_readings(config("0.19.1"), jobs)


@pytest.mark.parametrize("version", ["0.18.1", "0.19.1", "0.21.2"])
def test_a_module_that_says_it_is_transposed_is_not_swapped(version: str) -> None:
    """gpt-oss, whose factors are for the transpose in every version."""
    assert ((SWAPPED,),) == stated_readings(config(version), [job(SQUARE, gpt_oss=True)])


@pytest.mark.parametrize("version", ["0.18.1", "0.18.9.post1"])
def test_before_the_swap_all_are_swapped(version: str) -> None:
    """Whatever a module says of itself."""
    factors, target = job(SQUARE, gpt_oss=True)
    assert ((SWAPPED,),) == stated_readings(config(version), [(factors, replace(target, is_transposed=False))])


@pytest.mark.parametrize("version", ["0.19.0", "0.21.2"])
def test_a_transposed_module_that_does_not_say_so_leaves_both(version: str) -> None:
    """It depends on the transformers that trained it, which nothing tells."""
    factors, target = job(SQUARE, gpt_oss=True)
    found = stated_readings(config(version), [(factors, replace(target, is_transposed=False))])
    assert ((STANDARD, SWAPPED),) == found


GROUPED = Reading("standard", "grouped_by_expert")


def marked(parameter: str) -> dict[str, Any]:
    """unsloth_zoo's markers of one parameter."""
    return {"unsloth_fused_expert_lora": {"parameters": {parameter: {"lora_B_layout": "grouped_by_expert"}}}}


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ({}, (STANDARD,)),
        ({"lora_B_layout": "rank_major"}, (STANDARD,)),
        ({"lora_B_layout": "grouped_by_expert"}, (GROUPED,)),
        ({"auto_mapping": {"lora_B_layout": "grouped_by_expert", "unsloth_fixed": True}}, (GROUPED,)),
        ({"auto_mapping": {"unsloth_fixed": True}}, (STANDARD, GROUPED)),
        ({"auto_mapping": {"unsloth_fixed": True}, "lora_B_layout": "rank_major"}, (STANDARD,)),
        ({"auto_mapping": "nonsense"}, (STANDARD,)),
        (marked("down_proj"), (STANDARD,)),
        (marked("gate_up_proj"), (GROUPED,)),
        ({"unsloth_fused_expert_lora": {"parameters": {"gate_up_proj": 3}}}, (STANDARD,)),
    ],
)  # fmt: skip
def test_markers_tell_the_packing(raw: dict[str, Any], wanted: tuple[Reading, ...]) -> None:
    """Of the parameter before that of the whole; a patched model without any leaves both."""
    assert (wanted,) == stated_readings(config("0.19.1", **raw), [job(OBLONG)])


@pytest.mark.parametrize(("num_experts", "wanted"), [(1, (STANDARD,)), (2, (STANDARD, GROUPED))], ids=["one", "two"])
def test_with_one_expert_packings_are_the_same(num_experts: int, wanted: tuple[Reading, ...]) -> None:
    """With two they are not."""
    factors, target = job(OBLONG)
    few = replace(factors, a=entry("A", (num_experts * R, 5)), b=entry("B", (6, num_experts * R)))
    found = stated_readings(
        config("0.19.1", auto_mapping={"unsloth_fixed": True}), [(few, replace(target, num_experts=num_experts))]
    )
    assert (wanted,) == found


def test_with_one_rank_packings_are_the_same() -> None:
    """And so nothing is open."""
    found = stated_readings(config("0.19.1", auto_mapping={"unsloth_fixed": True}), [job(OBLONG, rank=1)])
    assert ((STANDARD,),) == found
