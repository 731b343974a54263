"""Harmful or malformed: an adapter_config.json that says what was not trained, or what nobody can use."""

from __future__ import annotations

import json
from typing import Any

from tests.verify.fuzz.damage import ANY, NOT_CONTAINED, Scene, damage, edit
from tests.verify.fuzz.damages.configs import HOSTILE, nested
from tests.verify.fuzz.damages.files import json_file
from tests.verify.fuzz.directories import content
from tests.verify.fuzz.oracle import ADAPTER_CONFIG
from tests.verify.fuzz.triples import WITH_EXPERTS
from tests.verify.fuzz.weights import table

BOMBS = (
    "(a*)*$", "(.+)+x", "(([a-z._0-9])+)+$", r"(\w+\.?)+!", ".*.*.*.*.*.*.*.*.*.*.*.*x", "(x+x+)+y|(.|.)*z", "(.*)*!",
)  # fmt: skip
"""Expressions that take longer than anybody waits, on names of some length."""
LARGE_EXPRESSIONS = (
    "(" * 5000, "[", "a{99999999999}", "(?P<layer>x)(?P<layer>y)", "((a{0,5000}){0,5000}){0,5000}", "\\", "(?i)(?L)x",
    "|".join("x" * 50 for _ in range(2000)), "(" * 90 + ")" * 90, "(?<=a+)b", "*", "\ud800", "(?#", "x" * 200_000,
)  # fmt: skip
"""Expressions that cannot be compiled, or only at length."""


def _set(scene: Scene, **fields: Any) -> None:
    edit(scene.triple["adapter"], ADAPTER_CONFIG, lambda held: held.update(fields))


@damage("harmful")
def another_rank(scene: Scene) -> None:
    """Than the factors have."""
    _set(scene, r=scene.pick([1, 3, 4, 8, 2**20]))


@damage("harmful", "WRONG_VALUES", "LOST_TO_ROUNDING")
def another_alpha(scene: Scene) -> None:
    """With another sign, of half the size, or of none."""
    _set(scene, lora_alpha=scene.pick([3, 12, -6, 6.5, 1e-30, 0, 1e30, 5]))


@damage("harmful")
def an_alpha_that_overflows(scene: Scene) -> None:
    """What it gives no dtype can hold, or no float at all."""
    _set(scene, lora_alpha=scene.pick([1e308, -1.7e308, 10**300, 10**400, 5e-324]))


@damage("harmful", "WRONG_VALUES")
def the_other_scaling(scene: Scene) -> None:
    """rsLoRA or not."""
    edit(
        scene.triple["adapter"], ADAPTER_CONFIG, lambda held: held.update(use_rslora=not held.get("use_rslora", False))
    )


@damage("malformed")
def a_rank_that_is_none(scene: Scene) -> None:
    """Zero, below, or no whole number."""
    _set(scene, r=scene.pick([0, -2, 2.5, True, "2", None, [2], {}, 2**63, 10**300, 1e10]))


@damage("malformed")
def an_alpha_that_is_none(scene: Scene) -> None:
    """A text, a table, nothing."""
    _set(scene, lora_alpha=scene.pick(["6", None, [6], {}, True, "NaN"]))


@damage("malformed")
def numbers_that_json_does_not_have(scene: Scene) -> None:
    """NaN and infinities, as Python writes them, or too many digits."""
    files, name = json_file(scene)
    value = scene.pick(["NaN", "Infinity", "-Infinity", "1e999", "-1e400", "9" * 5000, "01", "1.", "0x1", "+1"])
    fields = {**table(content(files, name)), "lora_alpha": "HERE"}
    files[name] = json.dumps(fields).replace('"HERE"', value).encode()


@damage("harmful")
def other_targets(scene: Scene) -> None:
    """Than the factors are for: PEFT then leaves these out."""
    other = ["k_proj"], ["q_proj"], ["v_proj"], [], ["q"], ["proj"], "q_proj", r".*\.q_proj", "", ["q_proj ", "V_PROJ"]
    _set(scene, target_modules=scene.pick(other))


@damage("harmful", variants=WITH_EXPERTS)
def other_parameters(scene: Scene) -> None:
    """One of the two missing, or others in their place."""
    other = [["mlp.experts.gate_up_proj"], ["mlp.experts.down_proj"], ["experts.x"], ["mlp.experts.gate_up_proj"] * 2]
    _set(scene, target_parameters=scene.pick(other))


@damage("edit", *ANY, variants=WITH_EXPERTS)
def no_parameters(scene: Scene) -> None:
    """Not said: the factors' shapes still tell which is whose."""
    edit(scene.triple["adapter"], ADAPTER_CONFIG, lambda held: held.pop("target_parameters"))


@damage("harmful")
def another_rank_by_pattern(scene: Scene) -> None:
    """For some modules."""
    name = scene.pick(["q_proj", r".*q_proj", r"model\.layers\.0\.self_attn\.q_proj", "q_.roj", r".*\.[q]_proj"])
    _set(scene, rank_pattern={"v_proj": 3 if scene.variant == "dense" else 2, name: 5})


@damage("harmful")
def another_alpha_by_pattern(scene: Scene) -> None:
    """For some modules."""
    name = scene.pick(["q_proj", r".*q_proj", r"model\.layers\.1\.self_attn\.q_proj", "q_.roj"])
    _set(scene, alpha_pattern={name: scene.pick([1, -6, 0.5, 1e30])})


@damage("malformed")
def patterns_that_are_none(scene: Scene) -> None:
    """Ranks and alphas that cannot be, tables that are lists."""
    name = scene.pick(["rank_pattern", "alpha_pattern"])
    values = [[], "x", 7, {"q_proj": "2"}, {"q_proj": None}, {"q_proj": [2]}, {"q_proj": {}}, {"q_proj": True}]
    _set(scene, **{name: scene.pick([value for value in values if value])})


@damage("edit", *ANY)
def an_expression_that_runs_away(scene: Scene) -> None:
    """Wherever one is allowed; it must come to an end, and mostly to an error."""
    _put_expression(scene, scene.pick(BOMBS))


@damage("edit", *ANY)
def an_expression_that_does_not_compile(scene: Scene) -> None:
    """Or takes long to."""
    _put_expression(scene, scene.pick(LARGE_EXPRESSIONS))


def _put_expression(scene: Scene, expression: str) -> None:
    field = scene.pick(["target_modules", "rank_pattern", "alpha_pattern", "exclude_modules", "modules_to_save"])
    value: Any = {expression: 2} if field.endswith("pattern") else expression
    _set(scene, **{field: [expression] if field == "modules_to_save" else value})


@damage("harmful")
def the_experts_said_to_be_grouped(scene: Scene) -> None:
    """A marker that says how B is packed, where the packing is another; without experts it says nothing."""
    _set(scene, lora_B_layout="grouped_by_expert", **({} if scene.variant != "dense" else {"lora_alpha": 7}))


@damage("harmful")
def dora_where_there_is_none(scene: Scene) -> None:
    """Or none where there is."""
    edit(scene.triple["adapter"], ADAPTER_CONFIG, lambda held: held.update(use_dora=not held.get("use_dora", False)))


@damage("harmful")
def more_than_factors(scene: Scene) -> None:
    """Fields that make something else of the factors."""
    more: dict[str, Any] = {
        "layer_replication": [[0, 2]],
        "init_lora_weights": scene.pick(["pissa", "pissa_niter_4", "olora", "corda", "loftq"]),
        "alora_invocation_tokens": [1, 2],
        "use_qalora": True,
        "trainable_token_indices": [3],
    }
    name = scene.pick(sorted(more))
    _set(scene, **{name: more[name]})


@damage("harmful", *NOT_CONTAINED)
def not_lora(scene: Scene) -> None:
    """Another method, whose tensors mean something else."""
    _set(scene, peft_type=scene.pick(["LOHA", "lora", None, 3, "IA3", ["LORA"]]))


@damage("harmful")
def some_layers_only(scene: Scene) -> None:
    """The configuration says that some layers have no adapter."""
    _set(scene, layers_to_transform=scene.pick([[0], 1, [5], [-1]]))


@damage("harmful", "REFUSED", *NOT_CONTAINED)
def layers_that_are_none(scene: Scene) -> None:
    """Or patterns of them without layers."""
    _set(
        scene,
        **scene.pick([{"layers_to_transform": ["0"]}, {"layers_pattern": "layers"}, {"layers_to_transform": 0.5}]),
    )


@damage("harmful")
def excluded_modules(scene: Scene) -> None:
    """Those that the factors are for."""
    _set(scene, exclude_modules=scene.pick([["q_proj"], r".*q_proj", ["model.layers.0.self_attn.v_proj"]]))


@damage("edit", *ANY)
def a_strange_value(scene: Scene) -> None:
    """In any field of the adapter's configuration."""
    fields = table(content(scene.triple["adapter"], ADAPTER_CONFIG))
    more = ["use_rslora", "use_dora", "lora_bias", "modules_to_save", "layers_pattern", "exclude_modules", "eva_config"]
    name = scene.pick([*fields, *more])
    _set(scene, **{name: scene.pick([*HOSTILE, nested(60), {"x": nested(40)}, ["q_proj", 1], ["q_proj", "\n"]])})


@damage("malformed")
def brackets_in_brackets(scene: Scene) -> None:
    """Deeper than any reader goes."""
    files, name = json_file(scene)
    depth = scene.pick([70, 1000, 100_000])
    opening, closing = scene.pick([("[", "]"), ('{"a":', "}")])
    text = opening * depth + "1" + closing * depth
    files[name] = b'{"peft_type": "LORA", "a": ' + text.encode() + b"}"
