"""What happened to a weight that is not as predicted, told of weights small enough to be in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from harness.verify import compare as comparing
from harness.verify import diagnosis, dora
from harness.verify.blocks import Files
from harness.verify.crew import Crew
from harness.verify.diagnosis import Diagnosis, diagnose, elements
from harness.verify.dtypes import rounded
from harness.verify.evidence import Evidence, Pairing
from harness.verify.factors import Factors, LowRank, Reading
from harness.verify.families import Part
from harness.verify.hypotheses import Neighbours
from harness.verify.judging import judge
from harness.verify.places import Site
from harness.verify.survey import Preferred, Survey, see_site
from harness.verify.targets import Target
from harness.verify.ways import LESS_EXACT, SUM, SUMS_IN_HALVES, Way
from harness.verify.work import FactorJob
from harness.verify.workspace import Workspace
from tests.verify.layouts import pair
from tests.verify.seen import CONFIG, WRONG, evidence, in_memory, place, seen

QUERY, ABOVE = (f"model.layers.{layer}.self_attn.q_proj.weight" for layer in (0, 1))
SQUARE = "model.layers.0.self_attn.o_proj.weight"
GATE, OTHER_GATE, THIRD_GATE, UP = (
    f"model.layers.0.mlp.experts.{expert}.{part}_proj.weight"
    for expert, part in ((0, "gate"), (1, "gate"), (2, "gate"), (0, "up"))
)
PARTS: tuple[Part, ...] = ("gate", "up")
SITES = {
    QUERY: Site(QUERY, 0, None, None),
    ABOVE: Site(ABOVE, 1, None, None),
    SQUARE: Site(SQUARE, 0, None, None),
    GATE: Site(GATE, 0, 0, "gate"),
    OTHER_GATE: Site(OTHER_GATE, 0, 1, "gate"),
    UP: Site(UP, 0, 0, "up"),
    THIRD_GATE: Site(THIRD_GATE, 0, 2, "gate"),
}
RANK, SCALE = 4, 2.0
HERE = replace(CONFIG, rank=RANK, alpha=8.0)

Values = dict[str, np.ndarray]
Merge = Callable[[str, str], np.ndarray]
"""What is stored of a weight in place of the right sum, by its name and dtype: float32, rounded as it is stored."""


@cache
def drawn(dtype: str) -> tuple[Values, Values, Values]:
    """Base, lora_A and lora_B of every weight, by its name; the delta is about a tenth of base."""
    generators = {name: np.random.default_rng(8) for name in SITES if name == THIRD_GATE}
    others = np.random.default_rng(7)

    def normal(name: str, *shape: int) -> np.ndarray:
        return generators.get(name, others).standard_normal(shape)

    shapes = {name: (24, 24) if name == SQUARE else (24, 20) for name in SITES}
    base = {name: rounded(normal(name, *shape).astype(np.float32), dtype) for name, shape in shapes.items()}
    a = {name: normal(name, RANK, shape[1]).astype(np.float32) for name, shape in shapes.items()}
    b = {name: (0.025 * normal(name, shape[0], RANK)).astype(np.float32) for name, shape in shapes.items()}
    return base, a, b


def base_of(name: str, dtype: str = "F32") -> np.ndarray:
    """What base stores."""
    return drawn(dtype)[0][name]


def delta_of(name: str, dtype: str = "F32") -> np.ndarray:
    """What is to be added."""
    _, a, b = drawn(dtype)
    delta: np.ndarray = np.float32(SCALE) * (b[name] @ a[name])
    return delta


def prepared(
    name: str,
    stored: np.ndarray,
    dtype: str = "F32",
    *,
    merged_dtype: str = "",
    more_files: Files | None = None,
    **changes: Any,
) -> tuple[Files, dict[str, FactorJob]]:
    """All weights, of which this one is stored so and the others are merged rightly.

    `changes` are of its factors' record, and `more_files` what these need.
    """
    base, a, b = drawn(dtype)
    after = merged_dtype or dtype
    merged = {each: rounded(base[each] + delta_of(each, dtype), after) for each in SITES} | {name: stored}
    entries, files = in_memory({f"base {each}": base[each] for each in SITES}, dtype)
    more, others = in_memory({f"merged {each}": merged[each] for each in SITES}, after)
    factors, small = in_memory({f"{which} {each}": values[each] for which, values in (("A", a), ("B", b))
                                for each in SITES})  # fmt: skip
    for held in (others, small, *([more_files] if more_files else [])):
        files._contents.update(held._contents)  # type: ignore[attr-defined]
    jobs = {}
    for each, site in SITES.items():
        of = replace(
            pair(each, a[each].shape, b[each].shape), a=factors[f"A {each}"], b=factors[f"B {each}"], rank=RANK,
            alpha=8.0, scaling=SCALE,
        )  # fmt: skip
        shape = base[each].shape
        pairing = Pairing(site, place(site, shape=shape)._replace(entry=entries[f"base {each}"]),
                          place(site, shape=shape)._replace(entry=more[f"merged {each}"]))  # fmt: skip
        target = Target(parameter=each, sites=(each,), shape=shape, orientation="out_in")
        jobs[each] = FactorJob(
            factors=Factors.of(replace(of, **changes) if each == name else of, target, files), readings=(Reading(),),
            sites=(site,), stored_names=(each,), pairings=(pairing,),
        )  # fmt: skip
    return files, jobs


def told(name: str, stored: np.ndarray, dtype: str = "F32", **changes: Any) -> Diagnosis | None:
    """What is said of a weight that is stored as this; None if it is right. `changes` as `prepared` takes them."""
    files, jobs = prepared(name, stored, dtype, **changes)
    space = Workspace(files)
    found = see_site(jobs[name], 0, space, Preferred())
    assert found.evidence is not None
    if found.evidence.explains:
        return None
    return diagnose(found, Neighbours(jobs.values()), HERE, space)


def said(kind: str, message: str, expected: str = "", got: str = "", **more: Any) -> Diagnosis:
    """A diagnosis."""
    return Diagnosis(kind=kind, message=message, expected=expected, got=got, **more)


def added(delta: Callable[[str, str], np.ndarray], factor: float = 1.0) -> Merge:
    """Something else is added to base."""
    return lambda name, dtype: base_of(name, dtype) + np.float32(factor) * delta(name, dtype)


def times(factor: float) -> Merge:
    """The delta, in another scale."""
    return added(delta_of, factor)


def delta_first(factor: float) -> Merge:
    """The delta, in another scale, and rounded before it is added."""
    return added(lambda name, dtype: rounded(np.float32(factor) * delta_of(name, dtype), dtype))


def of(other: str, factor: float = 1.0) -> Merge:
    """Another weight's delta."""
    return added(lambda _, dtype: delta_of(other, dtype), factor)


def one_after_the_other(name: str) -> Merge:
    """A delta is merged, the sum stored, and the delta merged into that."""
    return lambda into, dtype: rounded(base_of(into, dtype) + delta_of(name, dtype), dtype) + delta_of(name, dtype)


def exchanged(whole: str, delta: str = "") -> Merge:
    """All of another weight, with a delta or without."""
    return lambda _, dtype: base_of(whole, dtype) + (delta_of(delta, dtype) if delta else 0)


def without(*lines: slice | list[int]) -> Merge:
    """Some of it is base's: rows, or rows and columns."""

    def merge(name: str, dtype: str) -> np.ndarray:
        merged = base_of(name, dtype) + delta_of(name, dtype)
        merged[lines] = base_of(name, dtype)[lines]
        return merged

    return merge


def off(*places: tuple[int, int, float]) -> Merge:
    """Some elements are something else besides."""

    def merge(name: str, dtype: str) -> np.ndarray:
        merged = base_of(name, dtype) + delta_of(name, dtype)
        for row, column, more in places:
            merged[row, column] += np.float32(more)
        return merged

    return merge


def blurred(other: str, low: float, high: float) -> Merge:
    """Another weight's delta, each element in a scale of its own."""
    factors = np.random.default_rng(3).uniform(low, high, (24, 20)).astype(np.float32)
    return added(lambda _, dtype: delta_of(other, dtype) * factors)


def less_exact(factors_in: str = "F32", product_in: str = "F32", delta_in: str = "F32") -> Merge:
    """A delta whose factors, product and self are rounded on the way."""

    def delta(name: str, dtype: str) -> np.ndarray:
        _, a, b = drawn(dtype)
        product = rounded(rounded(b[name], factors_in) @ rounded(a[name], factors_in), product_in)
        return rounded(np.float32(SCALE) * product, delta_in)

    return added(delta)


def summed_in(half: str) -> Merge:
    """Base, delta and sum are rounded."""
    return lambda name, dtype: rounded(rounded(base_of(name, dtype), half) + rounded(delta_of(name, dtype), half), half)


def of_eleven_bits(values: np.ndarray) -> np.ndarray:
    """As TF32 takes factors: float32 with a mantissa of ten bits and one that is not stored."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)


def with_tf32(name: str, dtype: str) -> np.ndarray:
    """A merge by hardware that multiplies with fewer bits."""
    base, a, b = drawn(dtype)
    merged: np.ndarray = base[name] + np.float32(SCALE) * (of_eleven_bits(b[name]) @ of_eleven_bits(a[name]))
    return merged


ONCE = "1 times the delta"
NO_MERGE = "is not what a merge of this adapter gives"
SCALED = "delta_wrong_scale"


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
@pytest.mark.parametrize(
    ("name", "merge", "expected"),
    [
        pytest.param(QUERY, times(0), said("delta_missing", "is base's: the delta is not in it", "delta", "base"),
                     id="base's"),
        pytest.param(QUERY, times(-1), said("delta_wrong_sign", "the delta was subtracted", ONCE, "-1 times"),
                     id="subtracted"),
        pytest.param(QUERY, times(0.5), said(SCALED, "scaled by no scale at all", ONCE, "0.5 times"),
                     id="a scale with a name"),
        pytest.param(QUERY, times(4), said(SCALED, "scaled by alpha, not divided by the rank", ONCE, "4 times"),
                     id="another one"),
        pytest.param(QUERY, times(1.05), said(SCALED, "the delta is scaled by 1.05", ONCE, "1.05 times"),
                     id="a scale"),
        pytest.param(QUERY, times(-0.7), said("delta_wrong_sign", "the delta is scaled by -0.7", ONCE, "-0.7 times"),
                     id="subtracted and scaled"),
        pytest.param(QUERY, one_after_the_other(QUERY),
                     said("delta_applied_twice", "the delta was merged twice", ONCE, "2 times, one after the other"),
                     id="twice"),
        pytest.param(QUERY, of(ABOVE),
                     said("delta_wrong_values", "the delta of another layer was merged", "layer 0", "layer 1"),
                     id="a layer's"),
        pytest.param(QUERY, of(ABOVE, 0.5),
                     said("delta_wrong_values", "the delta of another layer was merged, and scaled by no scale at all",
                          "layer 0", "layer 1"), id="a layer's, scaled"),
        pytest.param(QUERY, of(ABOVE, 0.3),
                     said("delta_wrong_values",
                          "the delta of another layer was merged, and the delta is scaled by 0.3", "layer 0",
                          "layer 1"), id="a layer's, scaled without a name"),
        pytest.param(QUERY, one_after_the_other(ABOVE),
                     said("delta_wrong_values", "the delta of another layer was merged, and the delta was merged twice",
                          ONCE, "2 times, one after the other"), id="a layer's, twice"),
        pytest.param(GATE, of(OTHER_GATE),
                     said("experts_permuted", "the delta of another expert was merged", "expert 0", "expert 1"),
                     id="an expert's"),
        pytest.param(GATE, of(UP), said("gate_up_swapped", "the delta of up was merged", "gate", "up"), id="up's"),
        pytest.param(SQUARE, lambda name, dtype: base_of(name, dtype) + delta_of(name, dtype).T,
                     said("delta_wrong_layout", "the transpose of its delta was merged"), id="a transpose"),
        pytest.param(SQUARE, lambda name, dtype: (base_of(name, dtype) + delta_of(name, dtype)).T,
                     said("delta_wrong_layout", "is stored transposed, with its delta"), id="stored transposed"),
        pytest.param(GATE, exchanged(OTHER_GATE, OTHER_GATE),
                     said("experts_permuted", "is another expert's (1), with its delta"), id="another expert"),
        pytest.param(GATE, exchanged(OTHER_GATE, GATE),
                     said("experts_permuted", "is another expert's (1), with the delta of this one"),
                     id="another expert's base"),
        pytest.param(GATE, exchanged(OTHER_GATE), said("experts_permuted", "is another expert's (1)"),
                     id="another expert without a delta"),
        pytest.param(GATE, exchanged(UP, UP),
                     said("gate_up_swapped", "is the other of gate and up (up), with its delta"), id="up"),
        pytest.param(QUERY, exchanged(ABOVE, ABOVE),
                     said("delta_wrong_values", "is another layer's (1), with its delta"), id="another layer"),
        pytest.param(GATE, exchanged(THIRD_GATE, THIRD_GATE),
                     said("experts_permuted", "is another expert's (2), with its delta"), id="a third expert"),
        pytest.param(QUERY, times(0.7), said(SCALED, "the delta is scaled by 0.7", ONCE, "0.7 times"),
                     id="a smaller scale"),
        pytest.param(QUERY, blurred(QUERY, 3.9, 4.1), None, id="a scale, nearly"),
        pytest.param(SQUARE, lambda name, dtype: 1.1 * (base_of(name, dtype) + delta_of(name, dtype)).T, None,
                     id="stored transposed, and scaled"),
    ],
)  # fmt: skip
def test_a_mistake_that_gives_the_stored_bits_is_named(
    name: str, merge: Merge, expected: Diagnosis | None, dtype: str
) -> None:
    """Whole, in words, with both sides, in any dtype; and what gives them nearly is not."""
    found = told(name, rounded(merge(name, dtype), dtype), dtype)
    if expected is not None:
        assert expected == found
    else:
        assert found is not None
        assert found.message.startswith(NO_MERGE)


@pytest.mark.parametrize(
    ("dtype", "merge", "expected"),
    [
        pytest.param("F32", times(2), said("delta_applied_twice", "the delta was merged twice", ONCE,
                                           "2 times, one after the other"), id="twice, in float32"),
        pytest.param("BF16", times(2), said("delta_applied_twice", "the delta was merged twice", ONCE, "2 times"),
                     id="twice, in bfloat16"),
        pytest.param("BF16", delta_first(-1.23456789),
                     said("delta_wrong_sign", "the delta is scaled wrongly", ONCE, "about -1.236 times"),
                     id="a scale of many digits, rounded first"),
        pytest.param("F32", without([1, 2, 3, 7]),
                     said("delta_missing", "is base's in 4 of its rows (1 to 3, 7), and merged in the others",
                          "delta in all of it", "80 of 480 elements, most at [1, 19] without", is_whole=False),
                     id="rows"),
        pytest.param("F32", without(slice(0, None, 2)),
                     said("delta_missing",
                          "is base's in 12 of its rows (0, 2, 4, 6 and 8 more), and merged in the others",
                          "delta in all of it", "240 of 480 elements, most at [0, 19] without", is_whole=False),
                     id="every other row"),
        pytest.param("F32", without([0, 2, 4, 6, 7]),
                     said("delta_missing", "is base's in 5 of its rows (0, 2, 4, 6 to 7), and merged in the others",
                          "delta in all of it", "100 of 480 elements, most at [0, 19] without", is_whole=False),
                     id="four runs of rows"),
        pytest.param("F32", without([0, 2, 4, 6, 8]),
                     said("delta_missing",
                          "is base's in 5 of its rows (0, 2, 4, 6 and 1 more), and merged in the others",
                          "delta in all of it", "100 of 480 elements, most at [8, 19] without", is_whole=False),
                     id="five runs of rows"),
        pytest.param("F32", times(2.0123456), said(SCALED, "the delta is scaled wrongly", ONCE, "about 2.012 times"),
                     id="more than twice"),
        pytest.param("F32", times(2.0087654), said("delta_applied_twice", "the delta is scaled wrongly", ONCE,
                                                   "about 2.009 times"), id="nearly twice"),
        pytest.param("F32", without(slice(None), slice(3, 9)),
                     said("delta_missing",
                          "is base's in some elements of 24 of its rows (0 to 23), and merged in the others",
                          "delta in all of it", "144 of 480 elements, most at [1, 5] without", is_whole=False),
                     id="columns"),
        pytest.param("F32", without([5], [7]),
                     said("delta_missing",
                          "is base's in some elements of 1 of its rows (5), and merged in the others",
                          "delta in all of it", "1 element of 480 at [5, 7] without", is_whole=False),
                     id="one element is base's"),
        pytest.param("F32", off((5, 7, 1.0)),
                     said("delta_wrong_values", f"{NO_MERGE}: 1 element of 480 at [5, 7]", "0.4209788", "1.420979"),
                     id="an element"),
        pytest.param("BF16", off((5, 7, 1.0), (6, 1, -3.0)),
                     said("delta_wrong_values", f"{NO_MERGE}: 2 of 480 elements, most at [6, 1]", "-0.4667969",
                          "-3.46875"), id="two elements"),
        pytest.param("F32", off((5, 7, np.nan), (5, 8, np.inf)),
                     said("non_finite", "holds numbers that are not finite", got="2 of 480"), id="no numbers"),
        pytest.param("F32", blurred(ABOVE, 0.75, 1.25),
                     said("delta_wrong_values", "the delta of another layer was merged, nearly: 0.971 times it",
                          "layer 0", "layer 1"), id="a layer's, nearly"),
        pytest.param("F32", blurred(ABOVE, 0.5, 1.5),
                     said("delta_wrong_values", f"{NO_MERGE}: 480 of 480 elements, most at [6, 14]", "1.313988",
                          "0.8508167"), id="what a layer's is only a part of"),
        pytest.param("BF16", lambda name, dtype: rounded(of(ABOVE, 0.05)(name, dtype), "F16"),
                     said("delta_wrong_values", "the delta of another layer was merged, nearly: 0.0504 times it",
                          "layer 0", "layer 1"), id="a layer's, hidden by roundings"),
        pytest.param("F32", less_exact("BF16"),
                     said("merge_rounding", "factors rounded to bfloat16 before the sum",
                          got="0.0022 of the delta off", is_right=True), id="factors in bfloat16"),
        pytest.param("F32", less_exact(delta_in="F16"),
                     said("merge_rounding", "delta rounded to float16 before the sum", got="0.00015 of the delta off",
                          is_right=True), id="delta in float16"),
        pytest.param("F32", less_exact("BF16", "BF16", "BF16"),
                     said("merge_rounding", "factors and product and delta rounded to bfloat16 before the sum",
                          got="0.0028 of the delta off", is_right=True), id="all in bfloat16"),
        pytest.param("F32", with_tf32,
                     said("merge_rounding", "a product as with TF32", got="0.00031 of the delta off", is_right=True),
                     id="TF32"),
        pytest.param("F32", summed_in("BF16"),
                     said("delta_wrong_values", "the sum was made in bfloat16, of which F32 holds more: the weight was "
                          "rounded with its delta", got="0.022 of the delta off"), id="a sum in bfloat16"),
        pytest.param("BF16", summed_in("F16"),
                     said("merge_rounding", "the sum was made in float16", got="0.018 of the delta off",
                          is_right=True), id="a finer sum"),
        pytest.param("BF16", less_exact("BF16"),
                     said("merge_rounding", "factors and product and delta rounded to bfloat16 before the sum",
                          got="0.017 of the delta off", is_right=True), id="factors in bfloat16, stored in it"),
    ],
)  # fmt: skip
def test_what_is_known_of_a_weight_is_told(dtype: str, merge: Merge, expected: Diagnosis) -> None:
    """What is merged less exactly is right; what is merged in part, or by nothing known, is told by its elements."""
    assert expected == told(QUERY, rounded(merge(QUERY, dtype), dtype), dtype)


@pytest.mark.parametrize("base_first", [False, True])
@pytest.mark.parametrize("is_delta_rounded", [False, True])
def test_a_scale_is_found_in_another_dtype_than_bases(base_first: bool, is_delta_rounded: bool) -> None:
    """Whether base, delta, both or none was rounded before the sum."""
    base, delta = base_of(QUERY), np.float32(1.5) * delta_of(QUERY)
    base = rounded(base, "BF16") if base_first else base
    delta = rounded(delta, "BF16") if is_delta_rounded else delta
    found = told(QUERY, rounded(base + delta, "BF16"), "F32", merged_dtype="BF16")
    assert said(SCALED, "the delta is scaled by 1.5", ONCE, "1.5 times") == found


def fused(reading: Reading, scale: float = 1.0) -> tuple[FactorJob, Files]:
    """Gate and up of three experts, fused in the adapter alone, merged as `reading` has it."""
    generator = np.random.default_rng(9)
    names = [f"model.layers.0.mlp.experts.{expert}.{part}_proj.weight" for expert in range(3) for part in PARTS]
    sites = [Site(name, 0, number // 2, PARTS[number % 2]) for number, name in enumerate(names)]
    a, b = generator.standard_normal((3 * RANK, 20)), 0.025 * generator.standard_normal((24, 3 * RANK))
    factors, files = in_memory({"A": a, "B": b})
    of = replace(pair("model.layers.0.mlp.experts", a.shape, b.shape), a=factors["A"], b=factors["B"], rank=RANK,
                 alpha=8.0, scaling=SCALE)  # fmt: skip
    target = Target(parameter="gate_up_proj", sites=tuple(names), shape=(24, 20), orientation="out_in", num_experts=3,
                    parts=PARTS, rows=(slice(0, 12, 1), slice(12, 24, 1)))  # fmt: skip
    held = Factors.of(of, target, files)
    pairings = []
    for number, site in enumerate(sites):
        base, delta = generator.standard_normal((12, 20)).astype(np.float32), held.delta(number, reading)
        entries, more = in_memory(
            {f"base {number}": base, f"merged {number}": base + (delta.left @ delta.right) * np.float32(scale * SCALE)}
        )
        files._contents.update(more._contents)  # type: ignore[attr-defined]
        pairings.append(
            Pairing(site, *(place(site, shape=base.shape)._replace(entry=each) for each in entries.values()))
        )
    return FactorJob(factors=held, readings=(Reading(),), sites=tuple(sites), stored_names=tuple(names),
                     pairings=tuple(pairings)), files  # fmt: skip


GROUPED = Reading(packing="grouped_by_expert")
MISREAD = "lora_B packed rank by rank (rank_major) was read expert by expert (grouped_by_expert)"


def test_what_one_weight_was_read_as_is_tried_first_of_the_next() -> None:
    """Of the same factors; where it is not that, the others are tried."""
    job, files = fused(GROUPED)
    neighbours, space = Neighbours([job]), Workspace(files)
    first, *others = (see_site(job, number, space, Preferred()) for number in range(6))
    expected = said("delta_wrong_packing", MISREAD, "standard, rank_major", "standard, grouped_by_expert")
    assert expected == diagnose(first, neighbours, HERE, space)
    (known,) = neighbours.readings.values()
    assert ([id(job)], GROUPED) == (list(neighbours.readings), known.reading)
    neighbours.readings[id(job)] = known._replace(kind="kind", message="as before", expected="this", got="that")
    assert [said("kind", "as before", "this", "that")] * 5 == [
        diagnose(each, neighbours, HERE, space) for each in others
    ]
    for other in (known._replace(reading=Reading(a_packing="rank_major")), known._replace(reading=None)):
        neighbours.readings[id(job)] = other
        assert expected == diagnose(first, neighbours, HERE, space)
    neighbours.readings[0] = neighbours.readings.pop(id(job))
    assert expected == diagnose(first, neighbours, HERE, space)


def test_a_misreading_in_another_scale_is_not_expected_of_the_next() -> None:
    """Both are said of it."""
    job, files = fused(GROUPED, 0.3)
    neighbours, space = Neighbours([job]), Workspace(files)
    found = diagnose(see_site(job, 2, space, Preferred()), neighbours, HERE, space)
    assert said("delta_wrong_packing", f"{MISREAD}, and the delta is scaled by 0.3", "standard, rank_major",
                "standard, grouped_by_expert") == found  # fmt: skip
    assert {} == neighbours.readings


LARGE = 50.0


def grown(name: str) -> np.ndarray:
    """A delta that is five times as large as base."""
    delta: np.ndarray = np.float32(LARGE) * delta_of(name)
    return delta


@pytest.mark.parametrize(
    ("merged", "expected"),
    [
        pytest.param(lambda: base_of(ABOVE) + grown(ABOVE), "is another layer's (1), with its delta", id="all of it"),
        pytest.param(lambda: base_of(ABOVE) + grown(QUERY), "is another layer's (1), with the delta of this one",
                     id="its base"),
        pytest.param(lambda: base_of(ABOVE), "is another layer's (1)", id="its base alone"),
        pytest.param(lambda: base_of(QUERY) + grown(QUERY) + off((5, 7, 1.0))(QUERY, "F32") - times(1)(QUERY, "F32"),
                     f"{NO_MERGE}: 1 element of 480 at [5, 7]", id="its own, and an element is off"),
        pytest.param(lambda: np.float32(0.6) * base_of(ABOVE) + np.float32(0.4) * base_of(QUERY),
                     f"{NO_MERGE}: 480 of 480 elements, most at [", id="more of it than of its own"),
    ],
)  # fmt: skip
def test_a_weight_is_told_from_another_though_its_delta_is_larger_than_base(
    merged: Callable[[], np.ndarray], expected: str
) -> None:
    """What is near another one without a delta, with its own or with this one's; a mixture is neither."""
    files, jobs = prepared(QUERY, merged(), scaling=LARGE * SCALE)
    above = jobs[ABOVE]
    jobs[ABOVE] = replace(above, factors=Factors.of(replace(above.pair, scaling=LARGE * SCALE), above.target, files))
    space = Workspace(files)
    found = diagnose(see_site(jobs[QUERY], 0, space, Preferred()), Neighbours(jobs.values()), HERE, space)
    assert found.message.startswith(expected)
    assert (NO_MERGE in expected) or found.message == expected


def test_experts_that_are_much_alike_are_told_from_each_other() -> None:
    """As those are that were copied from one matrix, and trained since."""
    alike = base_of(GATE) + np.float32(0.5) * base_of(OTHER_GATE)
    files, jobs = prepared(GATE, alike + delta_of(OTHER_GATE))
    entries, more = in_memory({"alike": alike})
    files._contents.update(more._contents)  # type: ignore[attr-defined]
    (pairing,) = jobs[OTHER_GATE].pairings
    assert pairing is not None
    moved = pairing._replace(base=pairing.base._replace(entry=entries["alike"]))
    jobs[OTHER_GATE], space = replace(jobs[OTHER_GATE], pairings=(moved,)), Workspace(files)
    found = diagnose(see_site(jobs[GATE], 0, space, Preferred()), Neighbours(jobs.values()), HERE, space)
    assert said("experts_permuted", "is another expert's (1), with its delta") == found


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Way, float, Evidence]]:
    """What a diagnosis compares: the way, how many times the delta, and the evidence. Each reads a whole weight."""
    seen: list[tuple[Way, float, Evidence]] = []

    def compare(pairing: Pairing, delta: LowRank, way: Way, space: Workspace, **more: Any) -> Evidence:
        found = comparing.compare(pairing, delta, way, space, **more)
        seen.append((way, delta.scale / SCALE, found))
        return found

    monkeypatch.setattr(diagnosis, "compare", compare)
    return seen


def diagnosed_alone(merge: Merge) -> Diagnosis:
    """Of a weight without neighbours."""
    files, jobs = prepared(QUERY, merge(QUERY, "F32"))
    space = Workspace(files)
    return diagnose(see_site(jobs[QUERY], 0, space, Preferred()), Neighbours([jobs[QUERY]]), HERE, space)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        pytest.param(1.2999, 1.3001, [1.3, 1.3, 1.3, 1.3, 1.300003], id="one without a name"),
        pytest.param(2.03, 2.05, [2.0, 2.0, 2.0, 2.04, 2.04, 2.04032], id="nearly twice"),
        pytest.param(0.0, 2.0, [2.0, 4.0, 1.03, 1.032, 1.03158], id="hardly known"),
    ],
)
def test_scales_are_tried_that_are_near_what_was_measured(
    compared: list[tuple[Way, float, Evidence]], low: float, high: float, expected: list[float]
) -> None:
    """Those with a name first, of more the less is known, then what was measured in few digits."""
    assert NO_MERGE in diagnosed_alone(blurred(QUERY, low, high)).message
    assert expected == [round(factor, 6) for way, factor, _ in compared if way == SUM]


def test_what_does_not_explain_a_weight_is_given_up_early(
    compared: list[tuple[Way, float, Evidence]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where most of what was read first is wrong; a product that may be off is looked at to the end."""
    monkeypatch.setattr(comparing, "TILE_ELEMENTS", 1)
    diagnosed_alone(blurred(QUERY, 0.9, 1.1))
    assert {way.name for way, *_ in compared} > {SUM.name, *(way.name for way in (*LESS_EXACT, *SUMS_IN_HALVES))}
    assert {True} == {found.num_compared < found.num_elements for way, _, found in compared if not way.tolerance}


def test_a_less_exact_product_hardly_shows_in_half_precision() -> None:
    """Few elements are off, as most are rounded to the same; of a large weight they are enough."""
    generator, shape = np.random.default_rng(10), (240, 200)
    base = rounded(generator.standard_normal(shape).astype(np.float32), "BF16")
    a, b = (generator.standard_normal(size).astype(np.float32) for size in ((RANK, shape[1]), (shape[0], RANK)))
    a, b = a * np.float32(2**18), b * np.float32(0.025 * 2**-18)  # float16 holds neither, and is not meant
    merged = rounded(base + np.float32(SCALE) * (of_eleven_bits(b) @ of_eleven_bits(a)), "BF16")
    entries, files = in_memory({"base": base, "merged": merged}, "BF16")
    factors, small = in_memory({"A": a, "B": b})
    files._contents.update(small._contents)  # type: ignore[attr-defined]
    of = replace(pair(QUERY, a.shape, b.shape), a=factors["A"], b=factors["B"], rank=RANK, alpha=8.0, scaling=SCALE)
    site, target = SITES[QUERY], Target(parameter=QUERY, sites=(QUERY,), shape=shape, orientation="out_in")
    pairing = Pairing(site, *(place(site, shape=shape)._replace(entry=each) for each in entries.values()))
    job = FactorJob(factors=Factors.of(of, target, files), readings=(Reading(),), sites=(site,),
                    stored_names=(QUERY,), pairings=(pairing,))  # fmt: skip
    space = Workspace(files)
    found = see_site(job, 0, space, Preferred())
    assert found.evidence is not None
    assert 20 < found.evidence.num_wrong < 0.02 * base.size
    with np.errstate(all="ignore"):
        cause = diagnose(found, Neighbours([job]), HERE, space)
    assert ("merge_rounding", "a product as with TF32", True) == (cause.kind, cause.message, cause.is_right)


@pytest.mark.parametrize(("dtype", "is_told"), [("F32", False), ("BF16", True)])
def test_a_transposed_weight_may_be_a_rounding_off(dtype: str, is_told: bool) -> None:
    """Half a percent is one in bfloat16, and none in float32."""
    merged = np.float32(1.005) * (base_of(SQUARE, dtype) + delta_of(SQUARE, dtype)).T
    found = told(SQUARE, rounded(merged, dtype), dtype)
    assert is_told == (found == said("delta_wrong_layout", "is stored transposed, with its delta"))


@pytest.mark.parametrize(
    ("dtype", "num_off", "more", "is_scaled"),
    [
        ("F32", 0, 0.2, True), ("F32", 10, 0.2, False), ("F32", 10, 1e-4, False),
        ("BF16", 0, 0.2, True), ("BF16", 4, 0.2, True), ("BF16", 10, 0.2, False),
    ],
)  # fmt: skip
def test_a_scale_of_many_digits_explains_nearly_all_elements(
    dtype: str, num_off: int, more: float, is_scaled: bool
) -> None:
    """Or it is not the cause."""
    merged = base_of(QUERY, dtype) + np.float32(1.23456789) * delta_of(QUERY, dtype)
    for at in range(num_off):
        merged[2 * at, at] += np.float32(more)
    found = told(QUERY, rounded(merged, dtype), dtype)
    assert found is not None
    assert is_scaled == (found.message == "the delta is scaled wrongly")
    assert is_scaled == (found.kind == SCALED)


def test_an_expert_that_merged_lacks_is_no_trouble() -> None:
    """Others are tried all the same."""
    files, jobs = prepared(GATE, exchanged(THIRD_GATE, THIRD_GATE)(GATE, "F32"))
    jobs[OTHER_GATE] = replace(jobs[OTHER_GATE], pairings=(None,))
    space = Workspace(files)
    found = diagnose(see_site(jobs[GATE], 0, space, Preferred()), Neighbours(jobs.values()), HERE, space)
    assert said("experts_permuted", "is another expert's (2), with its delta") == found


@pytest.mark.parametrize(("num_off", "is_right"), [(1, False), (9, False), (10, True), (100, True)])
def test_a_less_exact_product_is_off_in_many_elements(num_off: int, is_right: bool) -> None:
    """Single elements that are a little off were not made by one, though each of them could have been."""
    places = [(at // 20, at % 20, 1e-5) for at in range(num_off)]
    found = told(QUERY, off(*places)(QUERY, "F32"))
    assert found is not None
    assert is_right == found.is_right
    assert ("merge_rounding" if is_right else "delta_wrong_values") == found.kind


def with_dora(name: str, magnitude: np.ndarray) -> np.ndarray:
    """The merge of a weight in float32 with DoRA."""
    summed = base_of(name) + delta_of(name)
    merged: np.ndarray = summed * (magnitude[:, None] / np.linalg.norm(summed, axis=1, keepdims=True))
    return merged.astype(np.float32)


def test_dora_has_causes_of_its_own() -> None:
    """Its magnitude left out, some rows left out, or something else; a right merge has none."""
    magnitude = np.linspace(2, 6, 24, dtype=np.float32)
    right, in_part = with_dora(QUERY, magnitude), with_dora(QUERY, magnitude)
    in_part[4:6] = base_of(QUERY)[4:6]
    entries, files = in_memory({"magnitude": magnitude})
    weight = {"magnitude": entries["magnitude"]}
    assert None is told(QUERY, right, more_files=files, **weight)
    text = "DoRA's magnitude was left out: only B @ A was merged"
    plain = base_of(QUERY) + delta_of(QUERY)
    assert said("delta_wrong_values", text) == told(QUERY, plain, more_files=files, **weight)
    found = told(QUERY, in_part, more_files=files, **weight)
    assert found is not None
    assert ("delta_missing", False) == (found.kind, found.is_whole)
    assert "is base's in 2 of its rows (4 to 5), and merged in the others" == found.message
    found = told(QUERY, right * np.float32(1.5), more_files=files, **weight)
    assert found is not None
    assert "delta_wrong_values" == found.kind
    assert found.message.startswith("is not what a merge with DoRA gives: 480 of 480 elements, most at [")


@pytest.mark.parametrize(
    ("lines", "is_dora", "where"),
    [
        pytest.param((slice(None), [3, 4]), False, "2 of its columns (3 to 4)", id="columns"),
        pytest.param(([3], slice(None)), False, "some elements of 20 of its columns (0 to 19)", id="a row"),
        pytest.param(([3], slice(None)), True, "1 of its rows (3)", id="a row, with DoRA"),
    ],
)
def test_a_weight_that_is_stored_turned_is_walked_by_columns(lines: Any, is_dora: bool, where: str) -> None:
    """So they are what is told; but DoRA's length is of rows, however they are stored."""
    magnitude = np.linspace(2, 6, 24, dtype=np.float32)
    merged = with_dora(QUERY, magnitude) if is_dora else base_of(QUERY) + delta_of(QUERY)
    merged[lines] = base_of(QUERY)[lines]
    entries, more = in_memory({"base": base_of(QUERY).T, "merged": merged.T, "magnitude": magnitude})
    weight = {"magnitude": entries["magnitude"]} if is_dora else {}
    files, jobs = prepared(QUERY, merged, more_files=more, **weight)
    base, after = (place(SITES[QUERY], shape=merged.shape)._replace(entry=entries[name], transposed=True)
                   for name in ("base", "merged"))  # fmt: skip
    job, space = replace(jobs[QUERY], pairings=(Pairing(SITES[QUERY], base, after),)), Workspace(files)
    found = diagnose(see_site(job, 0, space, Preferred()), Neighbours([job]), HERE, space)
    assert ("delta_missing", f"is base's in {where}, and merged in the others") == (found.kind, found.message)


def test_the_worst_element_with_dora_is_the_worst_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only of the rows that are read first."""
    monkeypatch.setattr(dora, "BLOCK_ELEMENTS", 60)
    magnitude = np.linspace(2, 6, 24, dtype=np.float32)
    merged = with_dora(QUERY, magnitude)
    merged[0, 1], merged[11, 7], merged[23, 2] = merged[0, 1] + 1, merged[11, 7] - 3, merged[23, 2] + 2
    entries, files = in_memory({"magnitude": magnitude})
    found = told(QUERY, merged, more_files=files, magnitude=entries["magnitude"])
    assert found is not None
    assert found.message.endswith("elements, most at [11, 7]")


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        pytest.param(np.inf, said("non_finite", "the adapter's factors are not finite, and so is no merge of them"),
                     id="no numbers"),
        pytest.param(0.0, said("delta_wrong_values", "its delta is zero, and it changed: 480 of 480 elements, most at "
                               "[1, 14]", "1.060899", "2.060899"), id="zero"),
    ],
)  # fmt: skip
def test_factors_that_can_give_nothing(scaling: float, expected: Diagnosis) -> None:
    """Then no cause is looked for."""
    with np.errstate(all="ignore"):
        assert expected == told(QUERY, base_of(QUERY) + np.float32(1), scaling=scaling)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(WRONG, "2 of 30 elements, most at [2, 3]", id="some"),
        pytest.param({**WRONG, "num_wrong": 1}, "1 element of 30 at [2, 3]", id="one"),
        pytest.param({"num_wrong": 1}, "1 element of 30", id="one, somewhere"),
        pytest.param({"num_wrong": 30}, "30 of 30 elements", id="all, without a worst"),
    ],
)
def test_elements_are_told_by_their_number_and_the_worst(changes: dict[str, Any], expected: str) -> None:
    """How many are wrong of how many, and where the farthest is."""
    assert expected == elements(evidence(**changes))


def test_weights_of_a_survey_are_diagnosed_with_the_adapters_configuration() -> None:
    """Where it was merged with the default alpha, and a pattern gives this module another."""
    files, jobs = prepared(QUERY, times(2.5)(QUERY, "F32"))
    site = see_site(jobs[QUERY], 0, Workspace(files), Preferred())
    survey = Survey(sites=(site,), held=(), biases=(), unchanged=())
    with Crew(files, 1) as crew:
        (found,) = judge(survey, (), (), (), (), replace(HERE, alpha=20.0), crew).findings
    assert ("delta_wrong_scale", "scaled by the default rank and alpha, without the patterns") == (
        found.kind, found.message,
    )  # fmt: skip


def test_weights_of_a_survey_are_each_others_neighbours() -> None:
    """One may have been taken for another of them."""
    files, jobs = prepared(QUERY, of(ABOVE)(QUERY, "F32"))
    sites = tuple(see_site(jobs[name], 0, Workspace(files), Preferred()) for name in (QUERY, ABOVE))
    with Crew(files, 1) as crew:
        (found,) = judge(Survey(sites=sites, held=(), biases=(), unchanged=()), (), (), (), (), HERE, crew).findings
    assert ("the delta of another layer was merged", "layer 0", "layer 1") == (
        found.message, found.expected, found.got,
    )  # fmt: skip


def test_a_weight_without_a_worst_element_is_told_by_its_number() -> None:
    """And by nothing else."""
    wrong = seen(found=evidence(num_wrong=2), is_zero=True)
    found = diagnose(wrong, Neighbours([]), CONFIG, Workspace(in_memory({})[1]))
    assert said("delta_wrong_values", "its delta is zero, and it changed: 2 of 30 elements") == found


def test_one_bit_that_is_off_is_no_product_of_another_rounding() -> None:
    """Though one may give that bit too: it would have more of the others right."""
    right = rounded(base_of(QUERY, "BF16") + delta_of(QUERY, "BF16"), "BF16")
    for at in range(0, right.size, 9):
        bits = right.reshape(-1).view(np.uint32).copy()
        bits[at] ^= np.uint32(1 << 16)
        found = told(QUERY, bits.view(np.float32).reshape(right.shape), "BF16")
        assert found is not None
        assert not found.is_right
        assert f"1 element of 480 at [{at // 20}, {at % 20}]" in f"{found.message} {found.got}"


def test_a_scale_that_is_nearly_1_has_no_name() -> None:
    """It may be anything."""
    found = told(QUERY, times(1.0012345678)(QUERY, "F32"))
    assert found is not None
    assert found.message.startswith(NO_MERGE)


def test_a_misreading_may_be_subtracted() -> None:
    """The likeliest direction counts, whichever way it goes."""
    job, files = fused(GROUPED, -1.0)
    space = Workspace(files)
    for number in range(6):
        found = diagnose(see_site(job, number, space, Preferred()), Neighbours([job]), HERE, space)
        assert f"{MISREAD}, and the delta was subtracted" == found.message


def test_what_is_right_has_no_diagnosis() -> None:
    """In each dtype, whether the delta was rounded before or not."""
    for dtype in ("F32", "BF16", "F16"):
        for name in SITES:
            base, delta = base_of(name, dtype), delta_of(name, dtype)
            assert None is told(name, rounded(base + delta, dtype), dtype)
            assert None is told(name, rounded(base + rounded(delta, dtype), dtype), dtype)
