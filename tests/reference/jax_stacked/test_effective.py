"""The oracle reads what the live forward pass adds: its definition, and no longer so if the pass is wrong."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from harness.errors import UsageError
from reference.jax_stacked.adapters.record import Adapter
from reference.jax_stacked.effective import effective_deltas
from reference.jax_stacked.lora import Lora, LoraScaling
from reference.jax_stacked.model import CausalLM
from reference.jax_stacked.slots import Slots
from reference.jax_stacked.stacked import unstack_state
from tests.reference.jax_stacked.adapters.conftest import deltas, largest_error
from tests.reference.jax_stacked.tiny import adapter_of, all_room, config_of, everywhere, model_of, within

ROUNDING = 1e-7
"""Of float32, to which the oracle rounds once."""
CONFIGS = {
    "dense": config_of("llama"),
    "experts": config_of("qwen3_moe"),
    "two stacks": config_of("deepseek_v3"),
    "tied": config_of("qwen3", tie_word_embeddings=True),
}
KINDS = {
    "linear": "self_attn.q_proj",
    "head": "lm_head",
    "embedding": "embed_tokens",
    "experts": "experts.gate_up_proj",
}


def held(kind: str, *, fused: bool = True, rank: int = 5, rslora: bool = False) -> tuple[Slots, Adapter]:
    """An adapter of every module, in slot 1 of two that held rubbish."""
    model = model_of(CONFIGS[kind], lora=all_room(num_slots=2, max_rank=11, fused=fused), fill=True)
    adapter = adapter_of(model, everywhere(rank, 3.0), fused=fused, rslora=rslora)
    slots = Slots(model)
    slots.insert(1, adapter)
    return slots, adapter


@pytest.mark.parametrize("rslora", [False, True], ids=["plain", "rslora"])
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "by_projection"])
@pytest.mark.parametrize("rank", [5, 11], ids=["below", "above"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_it_is_the_definition(kind: str, rank: int, fused: bool, rslora: bool) -> None:
    """scaling · B A of every adapted weight, under its published name, and of no other; rounded once."""
    slots, adapter = held(kind, fused=fused, rank=rank, rslora=rslora)

    got = effective_deltas(slots, 1)

    assert largest_error(deltas(adapter), got) < ROUNDING
    assert {np.dtype(np.float32)} == {delta.dtype for delta in got.values()}
    assert not jax.config.jax_enable_x64  # what follows computes as before


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_scaling_is_seen(kind: str) -> None:
    """The oracle reads the model, and not the record of what was inserted."""
    slots, adapter = held("experts")
    path = next(path for path in adapter.factors if path.endswith(KINDS[kind]))
    view = unstack_state(slots.model, LoraScaling)[(*path.split("."), "lora", "scaling")]
    assert largest_error(deltas(adapter), effective_deltas(slots, 1)) < ROUNDING

    view.write(view.value[1] * 1.05, (1,))

    off = {path: replace(factors, alpha=factors.alpha * 1.05) for path, factors in adapter.factors.items()}
    changed = replace(adapter, factors={**adapter.factors, path: off[path]})
    got = effective_deltas(slots, 1)
    assert 0.049 < largest_error(deltas(adapter), got) < 0.051
    assert largest_error(deltas(changed), got) < ROUNDING


def test_a_wrong_forward_pass_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """No formula is written a second time: one that forgets the scaling shows in every dense module."""
    slots, adapter = held("dense")

    def forgetful(lora: Lora, x_BTI: Array, slots: Array) -> Array:
        product: Array = (x_BTI @ lora.A[...][slots]) @ lora.B[...][slots]
        return product

    monkeypatch.setattr(Lora, "__call__", forgetful)

    got = effective_deltas(slots, 1)
    for name, delta in deltas(adapter).items():
        if "embed_tokens" not in name:  # which looks rows up, and multiplies nothing
            np.testing.assert_allclose(got[name], delta * 5.0 / 3.0, rtol=1e-4, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("part", ["gate_proj", "up_proj", "down_proj"])
def test_a_projection_alone_changes_no_other(part: str) -> None:
    """Where only one of an expert's three is adapted, the oracle has that one alone."""
    model = model_of(CONFIGS["experts"], lora=all_room(num_slots=1, max_rank=3, fused=False), fill=True)
    adapter = adapter_of(model, within([f"experts.{part}"]), fused=False)
    slots = Slots(model)
    slots.insert(0, adapter)

    got = effective_deltas(slots, 0)

    assert 2 * 8 == len(got)
    assert {part} == {name.split(".")[-2] for name in got}
    assert largest_error(deltas(adapter), got) < ROUNDING


def test_what_is_adapted_and_untrained_is_there_with_zeros() -> None:
    """An expert that no token has reached is no expert that was forgotten."""
    slots, adapter = held("experts")
    path = "model.layers.1.mlp.experts.down_proj"
    untrained = adapter.factors[path].B.copy()
    untrained[3] = 0
    slots.insert(1, replace(adapter, factors={**adapter.factors, path: replace(adapter.factors[path], B=untrained)}))

    got = effective_deltas(slots, 1)

    zero = {name for name, delta in got.items() if not delta.any()}
    assert {"model.layers.1.mlp.experts.3.down_proj.weight"} == zero
    assert deltas(adapter).keys() == got.keys()


def test_it_is_of_one_slot() -> None:
    """Of two adapters, each has its own; an empty slot has none."""
    slots, adapter = held("experts")
    other = adapter_of(slots.model, within(["self_attn"], 2, 7.0), seed=9)
    slots.insert(0, other)

    assert largest_error(deltas(other), effective_deltas(slots, 0)) < ROUNDING
    assert largest_error(deltas(adapter), effective_deltas(slots, 1)) < ROUNDING
    slots.clear(0)
    with pytest.raises(UsageError, match="the slot is empty"):
        effective_deltas(slots, 0)


def test_it_changes_nothing() -> None:
    """The model computes the same before and after, in float32."""
    slots, _ = held("experts")
    before = {path: np.array(view.value) for path, view in unstack_state(slots.model).items()}

    effective_deltas(slots, 1)

    for path, view in unstack_state(slots.model).items():
        assert before[path].dtype == view.dtype
        np.testing.assert_array_equal(before[path], view.value)


def test_bfloat16_bases_do_not_blur_it() -> None:
    """Factors are float32 whatever the base, and the base cancels."""
    model: CausalLM = model_of(
        CONFIGS["two stacks"], lora=all_room(num_slots=1, max_rank=3), dtype=jnp.dtype(jnp.bfloat16)
    )
    adapter = adapter_of(model, everywhere(3, 4.0))
    slots = Slots(model)
    slots.insert(0, adapter)

    assert largest_error(deltas(adapter), effective_deltas(slots, 0)) < ROUNDING
