"""What PEFT calls the modules, parameters and tensors of a model."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from reference.jax_stacked.adapters.names import expand, factor_keys, fused_keys, module_names, parameter_names
from reference.jax_stacked.adapters.record import Target
from tests.reference.jax_stacked.adapters.conftest import moe_targets

LAYER = "model.layers.0.mlp.experts"


def experts(columns: int, rows: int, num_experts: int = 4) -> Target:
    """A target of experts."""
    return Target(kind="experts", in_features=columns, out_features=rows, num_experts=num_experts)


@pytest.mark.parametrize(
    ("projection", "target"),
    [
        ("gate_up_proj", experts(6, 14)),
        ("gate_proj", experts(6, 7)),
        ("up_proj", experts(6, 7)),
        ("down_proj", experts(7, 6)),
    ],
)
def test_one_projection_of_a_layer_tells_all_of_them(projection: str, target: Target) -> None:
    """Hidden size and expert hidden size are in each of the four."""
    expanded = expand({f"{LAYER}.{projection}": target})

    expected = {
        f"{LAYER}.gate_up_proj": experts(6, 14),
        f"{LAYER}.gate_proj": experts(6, 7),
        f"{LAYER}.up_proj": experts(6, 7),
        f"{LAYER}.down_proj": experts(7, 6),
    }
    assert expected == expanded


@pytest.mark.parametrize(
    ("targets", "what"),
    [
        ({f"{LAYER}.gate_proj": experts(6, 7), f"{LAYER}.down_proj": experts(8, 6)}, "targets disagree"),
        ({f"{LAYER}.gate_up_proj": experts(6, 13)}, "no such projection"),
        ({f"{LAYER}.w1": experts(6, 7)}, "no such projection"),
        ({f"{LAYER}.down_proj": experts(7, 6, 0)}, "experts need a number"),
    ],
    ids=["sizes", "odd", "name", "none"],
)
def test_experts_that_cannot_be_are_refused(targets: dict[str, Target], what: str) -> None:
    """By the layer or path that they have."""
    with pytest.raises(UsageError, match=what) as raised:
        expand(targets)

    assert LAYER in str(raised.value)


def test_experts_are_modules_or_parameters_but_not_both() -> None:
    """A Linear an expert and projection on transformers 4, two parameters a layer on transformers 5."""
    targets = expand(moe_targets(num_experts=2))

    apart = module_names(targets, experts_apart=True).keys() | parameter_names(targets, experts_apart=True).keys()
    together = module_names(targets, experts_apart=False).keys() | parameter_names(targets, experts_apart=False).keys()

    of_layer = {name.removeprefix(f"{LAYER}.") for name in apart - together if name.startswith(LAYER)}
    linears = {f"{expert}.{name}_proj" for expert in range(2) for name in ("gate", "up", "down")}
    assert linears | {f"{name}.weight" for name in linears} == of_layer
    assert {f"{LAYER}.gate_up_proj", f"{LAYER}.down_proj"} == {
        name for name in together - apart if name.startswith(LAYER)
    }


def test_tensors_are_called_what_peft_calls_them() -> None:
    """As PEFT 0.18.1, 0.19.1 and 0.21.2 saved them for tiny models of qwen3 and qwen3_moe."""
    linear, embedding = Target(kind="linear", in_features=3, out_features=4), moe_targets()["model.embed_tokens"]
    prefix = "base_model.model"

    assert (f"{prefix}.lm_head.lora_A.weight", f"{prefix}.lm_head.lora_B.weight") == factor_keys("lm_head", linear)
    assert (
        f"{prefix}.model.embed_tokens.lora_embedding_A",
        f"{prefix}.model.embed_tokens.lora_embedding_B",
    ) == factor_keys("model.embed_tokens", embedding)


@pytest.mark.parametrize(
    ("projection", "down_too", "expected"),
    [
        ("gate_up_proj", True, f"{LAYER}.base_layer.lora_A.weight"),
        ("gate_up_proj", False, f"{LAYER}.lora_A.weight"),
        ("down_proj", True, f"{LAYER}.lora_A.weight"),
    ],
)
def test_gate_up_is_within_down_where_both_are_adapted(projection: str, down_too: bool, expected: str) -> None:
    """Alone it is outermost, and its tensors are called like down's."""
    keys = fused_keys(f"{LAYER}.{projection}", experts(6, 7), down_too=down_too)

    assert f"base_model.model.{expected}" == keys[0]
