"""Tests of where weights lie: each family's layouts give the same sites, and what has no rule is named."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from harness.verify.families import NO_RULES, load_rules
from harness.verify.places import MAX_EXPERTS, WHOLE, canonical_name
from tests.verify.layouts import E, F, H, entry, layout, rules, value

LAYER = "model.layers.1."
PROJECTIONS = ("mlp.experts.{}.gate_proj", "mlp.experts.{}.up_proj", "mlp.experts.{}.down_proj")
W1_W3_W2 = tuple(f"block_sparse_moe.experts.{{}}.w{number}" for number in (1, 3, 2))
FEED_FORWARD = "feed_forward.experts.{}."
AS_QWEN = (
    *("qwen2_moe", "qwen3_moe", "qwen3_next", "qwen3_5_moe", "qwen3_5_moe_text", "olmoe", "flex_olmo"),
    *("deepseek_v2", "deepseek_v3", "glm4_moe", "dots1", "ernie4_5_moe"),
)
APART = {
    **dict.fromkeys(AS_QWEN, PROJECTIONS),
    **dict.fromkeys(("mixtral", "minimax", "minimax_m2", "phimoe"), W1_W3_W2),
    "lfm2_moe": tuple(f"{FEED_FORWARD}w{number}" for number in (1, 3, 2)),
    "jamba": tuple(f"{FEED_FORWARD}{name}_proj" for name in ("gate", "up", "down")),
}
"""By model_type: gate, up and down of one expert, as published checkpoints have them."""
FUSED = {
    "gpt_oss": ("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    "llama4": ("feed_forward.experts.gate_up_proj", "feed_forward.experts.down_proj"),
    "llama4_text": ("feed_forward.experts.gate_up_proj", "feed_forward.experts.down_proj"),
    **dict.fromkeys(
        ("granitemoe", "granitemoeshared", "granitemoehybrid"),
        ("block_sparse_moe.input_linear.weight", "block_sparse_moe.output_linear.weight"),
    ),
}
"""By model_type: the parameters of all experts, where no version has them apart."""
MEMORY = {"mixtral": "mlp", "minimax": "mlp", "minimax_m2": "mlp", "phimoe": "mlp"} | dict.fromkeys(
    ("lfm2_moe", "jamba"), "feed_forward"
)
"""The block that holds the experts in memory of transformers 5, where it is not mlp."""


def apart(model_type: str, head: str = LAYER) -> dict[str, tuple[int, ...]]:
    """One layer's experts, one by one."""
    names = APART[model_type]
    shapes = ((F, H), (F, H), (H, F))
    return {
        f"{head}{name.format(expert)}.weight": shape
        for expert in range(E)
        for name, shape in zip(names, shapes, strict=True)
    }


def fused(model_type: str, head: str = LAYER) -> dict[str, tuple[int, ...]]:
    """The same layer's experts in two parameters, as transformers 5 holds them."""
    block = MEMORY.get(model_type, "mlp")
    return {f"{head}{block}.experts.gate_up_proj": (E, 2 * F, H), f"{head}{block}.experts.down_proj": (E, H, F)}


def test_every_family_with_experts_is_tried() -> None:
    """None of the rows escapes the tables above."""
    assert {name for name, family in load_rules().items() if family.experts} == {*APART, *FUSED}


@pytest.mark.parametrize("model_type", sorted(APART))
def test_experts_apart_and_fused_are_the_same_sites(model_type: str) -> None:
    """Names, layers, experts, parts and shapes agree, and the names are the published ones."""
    first, second = layout(rules(model_type), apart(model_type)), layout(rules(model_type), fused(model_type))
    for found in (first, second):
        assert ((), ()) == (found.unmatched, found.duplicates)
    assert list(apart(model_type)) == list(first.places)
    assert set(first.places) == set(second.places)
    for name, place in first.places.items():
        assert place.site == second.places[name].site
        assert place.shape == second.places[name].shape == entry(name, apart(model_type)[name]).shape
    assert {LAYER: E} == first.num_experts == second.num_experts


@pytest.mark.parametrize("model_type", sorted(APART))
def test_a_layer_of_another_number_is_another(model_type: str) -> None:
    """Sites carry their layer and expert, so that two layers never meet."""
    found = layout(rules(model_type), apart(model_type) | fused(model_type, "model.layers.30."))
    assert 2 * 3 * E == len(found.places)
    assert {(layer, expert) for layer in (1, 30) for expert in range(E)} == {
        (place.site.layer, place.site.expert) for place in found.places.values()
    }


def test_halves_are_gate_then_up() -> None:
    """Each expert's first rows are gate's, and its last are up's."""
    rng = np.random.default_rng(0)
    gate, up, down = (rng.normal(size=(E, *shape)) for shape in ((F, H), (F, H), (H, F)))
    stored = {
        f"{LAYER}mlp.experts.gate_up_proj": np.concatenate([gate, up], axis=1),
        f"{LAYER}mlp.experts.down_proj": down,
    }
    places = layout(rules("qwen3_moe"), {name: array.shape for name, array in stored.items()}).places
    for part, wanted in (("gate", gate), ("up", up), ("down", down)):
        for expert in range(E):
            found = value(places[f"{LAYER}mlp.experts.{expert}.{part}_proj.weight"], stored)
            np.testing.assert_array_equal(wanted[expert], found)


@pytest.mark.parametrize(
    ("model_type", "block", "interleaved"), [("gpt_oss", "mlp", True), ("llama4_text", "feed_forward", False)]
)
def test_transposed_experts_are_turned(model_type: str, block: str, interleaved: bool) -> None:
    """gpt-oss has gate and up in turns, llama4 in halves, both on the last axis: sites are (out, in) all the same."""
    rng = np.random.default_rng(0)
    gate, up, down = (rng.normal(size=(E, *shape)) for shape in ((H, F), (H, F), (F, H)))
    joined = np.concatenate([gate, up], axis=2)
    if interleaved:
        joined[..., ::2], joined[..., 1::2] = gate, up
    stored = {f"{LAYER}{block}.experts.gate_up_proj": joined, f"{LAYER}{block}.experts.down_proj": down}
    places = layout(rules(model_type), {name: array.shape for name, array in stored.items()}).places
    for part, wanted in (("gate", gate), ("up", up), ("down", down)):
        for expert in range(E):
            place = places[f"{LAYER}{block}.experts.{expert}.{part}_proj.weight"]
            assert place.transposed
            assert wanted[expert].T.shape == place.shape
            np.testing.assert_array_equal(wanted[expert].T, value(place, stored))


def test_square_experts_are_told_by_their_family_alone() -> None:
    """Where all axes are equal, orientation and halves follow from the row, and no shape is asked."""
    shapes = {f"{LAYER}mlp.experts.gate_up_proj": (E, 8, 8), f"{LAYER}mlp.experts.down_proj": (E, 8, 4)}
    plain = layout(rules("qwen3_moe"), shapes).places[f"{LAYER}mlp.experts.2.up_proj.weight"]
    turned = layout(rules("gpt_oss"), shapes).places[f"{LAYER}mlp.experts.2.up_proj.weight"]
    assert (slice(4, 8, 1), False, (4, 8)) == (plain.rows, plain.transposed, plain.shape)
    assert (slice(1, 8, 2), True, (4, 8)) == (turned.rows, turned.transposed, turned.shape)


def test_biases_of_fused_experts_are_ordinary_tensors() -> None:
    """gpt-oss has a bias an expert and projection, which stays one tensor under its own name."""
    names = [f"{LAYER}mlp.experts.{name}_proj_bias" for name in ("gate_up", "down")]
    found = layout(rules("gpt_oss"), {names[0]: (E, 2 * F), names[1]: (E, H)})
    assert names == list(found.places)
    assert all(place.expert is None and place.rows == WHOLE for place in found.places.values())


@pytest.mark.parametrize(
    ("model_type", "in_memory", "published"),
    [
        ("mixtral", "model.layers.0.mlp.gate.weight", "model.layers.0.block_sparse_moe.gate.weight"),
        (
            "minimax_m2",
            "model.layers.0.mlp.e_score_correction_bias",
            "model.layers.0.block_sparse_moe.e_score_correction_bias",
        ),
        ("phimoe", "model.layers.0.mlp.router.weight", "model.layers.0.block_sparse_moe.gate.weight"),
        (
            "granitemoe",
            "model.layers.0.block_sparse_moe.router.weight",
            "model.layers.0.block_sparse_moe.router.layer.weight",
        ),
        (
            "ernie4_5_moe",
            "model.layers.0.mlp.gate.moe_statics.e_score_correction_bias",
            "model.layers.0.mlp.moe_statics.e_score_correction_bias",
        ),
        ("qwen3_moe", "model.layers.0.mlp.gate.weight", "model.layers.0.mlp.gate.weight"),
        (
            "mixtral",
            "model.layers.0.block_sparse_moe.experts.3.w2.weight",
            "model.layers.0.block_sparse_moe.experts.3.w2.weight",
        ),
    ],
)
def test_what_memory_calls_otherwise_has_the_published_name(model_type: str, in_memory: str, published: str) -> None:
    """A router is one site, by whichever of its names it is stored."""
    assert published == canonical_name(rules(model_type), in_memory) == canonical_name(rules(model_type), published)
    assert [published] == list(layout(rules(model_type), {in_memory: (E, H)}).places)


@pytest.mark.parametrize(
    ("model_type", "names", "site"),
    [
        ("qwen3", ["model.norm.weight", "norm.weight"], "model.norm.weight"),
        ("llama", ["layers.0.mlp.up_proj.weight"], "model.layers.0.mlp.up_proj.weight"),
        ("llama", ["model.embed_tokens.weight", "embed_tokens.weight"], "model.embed_tokens.weight"),
        ("llama", ["lm_head.weight"], "lm_head.weight"),
        # A text model does not find its weights under the name of a vision-language model.
        ("llama", ["model.language_model.norm.weight"], "model.language_model.norm.weight"),
        ("llama", ["base_model.model.model.norm.weight"], "base_model.model.model.norm.weight"),
        (
            "qwen3_5_text",
            ["model.language_model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight"],
            "model.layers.0.mlp.up_proj.weight",
        ),
        ("qwen3_5_moe", ["model.visual.blocks.0.norm1.weight"], "model.visual.blocks.0.norm1.weight"),
        ("qwen3_5_moe_text", ["mtp.layers.0.mlp.up_proj.weight"], "mtp.layers.0.mlp.up_proj.weight"),
        ("qwen2_vl", ["visual.blocks.0.mlp.fc1.weight"], "model.visual.blocks.0.mlp.fc1.weight"),
        (
            "qwen2_5_vl",
            ["model.layers.0.self_attn.q_proj.bias", "model.language_model.layers.0.self_attn.q_proj.bias"],
            "model.layers.0.self_attn.q_proj.bias",
        ),
        (
            "gemma3",
            [
                "language_model.model.layers.0.mlp.up_proj.weight",
                "model.language_model.layers.0.mlp.up_proj.weight",
                "model.language_model.model.layers.0.mlp.up_proj.weight",
            ],
            "model.layers.0.mlp.up_proj.weight",
        ),
        ("llava", ["language_model.lm_head.weight", "lm_head.weight"], "lm_head.weight"),
        ("mistral3", ["vision_tower.ln_pre.weight"], "model.vision_tower.ln_pre.weight"),
        ("llama4", ["language_model.model.norm.weight"], "model.norm.weight"),
    ],
)
def test_prefixes_that_loaders_know_are_one(model_type: str, names: list[str], site: str) -> None:
    """Each spelling is the same site, and a prefix that the family's loader does not know stays a name of its own."""
    for name in [*names, site]:
        assert [site] == list(layout(rules(model_type), {name: (3,)}).places)


@pytest.mark.parametrize(
    ("model_type", "name", "shape", "reason"),
    [
        ("qwen3_moe", "mlp.experts.0.gate_proj.weight_scale_inv", (1, 1), "is none of the names"),
        ("qwen3_moe", "mlp.experts.0.w1.weight", (F, H), "is none of the names"),
        ("qwen3_moe", "mlp.experts.007.gate_proj.weight", (F, H), "is none of the names"),
        ("qwen3_moe", "mlp.experts.-1.gate_proj.weight", (F, H), "is none of the names"),
        ("gpt_oss", "mlp.experts.gate_up_proj_blocks", (E, 2 * F, 2, 3), "is none of the names"),
        ("gpt_oss", "mlp.experts.0.gate_proj.weight", (F, H), "is none of the names"),
        ("llama", "mlp.experts.0.gate_proj.weight", (F, H), "the family has no naming rules for experts"),
        ("", "mlp.experts.0.gate_proj.weight", (F, H), "there are no naming rules for the family"),
        ("", "mlp.experts.gate_up_proj", (E, 2 * F, H), "there are no naming rules for the family"),
        ("qwen3_moe", "mlp.experts.gate_up_proj", (E * 2 * F, H), "has 2 axes, not 3"),
        ("qwen3_moe", "mlp.experts.0.gate_proj.weight", (F * H,), "has 1 axes, not 2"),
        ("qwen3_moe", "mlp.experts.gate_up_proj", (E, 7, H), "is not 2 equal parts"),
        ("gpt_oss", "mlp.experts.gate_up_proj", (E, H, 7), "is not 2 equal parts"),
        ("qwen3_moe", "mlp.experts.down_proj", (2**62, 0, H), "holds nothing"),
        ("qwen3_moe", "mlp.experts.down_proj", (MAX_EXPERTS + 1, 1, 1), "would hold 65537 experts"),
    ],
)
def test_what_no_rule_explains_is_named(model_type: str, name: str, shape: tuple[int, ...], reason: str) -> None:
    """It is unmatched, with the reason, and the tensors beside it are not."""
    family = rules(model_type) if model_type else NO_RULES
    found = layout(family, {f"{LAYER}{name}": shape, f"{LAYER}mlp.shared_experts.up_proj.weight": (F, H)})
    assert [f"{LAYER}{name}"] == [each.name for each in found.unmatched]
    assert reason in found.unmatched[0].reason
    assert [f"{LAYER}mlp.shared_experts.up_proj.weight"] == list(found.places)


def test_a_family_without_a_row_keeps_its_names() -> None:
    """Without experts there is nothing to explain, and no prefix is known."""
    names = ["decoder.block.0.weight", "layers.0.weight", "model.layers.0.weight"]
    found = layout(NO_RULES, dict.fromkeys(names, (3, 4)))
    assert names == list(found.places)
    assert ((), ()) == (found.unmatched, found.duplicates)


def test_a_site_that_is_stored_twice_is_said() -> None:
    """One expert both apart and in the fused parameter: the first counts, and both places are there to compare."""
    single = f"{LAYER}mlp.experts.2.up_proj.weight"
    found = layout(rules("qwen3_moe"), {single: (F, H), **fused("qwen3_moe")})
    [duplicate] = found.duplicates
    assert single == duplicate.name
    assert [None, 2] == [place.expert for place in duplicate.places]
    assert found.places[single] is duplicate.places[0]


def test_one_weight_under_two_prefixes_is_stored_twice() -> None:
    """Two names that a loader takes for one."""
    found = layout(rules("llama"), {"norm.weight": (H,), "model.norm.weight": (H,)})
    assert [("model.norm.weight", 2)] == [(each.name, len(each.places)) for each in found.duplicates]


def test_ordinary_tensors_of_any_shape_are_whole() -> None:
    """A scalar, a vector, a convolution and an empty one are sites as they are."""
    shapes = {"a": (), "b": (3,), "model.layers.0.conv1d.weight": (7, 1, 4), "c": (0, 5)}
    found = layout(rules("qwen3_5_moe_text"), shapes)
    assert shapes == {name: place.shape for name, place in found.places.items()}


def test_twenty_thousand_names_take_no_time() -> None:
    """48 layers of 128 experts, apart and fused (a guard against quadratic code, not a benchmark)."""
    started = time.perf_counter()
    heads = [f"model.layers.{layer}." for layer in range(48)]
    single = {
        f"{head}{name.format(expert)}.weight": (2, 3) for head in heads for expert in range(128) for name in PROJECTIONS
    }
    joined = {f"{head}mlp.experts.gate_up_proj": (128, 4, 3) for head in heads}
    joined |= {f"{head}mlp.experts.down_proj": (128, 2, 3) for head in heads}
    first, second = layout(rules("qwen3_moe"), single), layout(rules("qwen3_moe"), joined)
    assert 18432 == len(first.places)
    assert first.places.keys() == second.places.keys()
    assert time.perf_counter() - started < 5.0


def test_an_experts_matrix_has_one_name_by_whichever_it_is_stored() -> None:
    """The first of the names that the rules give its part; other names are not taken for one."""
    mixtral = rules("mixtral")
    assert mixtral.experts is not None
    gate, *more = mixtral.experts.apart
    both = replace(gate, names=(*gate.names, "mlp.experts.{expert}.gate_proj"))
    renamed = replace(mixtral, experts=replace(mixtral.experts, apart=(both, *more)))
    published = f"{LAYER}block_sparse_moe.experts.3.w1.weight"
    in_memory = f"{LAYER}mlp.experts.3.gate_proj.weight"
    assert published == canonical_name(renamed, in_memory) == canonical_name(renamed, published)
    assert published != canonical_name(mixtral, in_memory)
    for other in (f"{LAYER}block_sparse_moe.experts.3.w9.weight", f"{LAYER}block_sparse_moe.w1.weight"):
        assert other == canonical_name(renamed, other)
    assert in_memory == canonical_name(NO_RULES, in_memory)


def test_a_tensor_of_its_own_lies_as_it_is_stored() -> None:
    """All of it, not turned, in no other tensor."""
    found = layout(rules("qwen3_moe"), {"model.norm.weight": (H,), **apart("qwen3_moe")})
    for name, place in found.places.items():
        assert (name, name, None, WHOLE, False) == (
            place.site.name, place.entry.name, place.expert, place.rows, place.transposed,
        )  # fmt: skip
        assert place.entry.shape == place.shape
        assert place.transposed is False


def test_shapes_of_what_is_fused_are_whole_numbers() -> None:
    """Of each part, in either orientation."""
    for model_type in ("qwen3_moe", "gpt_oss"):
        shapes = {f"{LAYER}mlp.experts.gate_up_proj": (E, 2 * F, 2 * F)}
        for place in layout(rules(model_type), shapes).places.values():
            assert [int, int] == [type(number) for number in place.shape]
            assert (F, 2 * F) == place.shape


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((E, 2 * F), "has 2 axes, not 3"),
        ((0, 2 * F, H), "holds nothing"),
        ((E, 2 * F, 0), "holds nothing"),
        ((MAX_EXPERTS + 1, 2, 1), f"would hold {MAX_EXPERTS + 1} experts"),
        ((E, 2 * F + 1, H), f"its output axis of {2 * F + 1} is not 2 equal parts"),
    ],
)
def test_what_cannot_be_a_fused_parameter_says_why(shape: tuple[int, ...], reason: str) -> None:
    """Before its experts are counted out."""
    name = f"{LAYER}mlp.experts.gate_up_proj"
    (found,) = layout(rules("qwen3_moe"), {name: shape}).unmatched
    assert (name, reason) == (found.name, found.reason)


def test_as_many_experts_as_there_may_be_are_laid_out() -> None:
    """That is no damaged shape yet."""
    found = layout(rules("qwen3_moe"), {f"{LAYER}mlp.experts.down_proj": (MAX_EXPERTS, 1, 1)})
    assert (MAX_EXPERTS, ()) == (len(found.places), found.unmatched)


@pytest.mark.parametrize("reverse", [False, True])
def test_experts_are_counted_by_the_highest_number(reverse: bool) -> None:
    """In whichever order they are stored, and layer by layer."""
    shapes = apart("qwen3_moe") | {f"model.layers.2.mlp.experts.{number}.up_proj.weight": (F, H) for number in (0, 1)}
    ordered = dict(sorted(shapes.items(), reverse=reverse))
    assert {LAYER: E, "model.layers.2.": 2} == layout(rules("qwen3_moe"), ordered).num_experts


def test_what_is_no_experts_has_its_layer() -> None:
    """As its name says it."""
    names = {"model.layers.12.self_attn.q_proj.weight": 12, "model.norm.weight": None}
    found = layout(rules("qwen3"), dict.fromkeys(names, (F, H))).places
    assert names == {name: place.site.layer for name, place in found.items()}


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [("llama", "the family has no naming rules for experts"), ("", "there are no naming rules for the family")],
)
def test_experts_without_rules_are_said_to_have_none(model_type: str, reason: str) -> None:
    """By the family, or because there is none."""
    family = rules(model_type) if model_type else NO_RULES
    (found,) = layout(family, {f"{LAYER}mlp.experts.0.gate_proj.weight": (F, H)}).unmatched
    assert reason == found.reason
