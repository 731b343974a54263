"""Tests of what a pair of factors is for: modules of both generations of transformers, nested wrappers, and misfits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest

from harness.verify.families import NO_RULES
from harness.verify.places import Layout
from harness.verify.targets import Target, Unplaced, target_of
from tests.verify.layouts import E, F, H, R, Shapes, layout, pair, rules

EXPERTS = "model.layers.0.mlp.experts"
FUSED: Shapes = {f"{EXPERTS}.gate_up_proj": (E, 2 * F, H), f"{EXPERTS}.down_proj": (E, H, F)}
APART: Shapes = {
    f"{EXPERTS}.{expert}.{name}_proj.weight": shape
    for expert in range(E)
    for name, shape in (("gate", (F, H)), ("up", (F, H)), ("down", (H, F)))
}
GATE_UP = {"a": (E * R, H), "b": (2 * F, E * R)}
DOWN = {"a": (E * R, F), "b": (H, E * R)}
BOTH = ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")
Factors = dict[str, tuple[int, ...]]


def sites(*parts: str, experts: Sequence[int] = range(E)) -> tuple[str, ...]:
    """Names in the order of a fused parameter."""
    return tuple(f"{EXPERTS}.{expert}.{part}_proj.weight" for expert in experts for part in parts)


def swapped(factors: Factors) -> Factors:
    """The same parameter as PEFT 0.18 adapts it: A's axis is the other one."""
    return {"a": (factors["a"][0], factors["b"][0]), "b": (factors["a"][1], factors["b"][1])}


def placed(found: Target | Unplaced) -> Target:
    """The target that there must be."""
    assert isinstance(found, Target), found
    return found


@pytest.fixture(params=[APART, FUSED], ids=["apart", "fused"])
def base(request: pytest.FixtureRequest) -> Layout:
    """One layer of qwen3_moe, as either layout stores it."""
    return layout(rules("qwen3_moe"), request.param)


@pytest.mark.parametrize("swap", [False, True], ids=["standard", "swapped"])
@pytest.mark.parametrize("named", [BOTH, BOTH[::-1], ("gate_up_proj", "down_proj")], ids=["order", "reversed", "leaf"])
def test_the_first_parameter_of_the_module_is_innermost(base: Layout, named: Sequence[str], swap: bool) -> None:
    """gate_up is behind one base_layer and down behind none, however target_parameters is ordered."""
    family = rules("qwen3_moe")
    gate_up, down = (swapped(GATE_UP), swapped(DOWN)) if swap else (GATE_UP, DOWN)
    inner = placed(target_of(family, base, pair(EXPERTS, **gate_up, depth=1), named))
    outer = placed(target_of(family, base, pair(EXPERTS, **down), named))
    assert (f"{EXPERTS}.gate_up_proj", sites("gate", "up")) == (inner.parameter, inner.sites)
    assert (f"{EXPERTS}.down_proj", sites("down")) == (outer.parameter, outer.sites)
    assert (E, (2 * F, H), "out_in") == (inner.num_experts, inner.shape, inner.orientation)
    assert ((slice(0, F, 1), slice(F, 2 * F, 1)), ("gate", "up")) == (inner.rows, inner.parts)
    assert (E, (H, F), (slice(0, H, 1),), ("down",)) == (outer.num_experts, outer.shape, outer.rows, outer.parts)


@pytest.mark.parametrize(
    ("named", "factors", "leaf"),
    [
        (BOTH[:1], GATE_UP, "gate_up_proj"),
        (BOTH[1:], DOWN, "down_proj"),
        ((), GATE_UP, "gate_up_proj"),
        (("up_proj",), DOWN, "down_proj"),
    ],
    ids=["gate_up", "down", "unsaid", "unlike"],
)
def test_one_parameter_alone_is_outermost(base: Layout, named: Sequence[str], factors: Factors, leaf: str) -> None:
    """Which one it is follows from target_parameters, or from the shapes where nothing is said."""
    found = placed(target_of(rules("qwen3_moe"), base, pair(EXPERTS, **factors), named))
    assert f"{EXPERTS}.{leaf}" == found.parameter


def test_shapes_tell_gate_up_from_down_even_where_experts_are_square() -> None:
    """With 2 F == H, and with F == H, the axes of one are still not those of the other."""
    for hidden, inner in ((8, 4), (8, 8)):
        shapes = {f"{EXPERTS}.gate_up_proj": (E, 2 * inner, hidden), f"{EXPERTS}.down_proj": (E, hidden, inner)}
        base = layout(rules("qwen3_moe"), shapes)
        gate_up = pair(EXPERTS, (E * R, hidden), (2 * inner, E * R))
        down = pair(EXPERTS, (E * R, inner), (hidden, E * R))
        assert ("gate", "up") == placed(target_of(rules("qwen3_moe"), base, gate_up, ())).parts
        assert ("down",) == placed(target_of(rules("qwen3_moe"), base, down, ())).parts


@pytest.mark.parametrize("expert", [0, E - 1])
@pytest.mark.parametrize(("part", "a", "b"), [("gate", H, F), ("up", H, F), ("down", F, H)])
def test_one_linear_an_expert_is_the_same_site(base: Layout, expert: int, part: str, a: int, b: int) -> None:
    """An adapter of transformers 4 names its experts one by one."""
    factors = pair(f"{EXPERTS}.{expert}.{part}_proj", (R, a), (b, R))
    found = placed(target_of(rules("qwen3_moe"), base, factors, ()))
    assert sites(part, experts=[expert]) == found.sites
    assert (None, (b, a), "out_in") == (found.num_experts, found.shape, found.orientation)


def test_both_generations_of_mixtral_adapt_the_same_sites() -> None:
    """`mlp.experts` of transformers 5 and `block_sparse_moe.experts.E.w1` of transformers 4, and their routers."""
    head = "model.layers.0.block_sparse_moe"
    shapes = {
        f"{head}.experts.{expert}.{name}.weight": shape
        for expert in range(E)
        for name, shape in (("w1", (F, H)), ("w3", (F, H)), ("w2", (H, F)))
    }
    family, base = rules("mixtral"), layout(rules("mixtral"), {**shapes, f"{head}.gate.weight": (E, H)})
    newer = placed(target_of(family, base, pair("model.layers.0.mlp.experts", **GATE_UP, depth=1), BOTH))
    older = [
        placed(target_of(family, base, pair(f"{head}.experts.{expert}.{name}", (R, H), (F, R)), ())).sites[0]
        for expert in range(E)
        for name in ("w1", "w3")
    ]
    assert newer.sites == tuple(older)
    for module in ("model.layers.0.mlp.gate", f"{head}.gate"):
        assert (f"{head}.gate.weight",) == placed(target_of(family, base, pair(module, (R, H), (E, R)), ())).sites


@pytest.mark.parametrize(
    ("module", "depth"),
    [("block_sparse_moe.experts", 1), ("block_sparse_moe.input_linear", 0)],
    ids=["experts", "input_linear"],
)
def test_both_generations_of_granite_adapt_the_same_sites(module: str, depth: int) -> None:
    """One module for both parameters, or one for each."""
    head = "model.layers.0.block_sparse_moe"
    shapes = {f"{head}.input_linear.weight": (E, 2 * F, H), f"{head}.output_linear.weight": (E, H, F)}
    named = ("input_linear.weight", "output_linear.weight", "experts.gate_up_proj", "experts.down_proj")
    factors = pair(f"model.layers.0.{module}", **GATE_UP, depth=depth)
    found = placed(target_of(rules("granitemoe"), layout(rules("granitemoe"), shapes), factors, named))
    assert ("gate", "up") == found.parts
    assert 2 * E == len(found.sites)


def test_transposed_experts_say_how_they_lie_in_memory() -> None:
    """gpt-oss: (in, out), gate and up in turns, and PEFT does not swap; llama4: (in, out) in halves, and it does."""
    shapes = {f"{EXPERTS}.gate_up_proj": (E, H, 2 * F), f"{EXPERTS}.down_proj": (E, F, H)}
    gpt_oss = layout(rules("gpt_oss"), shapes)
    found = placed(target_of(rules("gpt_oss"), gpt_oss, pair(EXPERTS, **GATE_UP, depth=1), BOTH))
    assert ("in_out", (H, 2 * F), True) == (found.orientation, found.shape, found.is_transposed)
    assert (slice(0, 2 * F, 2), slice(1, 2 * F, 2)) == found.rows
    llama4 = layout(rules("llama4"), {name.replace("mlp", "feed_forward"): shape for name, shape in shapes.items()})
    factors = pair("model.layers.0.feed_forward.experts", **GATE_UP, depth=1)
    found = placed(target_of(rules("llama4"), llama4, factors, ("gate_up_proj", "down_proj")))
    assert ("in_out", (H, 2 * F), False) == (found.orientation, found.shape, found.is_transposed)
    assert (slice(0, F, 1), slice(F, 2 * F, 1)) == found.rows


def test_a_bias_between_the_parameters_counts_as_one() -> None:
    """gpt-oss with its bias of gate_up adapted too: three wrappers, in the module's order."""
    shapes = {
        f"{EXPERTS}.gate_up_proj": (E, H, 2 * F),
        f"{EXPERTS}.gate_up_proj_bias": (E, 2 * F),
        f"{EXPERTS}.down_proj": (E, F, H),
    }
    base = layout(rules("gpt_oss"), shapes)
    named = ("experts.gate_up_proj", "experts.gate_up_proj_bias", "experts.down_proj")
    found = [
        placed(target_of(rules("gpt_oss"), base, pair(EXPERTS, **factors, depth=depth), named)).parameter
        for depth, factors in ((2, GATE_UP), (1, {"a": (R, 2 * F), "b": (E, R)}), (0, DOWN))
    ]
    assert [f"{EXPERTS}.{leaf}" for leaf in ("gate_up_proj", "gate_up_proj_bias", "down_proj")] == found


@pytest.mark.parametrize(
    ("module", "a", "b", "kind", "shape"),
    [
        ("model.embed_tokens", (R, 11), (H, R), "embedding", (11, H)),
        ("lm_head", (R, H), (11, R), "linear", (11, H)),
        ("model.layers.0.mlp.gate", (R, H), (E, R), "linear", (E, H)),
        ("model.layers.0.mlp.up_proj", (R, H), (9, R), "linear", (9, H)),
        ("layers.0.mlp.up_proj", (R, H), (9, R), "linear", (9, H)),
    ],
)
def test_ordinary_modules_are_their_weight(
    module: str, a: tuple[int, ...], b: tuple[int, ...], kind: Literal["linear", "embedding"], shape: tuple[int, int]
) -> None:
    """Linears, embeddings, and routers and weights that are adapted as parameters: one site as it is."""
    base = layout(
        rules("qwen3_moe"),
        {
            "model.embed_tokens.weight": (11, H),
            "lm_head.weight": (11, H),
            "model.layers.0.mlp.gate.weight": (E, H),
            "model.layers.0.mlp.up_proj.weight": (9, H),
        },
    )
    factors = pair(module, a, b, kind=kind)
    found = placed(target_of(rules("qwen3_moe"), base, factors, ("mlp.gate.weight", "mlp.up_proj.weight")))
    assert (1, shape) == (len(found.sites), found.shape)
    assert shape == base.places[found.sites[0]].shape
    assert ("in_out" if kind == "embedding" else "out_in") == found.orientation


def test_modules_of_a_vision_language_model_find_the_text_model() -> None:
    """The adapter has the prefix of memory, the checkpoint one of its own."""
    base = layout(rules("gemma3"), {"language_model.model.layers.0.mlp.up_proj.weight": (9, H)})
    factors = pair("model.language_model.layers.0.mlp.up_proj", (R, H), (9, R))
    found = placed(target_of(rules("gemma3"), base, factors, ()))
    assert ("model.layers.0.mlp.up_proj.weight",) == found.sites


@pytest.mark.parametrize(
    ("module", "a", "b", "depth", "named", "reason"),
    [
        ("lm_head", (R, H), (11, R), 0, (), "has no lm_head.weight"),
        (EXPERTS, *GATE_UP.values(), 2, BOTH, "target_parameters names 2"),
        (EXPERTS, *GATE_UP.values(), 0, BOTH, "are not for model.layers.0.mlp.experts.down_proj"),
        (EXPERTS, (E * R, 77), (2 * F, E * R), 1, BOTH, "are not for model.layers.0.mlp.experts.gate_up_proj"),
        (EXPERTS, (E * R + 1, H), (2 * F, E * R + 1), 1, BOTH, "which is 4 times (10, 6)"),
        (EXPERTS, (E * R, 77), (2 * F, E * R), 0, (), "are for no parameter of"),
        (EXPERTS, (E * R, H), (2 * F, R), 1, BOTH, "cannot be multiplied"),
        (EXPERTS, (E * R,), (2 * F, E * R), 1, BOTH, "cannot be multiplied"),
        ("model.layers.0.norm", (R, H), (H, R), 0, (), "has 1 axes"),
        ("model.layers.0.up", (R, 9), (H, R), 0, (), "are not for model.layers.0.up.weight"),
        ("model.layers.0.up", (R, H), (9, R), 1, (), "2 parameters of one module"),
        ("model.layers.7.mlp.experts", *GATE_UP.values(), 1, BOTH, "has no model.layers.7.mlp.experts.0.gate_proj"),
        (f"{EXPERTS}.{E}.gate_proj", (R, H), (F, R), 0, (), f"has no {EXPERTS}.{E}.gate_proj.weight"),
    ],
)
def test_factors_for_nothing_say_why(
    module: str, a: tuple[int, ...], b: tuple[int, ...], depth: int, named: Sequence[str], reason: str
) -> None:
    """A site that is not there, a shape that does not fit, or more wrappers than are named."""
    shapes = {**FUSED, "model.layers.0.norm.weight": (H,), "model.layers.0.up.weight": (9, H)}
    found = target_of(rules("qwen3_moe"), layout(rules("qwen3_moe"), shapes), pair(module, a, b, depth=depth), named)
    assert isinstance(found, Unplaced)
    assert reason in found.reason
    assert bool(found.missing) == ("has no" in reason)


@pytest.mark.parametrize("expert", [1, 999_999_999], ids=["hole", "far"])
def test_experts_with_a_hole_are_no_target(expert: int) -> None:
    """The first that is missing is named, however far the last one is."""
    shapes = {name: shape for name, shape in APART.items() if f"experts.{1 if expert == 1 else E}." not in name}
    if expert != 1:
        shapes[f"{EXPERTS}.{expert}.gate_proj.weight"] = (F, H)
    found = target_of(rules("qwen3_moe"), layout(rules("qwen3_moe"), shapes), pair(EXPERTS, **DOWN), BOTH)
    assert isinstance(found, Unplaced)
    assert f"{EXPERTS}.{1 if expert == 1 else E}.down_proj.weight" == found.missing


def test_experts_of_unequal_shapes_are_no_target() -> None:
    """What a fused parameter would join has to be equal."""
    shapes = {**APART, f"{EXPERTS}.2.down_proj.weight": (H, F + 1)}
    found = target_of(rules("qwen3_moe"), layout(rules("qwen3_moe"), shapes), pair(EXPERTS, **DOWN), BOTH)
    assert isinstance(found, Unplaced)
    assert "of 2 shapes" in found.reason


def test_fused_experts_without_a_row_are_no_target() -> None:
    """Three axes under an ordinary name, in a family that has no rules."""
    base = layout(NO_RULES, {"layers.0.moe.weight": (E, 2 * F, H)})
    found = target_of(NO_RULES, base, pair("layers.0.moe", **GATE_UP), ("moe.weight",))
    assert isinstance(found, Unplaced)
    assert "has 3 axes" in found.reason
