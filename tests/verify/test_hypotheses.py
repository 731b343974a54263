"""The catalogue of mistakes: which are thought of for a weight, in which order, and in which words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.verify.evidence import Pairing
from harness.verify.factors import Factors, LowRank, Reading
from harness.verify.families import Part
from harness.verify.hypotheses import MAX_OTHERS, Hypothesis, Neighbours, Scale, Slot, others, readings, scales
from harness.verify.places import Site
from harness.verify.records import FactorPair
from harness.verify.targets import Target
from harness.verify.work import FactorJob
from tests.verify.layouts import pair
from tests.verify.seen import CONFIG, in_memory, pairing

LAYER = "model.layers.{}."
PARTS: tuple[Part, ...] = ("gate", "up")
E, R, F, H = 4, 2, 5, 6


def expert(layer: int, number: int, part: Part) -> Pairing:
    """One matrix of one expert."""
    name = f"model.layers.{layer}.mlp.experts.{number}.{part}_proj.weight"
    return pairing(name, layer=layer, expert=number, part=part)


def linear(name: str, layer: int | None = None) -> Pairing:
    """One matrix that is no expert's."""
    return pairing(name, layer=layer)


def made(
    weights: list[Pairing], target: Target, a: np.ndarray, b: np.ndarray, factors: FactorPair | None = None
) -> FactorJob:
    """Factors that are in memory, of these weights."""
    entries, files = in_memory({"A": a, "B": b})
    of = replace(factors or pair("model", a.shape, b.shape), a=entries["A"], b=entries["B"])
    return FactorJob(
        factors=Factors.of(of, target, files), readings=(Reading(),), sites=tuple(each.site for each in weights),
        stored_names=tuple(each.site.name for each in weights), pairings=tuple(weights),
    )  # fmt: skip


def numbers(*shape: int) -> np.ndarray:
    """1, 2, 3, …"""
    return np.arange(1, 1 + int(np.prod(shape)), dtype=np.float32).reshape(shape)


def of_linear(weight: Pairing, *, rows: int = F, columns: int = H, **changes: Any) -> FactorJob:
    """The factors of one Linear."""
    target = Target(parameter="w", sites=(weight.site.name,), shape=(rows, columns), orientation="out_in")
    a, b = numbers(R, columns), numbers(rows, R)
    return made([weight], target, a, b, replace(pair("model", a.shape, b.shape), **changes))


def of_experts(layer: int, *, interleaved: bool = False, square: bool = False, transposed: bool = False) -> FactorJob:
    """Fused factors of all experts' gate and up."""
    weights = [expert(layer, number, part) for number in range(E) for part in PARTS]
    columns = 2 * F if square else H
    rows = (slice(0, 2 * F, 2), slice(1, 2 * F, 2)) if interleaved else (slice(0, F, 1), slice(F, 2 * F, 1))
    shape = (columns, 2 * F) if transposed else (2 * F, columns)
    target = Target(
        parameter="gate_up_proj", sites=tuple(each.site.name for each in weights), shape=shape,
        orientation="in_out" if transposed else "out_in", num_experts=E, parts=PARTS, rows=rows,
    )  # fmt: skip
    return made(weights, target, numbers(E * R, shape[1]), numbers(shape[0], E * R))


def product(delta: LowRank) -> list[list[float]]:
    """All of a delta."""
    whole: list[list[float]] = (delta.left @ delta.right * delta.scale).tolist()
    return whole


def told(hypotheses: Iterator[Hypothesis]) -> list[tuple[str, str, str, str]]:
    """Kind, words, and both sides."""
    return [(each.kind, each.message, each.expected, each.got) for each in hypotheses]


def test_scales_that_have_a_name() -> None:
    """Each by how many times the right scale it is; those that are right, twice or negated have other names."""
    job = of_linear(linear("w"), rank=9, alpha=6.0, scaling=6 / 9)
    job = replace(job, factors=replace(job.factors, target=replace(job.target, num_experts=4)))
    found = list(scales(Slot(job, 0), replace(CONFIG, rank=5, alpha=7.0)))
    assert [
        (2.0, "delta_applied_twice", "the delta was merged twice"),
        (-1.0, "delta_wrong_sign", "the delta was subtracted"),
        (3.0, "delta_wrong_scale", "scaled by alpha / sqrt(rank), as with rsLoRA"),
        (2.1, "delta_wrong_scale", "scaled by the default rank and alpha, without the patterns"),
        (1.8, "delta_wrong_scale", "scaled by the default rank, without rank_pattern"),
        (7 / 6, "delta_wrong_scale", "scaled by the default alpha, without alpha_pattern"),
        (1.5, "delta_wrong_scale", "scaled by no scale at all"),
        (9.0, "delta_wrong_scale", "scaled by alpha, not divided by the rank"),
        (1 / 6, "delta_wrong_scale", "scaled by 1 / rank, without alpha"),
        (1 / 4, "delta_wrong_scale", "scaled by alpha / (rank * experts): the rank of all experts together"),
        (4.0, "delta_wrong_scale", "scaled by alpha / (rank / experts)"),
        (4.5, "delta_wrong_scale", "scaled by alpha / max(1, rank // experts)"),
        (2 / 3, "delta_wrong_scale", "scaled by its scale, applied twice"),
    ] == [(pytest.approx(each.factor), each.kind, each.why) for each in found]


def test_scales_of_a_linear_with_rslora() -> None:
    """It counts as one expert, and its scale without rsLoRA is a mistake; a rank below the experts' number counts 1."""
    found = list(scales(Slot(of_linear(linear("w"), rank=4, alpha=6.0, scaling=3.0), 0), CONFIG))
    assert Scale(0.5, "delta_wrong_scale", "scaled by alpha / rank, without rsLoRA") in found
    assert not any("sqrt" in each.why for each in found)
    assert Scale(0.5, "delta_wrong_scale", "scaled by alpha / max(1, rank // experts)") in found
    few = of_linear(linear("w"), rank=4, alpha=6.0, scaling=1.5)
    few = replace(few, factors=replace(few.factors, target=replace(few.target, num_experts=9)))
    assert Scale(4.0, "delta_wrong_scale", "scaled by alpha / max(1, rank // experts)") in list(
        scales(Slot(few, 0), CONFIG)
    )


def test_a_delta_without_a_scale_is_not_scaled_by_anything() -> None:
    """Nothing times zero is another scale; what is not finite is none."""
    names = ["delta_applied_twice", "delta_wrong_sign"]
    assert names == [each.kind for each in scales(Slot(of_linear(linear("w"), scaling=0.0), 0), CONFIG)]
    endless = list(scales(Slot(of_linear(linear("w"), alpha=float("inf")), 0), CONFIG))
    assert all(np.isfinite(each.factor) for each in endless)
    assert len(endless) > 2


def test_a_delta_that_is_subtracted_has_one_name() -> None:
    """Where another scale is the same by chance, it is not thought of twice."""
    found = list(scales(Slot(of_linear(linear("w"), rank=4, alpha=-4.0, scaling=-1.0), 0), CONFIG))
    assert [(-1.0, "delta_wrong_sign")] == [(each.factor, each.kind) for each in found if each.factor == -1]


def neighbours(*jobs: FactorJob) -> Neighbours:
    """All weights of these factors."""
    return Neighbours(jobs)


def names(slots: Iterator[Slot]) -> list[str]:
    """Of the weights."""
    return [slot.site.name for slot in slots]


def test_gate_and_up_are_taken_for_each_other() -> None:
    """Of the same expert of the same layer, or of a dense layer by their names; nothing else has another half."""
    fused = [of_experts(0), of_experts(1)]
    dense = [of_linear(linear(f"model.layers.{layer}.mlp.{part}_proj.weight", layer))
             for layer in (0, 1) for part in ("gate", "up", "down")]  # fmt: skip
    among = neighbours(*fused, *dense)
    assert [expert(1, 2, "up").site.name] == names(among.parts(Slot(fused[1], 4)))
    assert [expert(1, 2, "gate").site.name] == names(among.parts(Slot(fused[1], 5)))
    assert ["model.layers.1.mlp.up_proj.weight"] == names(among.parts(Slot(dense[3], 0)))
    assert ["model.layers.0.mlp.gate_proj.weight"] == names(among.parts(Slot(dense[1], 0)))
    assert [] == names(among.parts(Slot(dense[2], 0)))
    assert [] == names(neighbours(dense[0]).parts(Slot(dense[0], 0)))
    alone = of_linear(expert(0, 0, "gate"))
    assert [] == names(neighbours(alone).parts(Slot(alone, 0))) == names(neighbours(alone).experts(Slot(alone, 0)))


def test_experts_are_taken_for_those_of_their_layer() -> None:
    """The same part of all others; what is no expert's has none."""
    fused = [of_experts(0), of_experts(1)]
    among = neighbours(*fused, of_linear(linear("w")))
    assert [expert(1, number, "up").site.name for number in (0, 1, 3)] == names(among.experts(Slot(fused[1], 5)))
    assert [] == names(among.experts(among.slots["w"]))


def test_no_more_experts_are_tried_than_a_model_has() -> None:
    """And layers likewise."""
    many = [of_linear(expert(0, number, "gate")) for number in range(MAX_OTHERS + 2)]
    assert MAX_OTHERS == len(names(neighbours(*many).experts(Slot(many[0], 0))))
    deep = [of_linear(linear(f"model.layers.{layer}.w", layer)) for layer in (0, MAX_OTHERS - 1, MAX_OTHERS)]
    assert [f"model.layers.{MAX_OTHERS - 1}.w"] == names(neighbours(*deep).layers(Slot(deep[0], 0)))


def test_a_weight_is_taken_for_that_of_another_layer() -> None:
    """In order, itself left out; not of fused factors, and not where there are no layers."""
    layers = [of_linear(linear(f"model.layers.{layer}.q.5.weight", layer)) for layer in (7, 0, 3)]
    fused, alone = [of_experts(0), of_experts(1)], of_linear(linear("head"))
    among = neighbours(*layers, *fused, alone)
    assert [f"model.layers.{layer}.q.5.weight" for layer in (0, 7)] == names(among.layers(Slot(layers[2], 0)))
    assert [] == names(among.layers(Slot(fused[0], 0))) == names(among.layers(Slot(alone, 0)))


def test_what_another_weights_delta_is_called() -> None:
    """Gate and up, experts, layers, in this order; the delta is the other one's, and both sides are named."""
    apart = [of_linear(expert(layer, number, part), scaling=float(1 + number))
             for layer in (0, 1) for number in (0, 1) for part in PARTS]  # fmt: skip
    slot, among = Slot(apart[0], 0), neighbours(*apart)
    assert [
        ("gate_up_swapped", "the delta of up was merged", "gate", "up"),
        ("experts_permuted", "the delta of another expert was merged", "expert 0", "expert 1"),
        ("delta_wrong_values", "the delta of another layer was merged", "layer 0", "layer 1"),
    ] == told(others(slot, among))
    swapped, permuted, moved = others(slot, among)
    assert [product(apart[at].factors.delta(0, Reading())) for at in (1, 2, 4)] == [
        product(each.delta) for each in (swapped, permuted, moved)
    ]
    gate, up = (of_linear(linear(f"mlp.{part}_proj.weight")) for part in PARTS)
    assert [
        ("gate_up_swapped", "the delta of the other of gate and up was merged", "mlp.gate_proj.weight",
         "mlp.up_proj.weight"),
    ] == told(others(Slot(gate, 0), neighbours(gate, up)))  # fmt: skip


def test_a_linears_delta_may_have_been_transposed() -> None:
    """If that has the same shape."""
    assert [] == list(readings(Slot(of_linear(linear("w")), 0)))
    square = of_linear(linear("w"), rows=H)
    (found,) = readings(Slot(square, 0))
    assert ("delta_wrong_layout", "the transpose of its delta was merged", "", "") == found[:2] + found[3:5]
    assert None is found.reading
    assert np.transpose(product(square.factors.delta(0, Reading()))).tolist() == product(found.delta)


RANKS, EXPERTS = "rank by rank (rank_major)", "expert by expert (grouped_by_expert)"
B_READ = f"lora_B packed {RANKS} was read {EXPERTS}"
A_READ = f"lora_A packed {EXPERTS} was read {RANKS}"
LAID = "factors laid out as standard were read as swapped"
MEANT = "standard, rank_major"
OF_ONE = "the rank was taken for 1: a single row of lora_A and a single column of lora_B were merged"


def test_fused_factors_may_have_been_read_in_another_way() -> None:
    """Packings of either factor, where the shapes leave one layout; then halves for turns; then another rank."""
    job = of_experts(0)
    found = list(readings(Slot(job, 5)))
    assert [
        ("delta_wrong_packing", A_READ, MEANT, f"{MEANT}, lora_A rank_major"),
        ("delta_wrong_packing", f"{B_READ}, and {A_READ}", MEANT, "standard, grouped_by_expert, lora_A rank_major"),
        ("delta_wrong_packing", B_READ, MEANT, "standard, grouped_by_expert"),
        ("delta_wrong_layout", "gate and up were taken for turns in the rows of the delta", "halves", "turns"),
        ("delta_wrong_values", OF_ONE, "rank 2", "rank 1"),
    ] == told(iter(found))
    assert [Reading("standard", "rank_major", "rank_major"), Reading("standard", "grouped_by_expert", "rank_major"),
            Reading("standard", "grouped_by_expert", "grouped_by_expert"), None, None] == [
        each.reading for each in found
    ]  # fmt: skip
    assert [product(job.factors.delta(5, each.reading)) for each in found if each.reading] == [
        product(each.delta) for each in found if each.reading
    ]
    assert product(job.factors.delta(5, Reading(), rows=slice(1, 2 * F, 2))) == product(found[-2].delta)


@pytest.mark.parametrize("slot", [0, 3], ids=["gate of the first", "up of the second"])
def test_the_rank_may_have_been_taken_for_1(slot: int) -> None:
    """As many rows of lora_A as there are experts, and one column of lora_B each; a rank of 1 is taken for nothing."""
    job = of_experts(0)
    number, part = divmod(slot, 2)
    *_, found = readings(Slot(job, slot))
    rows = slice(part * F, (part + 1) * F)
    a, b = numbers(E * R, H)[number], numbers(2 * F, E * R)[rows, number]
    assert ("delta_wrong_values", OF_ONE, "rank 2", "rank 1", None) == (
        found.kind, found.message, found.expected, found.got, found.reading,
    )  # fmt: skip
    assert (0.5 * np.outer(b, a)).tolist() == product(found.delta)
    alone = replace(job, factors=replace(job.factors, pair=replace(job.pair, rank=1)))
    assert OF_ONE not in [each.message for each in readings(Slot(alone, slot))]


def test_square_factors_may_have_been_read_transposed() -> None:
    """In each packing, and that is a matter of layout."""
    found = told(readings(Slot(of_experts(0, square=True), 0)))
    assert [
        ("delta_wrong_layout", f"{LAID}, and {A_READ}", MEANT, "swapped, rank_major, lora_A rank_major"),
        ("delta_wrong_layout", LAID, MEANT, "swapped, rank_major"),
        ("delta_wrong_layout", f"{LAID}, and {B_READ}, and {A_READ}", MEANT,
         "swapped, grouped_by_expert, lora_A rank_major"),
        ("delta_wrong_layout", f"{LAID}, and {B_READ}", MEANT, "swapped, grouped_by_expert"),
    ] == [each for each in found if "swapped" in each[3]]  # fmt: skip


@pytest.mark.parametrize("transposed", [False, True], ids=["", "transposed"])
@pytest.mark.parametrize(
    ("interleaved", "slot", "rows", "expected", "got"),
    [
        pytest.param(False, 0, slice(0, 2 * F, 2), "halves", "turns", id="gate in halves"),
        pytest.param(False, 3, slice(1, 2 * F, 2), "halves", "turns", id="up in halves"),
        pytest.param(True, 0, slice(0, F), "turns", "halves", id="gate in turns"),
        pytest.param(True, 3, slice(F, 2 * F), "turns", "halves", id="up in turns"),
    ],
)
def test_gate_and_up_may_have_been_taken_for_halves_or_turns(
    interleaved: bool, slot: int, rows: slice, expected: str, got: str, transposed: bool
) -> None:
    """The rows of the same expert's delta that the other way gives this part, also where memory holds it turned."""
    job = of_experts(0, interleaved=interleaved, transposed=transposed)
    *_, found, _ = readings(Slot(job, slot))
    text = f"gate and up were taken for {got} in the rows of the delta"
    assert ("delta_wrong_layout", text, expected, got, None) == (
        found.kind, found.message, found.expected, found.got, found.reading,
    )  # fmt: skip
    assert product(job.factors.delta(slot, Reading(), rows=rows)) == product(found.delta)


def test_a_parameter_of_one_part_has_no_halves() -> None:
    """down_proj is not read in turns."""
    weights = [pairing(f"experts.{number}.down", expert=number, part="down") for number in range(E)]
    target = Target(
        parameter="down_proj", sites=tuple(each.site.name for each in weights), shape=(H, F), orientation="out_in",
        num_experts=E, parts=("down",), rows=(slice(0, H, 1),),
    )  # fmt: skip
    job = made(weights, target, numbers(E * R, F), numbers(H, E * R))
    assert ["delta_wrong_packing"] * 3 + ["delta_wrong_values"] == [each.kind for each in readings(Slot(job, 1))]


def test_a_slot_is_a_weight_of_its_factors() -> None:
    """By its number in the target's order."""
    slot = Slot(of_experts(1), 5)
    assert Site("model.layers.1.mlp.experts.2.up_proj.weight", 1, 2, "up") == slot.site
    assert product(slot.job.factors.delta(5, Reading())) == product(slot.delta)
