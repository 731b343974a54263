"""A merged model is the adapted one: base and oracle add up, every matrix is counted, and nothing is added twice."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from harness.checkpoints.safetensors_file import round_to
from harness.errors import UsageError
from reference.jax_stacked.adapters.record import Adapter, Factors
from reference.jax_stacked.checkpoints import places
from reference.jax_stacked.effective import effective_deltas
from reference.jax_stacked.merging import MergeCounts, merge
from reference.jax_stacked.model import CausalLM, forward
from reference.jax_stacked.slots import Slots
from tests.reference.jax_stacked.tiny import Choice, adapter_of, all_room, config_of, everywhere, model_of, within

ABSOLUTE = 1e-5
FELT = 1e-2
TOKENS_BT = np.random.default_rng(0).integers(4, 160, (4, 9))
CONFIGS = {
    "dense": config_of("llama"),
    "experts": config_of("qwen3_moe"),
    "two stacks": config_of("glm4_moe"),
    "latent": config_of("deepseek_v3"),
    "tied": config_of("qwen3", tie_word_embeddings=True),
}
NUM_EXPERTS = 8


def held(
    kind: str, choose: Choice, *, fused: bool = True, rslora: bool = False, dtype: str = "float32"
) -> tuple[Slots, Adapter]:
    """An adapter in slot 1 of a model with two."""
    room = all_room(num_slots=2, max_rank=11, fused=fused)
    model = model_of(CONFIGS[kind], lora=room, dtype=jnp.dtype(dtype))
    adapter = adapter_of(model, choose, fused=fused, rslora=rslora)
    slots = Slots(model)
    slots.insert(1, adapter)
    return slots, adapter


def weights_of(model: CausalLM) -> dict[str, np.ndarray]:
    """Every published weight of the base, experts one by one."""
    return {name: place.read().copy() for name, place in places(model, fused=False).items()}


def logits_of(model: CausalLM, slots: Array | None) -> np.ndarray:
    """Of the tokens above."""
    return np.asarray(forward(model, jnp.asarray(TOKENS_BT), slots=slots).logits_BTV)


CASES = {
    "dense": ("dense", everywhere(5, 3.0), True, False),
    "dense-rslora": ("dense", everywhere(5, 3.0), True, True),
    "experts": ("experts", everywhere(5, 3.0), True, False),
    "experts-above": ("experts", everywhere(11, 3.0), True, True),
    "experts-by_projection": ("experts", everywhere(5, 3.0), False, False),
    "experts-up": ("experts", within(["experts.up_proj"]), False, False),
    "two stacks": ("two stacks", everywhere(5, 3.0), True, False),
    "latent": ("latent", everywhere(5, 3.0), True, False),
    "tied": ("tied", within(["self_attn", "mlp"]), True, False),
}


@pytest.mark.parametrize("case", CASES)
def test_a_merge_is_base_and_oracle(case: str) -> None:
    """Each adapted weight is base plus delta, no other has changed, and the logits are those with the adapter."""
    kind, choose, fused, rslora = CASES[case]
    slots, adapter = held(kind, choose, fused=fused, rslora=rslora)
    model = slots.model
    before, adapted = weights_of(model), logits_of(model, jnp.asarray(1))
    oracle = effective_deltas(slots, 1)
    assert np.abs(adapted - logits_of(model, None)).max() > FELT

    counts = merge(slots, 1)

    after = weights_of(model)
    assert before.keys() == after.keys()
    assert oracle
    for name, weight in before.items():
        expected = weight if name not in oracle else (weight + oracle[name].astype(np.float64)).astype(np.float32)
        np.testing.assert_allclose(after[name], expected, rtol=0, atol=0 if name not in oracle else 1e-6, err_msg=name)
        assert (name in oracle) == (not np.array_equal(weight, after[name])), name
    np.testing.assert_allclose(logits_of(model, None), adapted, rtol=0, atol=ABSOLUTE)
    assert MergeCounts(attempted=len(oracle), changed=len(oracle), zero_delta=0) == counts
    assert len(adapter.factors) > 1


def test_a_merge_empties_the_slot() -> None:
    """With the slot or without, the merged model is one: the delta is not there twice, and cannot be added again."""
    slots, _ = held("experts", everywhere(5, 3.0))

    merge(slots, 1)

    np.testing.assert_array_equal(logits_of(slots.model, None), logits_of(slots.model, jnp.asarray(1)))
    with pytest.raises(UsageError, match="the slot is empty"):
        merge(slots, 1)


def test_other_slots_stay() -> None:
    """An adapter beside the merged one is still there, to the bit; what it adds is added to the merge."""
    slots, _ = held("experts", within(["self_attn"]))
    other = adapter_of(slots.model, everywhere(2, 4.0), seed=3)
    slots.insert(0, other)
    before = effective_deltas(slots, 0)

    merge(slots, 1)

    after = effective_deltas(slots, 0)
    assert before.keys() == after.keys()
    for name, delta in before.items():
        np.testing.assert_array_equal(delta, after[name], err_msg=name)


def with_zeros(adapter: Adapter, path: str, experts: list[int], rows: slice = slice(None)) -> Adapter:
    """`adapter` with some rows of B of some experts zero."""
    B = adapter.factors[path].B.copy()
    B[experts, rows] = 0
    return replace(adapter, factors={**adapter.factors, path: replace(adapter.factors[path], B=B)})


def test_matrices_are_counted_as_they_are_published() -> None:
    """An expert's gate and up are one each; those without a delta are no attempts, and they have not changed."""
    slots, adapter = held("experts", within(["experts", "self_attn.q_proj"]))
    adapter = with_zeros(adapter, "model.layers.0.mlp.experts.down_proj", [2, 5])
    adapter = with_zeros(adapter, "model.layers.1.mlp.experts.gate_up_proj", [7])
    up_rows = slice(40, None)
    adapter = with_zeros(adapter, "model.layers.0.mlp.experts.gate_up_proj", [0, 1], up_rows)
    slots.insert(1, adapter)
    before = weights_of(slots.model)

    counts = merge(slots, 1)

    zero = {f"model.layers.0.mlp.experts.{expert}.down_proj.weight" for expert in (2, 5)}
    zero |= {f"model.layers.1.mlp.experts.7.{part}_proj.weight" for part in ("gate", "up")}
    zero |= {f"model.layers.0.mlp.experts.{expert}.up_proj.weight" for expert in (0, 1)}
    total = 2 * (1 + 3 * NUM_EXPERTS)
    assert MergeCounts(attempted=total - 6, changed=total - 6, zero_delta=6) == counts
    after = weights_of(slots.model)
    same = {name for name in before if np.array_equal(before[name], after[name])}
    assert zero <= same
    assert total - 6 == len(before) - len(same)


def test_experts_by_projection_are_counted_alike() -> None:
    """A projection of an expert is one matrix."""
    slots, adapter = held("experts", within(["experts.gate_proj", "experts.up_proj"]), fused=False)
    slots.insert(1, with_zeros(adapter, "model.layers.1.mlp.experts.up_proj", [4, 6, 7]))

    assert MergeCounts(attempted=32 - 3, changed=32 - 3, zero_delta=3) == merge(slots, 1)


def scaled(factors: Factors, scale: float) -> Factors:
    """A delta that is `scale` times as large."""
    return replace(factors, B=factors.B * np.float32(scale))


def test_what_rounding_loses_was_attempted_and_has_not_changed() -> None:
    """In bfloat16 a delta far below the weights leaves nothing, and the counts say so."""
    slots, adapter = held("experts", within(["self_attn.q_proj", "experts.down_proj"]), dtype="bfloat16")
    lost = "model.layers.0.self_attn.q_proj"
    # Weights that are small by chance would change by the smallest delta: none of this one comes near them.
    slots.insert(1, replace(adapter, factors={**adapter.factors, lost: scaled(adapter.factors[lost], 1e-9)}))
    before = weights_of(slots.model)

    counts = merge(slots, 1)

    total = 2 * (1 + NUM_EXPERTS)
    assert MergeCounts(attempted=total, changed=total - 1, zero_delta=0) == counts
    after = weights_of(slots.model)
    np.testing.assert_array_equal(before[f"{lost}.weight"], after[f"{lost}.weight"])
    assert total - 1 == sum(not np.array_equal(before[name], after[name]) for name in before)


def test_a_sum_is_rounded_once() -> None:
    """In bfloat16 the merge is base plus delta in float32, rounded to nearest: the delta is not rounded before."""
    slots, _ = held("two stacks", everywhere(5, 3.0), dtype="bfloat16")
    before, oracle = weights_of(slots.model), effective_deltas(slots, 1)

    merge(slots, 1)

    after = weights_of(slots.model)
    num_other = num_all = num_early = 0
    for name, delta in oracle.items():
        once = round_to("bfloat16", before[name] + delta)
        early = round_to("bfloat16", before[name] + round_to("bfloat16", delta))
        num_other += int((once != after[name]).sum())
        num_early += int((early != after[name]).sum())
        num_all += delta.size
    # A sum at the middle between two numbers may fall either way.
    assert num_other <= 1e-4 * num_all
    assert num_early >= 1e-2 * num_all
    assert all(np.array_equal(before[name], after[name]) for name in before.keys() - oracle.keys())


def test_a_tied_embedding_is_refused() -> None:
    """One tensor cannot be both; the weights and the slot stay as they were."""
    slots, adapter = held("tied", within(["embed_tokens", "self_attn"]))
    before = weights_of(slots.model)

    with pytest.raises(UsageError, match=r"model\.embed_tokens: an adapted embedding that is tied"):
        merge(slots, 1)

    after = weights_of(slots.model)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert adapter.factors.keys() == slots.extract(1).factors.keys()


def test_an_empty_slot_is_refused() -> None:
    """Nothing to merge is an error, and no merge of nothing."""
    slots, _ = held("dense", within(["self_attn"]))

    with pytest.raises(UsageError, match="the slot is empty"):
        merge(slots, 0)
