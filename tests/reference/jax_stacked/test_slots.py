"""Adapters in slots: what comes out is what went in, and a row feels its own adapter alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from harness.errors import UsageError
from reference.jax_stacked.adapters.convert import per_projection
from reference.jax_stacked.adapters.reading import read_adapter
from reference.jax_stacked.adapters.record import Adapter, Factors
from reference.jax_stacked.checkpoints import load_model
from reference.jax_stacked.families import load_config
from reference.jax_stacked.generation import generate
from reference.jax_stacked.lora import LoraParam, LoraScaling, LoraSpec
from reference.jax_stacked.model import CausalLM, abstract, forward
from reference.jax_stacked.slots import Slots, room_for, room_of, targets_of
from reference.jax_stacked.stacked import unstack_state
from reference.jax_stacked.training import AdapterOptimizer, Batch, accumulate, no_gradients
from tests.reference.jax_stacked.conftest import Goldens
from tests.reference.jax_stacked.scenarios import recording
from tests.reference.jax_stacked.tiny import (
    adapter_of,
    all_room,
    config_of,
    everywhere,
    factors_of,
    model_of,
    same,
    within,
)

NUM_EXPERTS = 8
MAX_RANK = 12
RANKS = {"below": 3, "equal": NUM_EXPERTS, "above": 11, "all": MAX_RANK}
"""LoRA ranks beside the number of experts, and the room's own."""
ROUNDING = 2e-6
FELT = 1e-2
TOKENS_BT = np.random.default_rng(0).integers(4, 160, (6, 9))

MODELS = {
    "dense": config_of("qwen3"),
    "experts": config_of("qwen3_moe"),
    "two stacks": config_of("deepseek_v3"),
    "five stacks": config_of("qwen3_moe", num_hidden_layers=5, decoder_sparse_step=2),
    "tied": config_of("qwen3", tie_word_embeddings=True),
}
Make = Callable[..., CausalLM]


@pytest.fixture(scope="module")
def make() -> Make:
    """Builds a model with three slots, full of rubbish, with room everywhere; experts fused, or by projection."""

    def build(kind: str, *, fused: bool = True) -> CausalLM:
        room = all_room(num_slots=3, max_rank=MAX_RANK, fused=fused)
        return model_of(MODELS[kind], lora=room, fill=True)

    return build


def logits_of(model: CausalLM, slots: Array | None) -> np.ndarray:
    """Of the tokens above."""
    return np.asarray(forward(model, jnp.asarray(TOKENS_BT), slots=slots).logits_BTV)


def held_by(model: CausalLM, slot: int) -> dict[str, np.ndarray]:
    """Every number of a slot as it lies in the model: factors to their full rank, and scalings."""
    views = unstack_state(model, LoraParam) | unstack_state(model, LoraScaling)
    return {".".join(path): np.array(view.value[slot]) for path, view in views.items()}


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "by_projection"])
@pytest.mark.parametrize("kind", MODELS)
def test_what_comes_out_is_what_went_in(make: Make, kind: str, fused: bool, rank: str) -> None:
    """To the bit, for every kind of module and any number of axes before its rank, into a slot that held rubbish."""
    rslora = RANKS[rank] > NUM_EXPERTS
    model = make(kind, fused=fused)
    adapter = adapter_of(model, everywhere(RANKS[rank], 5.0), rslora=rslora, fused=fused)
    assert {True} == {np.all(factors.A != 0) and np.all(factors.B != 0) for factors in adapter.factors.values()}

    slots = Slots(model)
    slots.insert(1, adapter)
    got = slots.extract(1)

    assert len(adapter.factors) > 10
    assert same(adapter.factors, got.factors)
    assert rslora == got.rslora


def by_module(path: str) -> tuple[int, float]:
    """Ranks and alphas that differ by module and layer, below and above the number of experts."""
    if "experts" in path:
        return (11, 7.0) if "layers.1" in path else (2, 3.0)
    return (5, 2.0) if "layers.1" in path else (12, 24.0)


@pytest.mark.parametrize("kind", ["experts", "two stacks"])
def test_every_adapter_has_ranks_and_alphas_of_its_own(make: Make, kind: str) -> None:
    """Three at once, by module too; one that is replaced leaves the others as they were, to the bit."""
    model = make(kind)
    slots = Slots(model)
    adapters = [
        adapter_of(model, by_module, seed=1),
        adapter_of(model, everywhere(3, 9.0), seed=2, rslora=True),
        adapter_of(model, within(["self_attn"], 8, 1.5), seed=3),
    ]
    for slot, adapter in enumerate(adapters):
        slots.insert(slot, adapter)
    before = [held_by(model, slot) for slot in range(3)]

    other = adapter_of(model, everywhere(4, 2.0), seed=4)
    slots.insert(1, other)

    assert same(other.factors, slots.extract(1).factors)
    assert not same(other.factors, adapters[1].factors)
    for slot in (0, 2):
        assert same(adapters[slot].factors, slots.extract(slot).factors)
        for name, values in held_by(model, slot).items():
            np.testing.assert_array_equal(before[slot][name], values, err_msg=name)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "by_projection"])
@pytest.mark.parametrize("kind", ["experts", "two stacks"])
def test_a_row_feels_its_own_adapter_alone(make: Make, kind: str, fused: bool) -> None:
    """In a batch that mixes three adapters, of unlike ranks, each row is what it is where all rows have its adapter."""
    model = make(kind, fused=fused)
    slots = Slots(model)
    for slot, rank in enumerate((11, 3, 8)):
        slots.insert(slot, adapter_of(model, everywhere(rank, 4.0), seed=slot, fused=fused))
    chosen_B = np.array([2, 0, 1, 1, 0, 2])
    alone = [logits_of(model, jnp.asarray(slot)) for slot in range(3)]

    mixed = logits_of(model, jnp.asarray(chosen_B))

    for row, slot in enumerate(chosen_B):
        np.testing.assert_allclose(mixed[row], alone[slot][row], atol=ROUNDING, err_msg=f"row {row}")
        assert all(np.abs(mixed[row] - alone[other][row]).max() > FELT for other in range(3) if other != slot)


@pytest.mark.registry
@pytest.mark.parametrize("scenario", recording("adapters"))
def test_a_mixed_batch_is_what_peft_computes(scenario: str, goldens: Goldens) -> None:
    """Row by row the logits of PEFT with that adapter, and of the base where the slot is empty."""
    folder = goldens(scenario)
    torch = np.load(folder / "adapters.npz")
    targets = targets_of(abstract(load_config(folder / "base")))
    adapters = [read_adapter(folder / "adapters" / name, targets) for name in ("first", "second")]
    room = room_for(adapters)
    model = load_model(folder / "base", lora=replace(room, num_slots=3))
    slots = Slots(model)
    for slot, adapter in enumerate(adapters):
        slots.insert(slot, adapter)
    expected = [torch[f"{name}_logits_BTV"] for name in ("first", "second", "base")]
    chosen_B = np.array([0, 1, 2, 1, 0, 2, 0])

    mixed = forward(model, jnp.asarray(torch["input_ids_BT"], jnp.int32), slots=jnp.asarray(chosen_B)).logits_BTV

    for row, slot in enumerate(chosen_B):
        np.testing.assert_allclose(mixed[row], expected[slot][row], rtol=0, atol=1e-5, err_msg=f"row {row}")
    assert (4, 3) == (adapters[0].factors["model.layers.0.self_attn.q_proj"].rank, room_rank(adapters[1]))


def room_rank(adapter: Adapter) -> int:
    """The one rank that all its modules have."""
    [rank] = {factors.rank for factors in adapter.factors.values()}
    return rank


@pytest.mark.parametrize("kind", ["experts", "two stacks", "tied"])
def test_a_cleared_slot_is_the_base_model(make: Make, kind: str) -> None:
    """To the bit, and nothing is left in it."""
    model = make(kind)
    slots = Slots(model)
    slots.insert(0, adapter_of(model, everywhere(9, 4.0)))
    assert np.abs(logits_of(model, jnp.asarray(0)) - logits_of(model, None)).max() > FELT

    slots.clear(0)

    np.testing.assert_array_equal(logits_of(model, None), logits_of(model, jnp.asarray(0)))
    assert not any(values.any() for values in held_by(model, 0).values())
    with pytest.raises(UsageError, match="the slot is empty"):
        slots.extract(0)


@pytest.mark.parametrize("kind", ["experts", "two stacks"])
def test_nothing_of_a_higher_rank_is_left_behind(make: Make, kind: str) -> None:
    """After one of rank 11, a slot that gets one of rank 3 is as if it had been new: beyond rank 3 it is zero."""
    model = make(kind)
    slots = Slots(model)
    low = adapter_of(model, everywhere(3, 4.0), seed=1)
    slots.insert(0, low)
    for slot in (1, 2):
        slots.insert(slot, adapter_of(model, everywhere(11, 4.0), seed=2))
    slots.insert(1, low)

    new, reused = held_by(model, 0), held_by(model, 1)

    for name, values in new.items():
        np.testing.assert_array_equal(values, reused[name], err_msg=name)
        if not name.endswith(".scaling"):
            beyond = values[..., 3:] if name.endswith(".A") else values[..., 3:, :]
            assert beyond.size and not beyond.any(), name
    np.testing.assert_array_equal(logits_of(model, jnp.asarray(0)), logits_of(model, jnp.asarray(1)))
    assert np.abs(logits_of(model, jnp.asarray(1)) - logits_of(model, jnp.asarray(2))).max() > FELT


def test_modules_that_an_adapter_leaves_alone_are_emptied(make: Make) -> None:
    """Where the last one adapted experts, and this one does not, they are the base's again."""
    model = make("experts")
    slots = Slots(model)
    attention = adapter_of(model, within(["self_attn"]))
    slots.insert(0, attention)
    slots.insert(1, adapter_of(model, everywhere(9, 4.0), seed=2))
    slots.insert(1, attention)

    left = {name for name, values in held_by(model, 1).items() if values.any()}

    assert {name.rpartition(".lora")[0] for name in left} == set(attention.factors)
    np.testing.assert_array_equal(logits_of(model, jnp.asarray(0)), logits_of(model, jnp.asarray(1)))


def test_rubbish_is_felt(make: Make) -> None:
    """The slots that these tests begin with are no empty ones: what is not written over shows."""
    model = make("experts")

    assert all(values.all() for values in held_by(model, 2).values())
    assert np.abs(logits_of(model, jnp.asarray(2)) - logits_of(model, None)).max() > FELT


def test_the_parts_of_fused_experts_add_what_the_whole_does(make: Make) -> None:
    """gate_up with one A, and gate and up with that A each, are the same model."""
    whole, parts = make("experts"), make("experts", fused=False)
    adapter = adapter_of(whole, everywhere(5, 4.0))
    Slots(whole).insert(0, adapter)
    Slots(parts).insert(0, per_projection(adapter))

    np.testing.assert_allclose(logits_of(whole, jnp.asarray(0)), logits_of(parts, jnp.asarray(0)), atol=ROUNDING)


def too_wide(adapter: Adapter) -> Adapter:
    """A rank above the room's, in one module."""
    return _with(adapter, lambda held: replace(held, A=_doubled(held.A, -2), B=_doubled(held.B, -1)))


def other_input(adapter: Adapter) -> Adapter:
    """One input feature more."""
    return _with(adapter, lambda held: replace(held, A=_doubled(held.A, -1)))


def other_output(adapter: Adapter) -> Adapter:
    """Twice the outputs."""
    return _with(adapter, lambda held: replace(held, B=_doubled(held.B, -2)))


def fewer_experts(adapter: Adapter) -> Adapter:
    """Experts 0 to 5 of eight."""
    return _with(adapter, lambda held: replace(held, A=held.A[:6], B=held.B[:6]))


def one_expert(adapter: Adapter) -> Adapter:
    """Factors as of a plain matrix: they would broadcast."""
    return _with(adapter, lambda held: replace(held, A=held.A[0], B=held.B[0]))


def elsewhere(adapter: Adapter) -> Adapter:
    """A module that there is not."""
    return replace(adapter, factors={**adapter.factors, "model.layers.9.self_attn.q_proj": adapter.factors[WRONG]})


WRONG = "model.layers.1.mlp.experts.down_proj"


def _doubled(factor: np.ndarray, axis: int) -> np.ndarray:
    return np.concatenate([factor, factor], axis=axis)


def _with(adapter: Adapter, change: Callable[[Factors], Factors]) -> Adapter:
    return replace(adapter, factors={**adapter.factors, WRONG: change(adapter.factors[WRONG])})


WRONGS: Mapping[str, tuple[Callable[[Adapter], Adapter], str]] = {
    "rank": (too_wide, r"layers\.1\.mlp\.experts\.down_proj: rank is above the slot's; expected at most 12; got 14"),
    "input": (other_input, r"down_proj: factors have other shapes"),
    "output": (other_output, r"down_proj: factors have other shapes"),
    "fewer experts": (fewer_experts, r"down_proj: factors have other shapes"),
    "one expert": (one_expert, r"down_proj: factors have other shapes"),
    "module": (elsewhere, r"no room .* model\.layers\.9\.self_attn\.q_proj"),
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_what_does_not_fit_is_refused(make: Make, wrong: str) -> None:
    """By name, and the adapter that is in the slot stays there."""
    model = make("experts")
    slots = Slots(model)
    adapter = adapter_of(model, everywhere(7, 4.0))
    slots.insert(0, adapter)
    change, message = WRONGS[wrong]

    with pytest.raises(UsageError, match=message):
        slots.insert(0, change(adapter_of(model, everywhere(7, 4.0), seed=2)))

    assert same(adapter.factors, slots.extract(0).factors)


@pytest.mark.parametrize("slot", [-1, 3])
def test_there_are_as_many_slots_as_there_are(make: Make, slot: int) -> None:
    """A number outside is refused by all that take one: -1 would be the last, and so would 3 in a batch."""
    slots = Slots(make("dense"))
    model, adapter = slots.model, adapter_of(slots.model, everywhere(2, 4.0))
    tokens_BT, slots_B = jnp.zeros((2, 3), jnp.int32), jnp.asarray([0, slot])
    uses: list[Callable[[], object]] = [
        lambda: slots.insert(slot, adapter),
        lambda: slots.extract(slot),
        lambda: slots.clear(slot),
        lambda: forward(model, tokens_BT, slots=slots_B),
        lambda: generate(model, tokens_BT, slots=slots_B, max_new_tokens=1),
        lambda: accumulate(model, Batch(tokens_BT, tokens_BT, slots_B), no_gradients(model)),
        lambda: AdapterOptimizer(model, 1e-3).step(slot, no_gradients(model)),
    ]

    for use in uses:
        with pytest.raises(UsageError, match=rf"no such slot; expected 0 to 2; got .*{slot}"):
            use()


def test_without_room_nothing_can_be_inserted() -> None:
    """Neither into a model without slots, nor into modules that were given no room."""
    bare = model_of(MODELS["experts"])
    adapter = adapter_of(bare, within(["self_attn.q_proj", "experts.down_proj"]))
    roomy = model_of(MODELS["experts"], lora=room_of(["model.layers.0.self_attn.q_proj"], 3))

    with pytest.raises(UsageError, match="no such slot"):
        Slots(bare).insert(0, adapter)
    with pytest.raises(UsageError, match=r"no room for .* model\.layers\.0\.mlp\.experts\.down_proj, model\.layers\.1"):
        Slots(roomy).insert(0, adapter)


def test_room_is_for_all_that_ask() -> None:
    """As many slots as adapters, the largest rank of any module, and the modules of all."""
    model = model_of(MODELS["experts"])
    first, second = adapter_of(model, by_module), adapter_of(model, within(["lm_head"], 13))
    only_attention = adapter_of(model, within(["self_attn.k_proj"], 2))

    assert LoraSpec(num_slots=1, max_rank=2, targets=frozenset({"self_attn.k_proj"})) == room_for([only_attention])
    assert (2, 13) == (room_for([first, second]).num_slots, room_for([first, second]).max_rank)
    assert room_for([first]).targets | {"lm_head"} == room_for([first, second]).targets
    assert {"embed_tokens", "mlp.experts.gate_up_proj", "self_attn.o_proj"} <= room_for([first]).targets


@pytest.mark.parametrize("kind", MODELS)
def test_targets_are_what_adapters_can_be_for(kind: str) -> None:
    """Every matrix but the router's, with its sizes; experts both fused and by projection; a tied head is none."""
    model = model_of(MODELS[kind])
    config = MODELS[kind]
    targets = targets_of(model)

    assert ("lm_head" in targets) == (not config.tied)
    assert "embedding" == targets["model.embed_tokens"].kind
    assert (config.vocab_size, config.hidden_size) == (
        targets["model.embed_tokens"].in_features,
        targets["model.embed_tokens"].out_features,
    )
    assert not [path for path in targets if path.endswith(".mlp.gate")]
    for number, sparse in enumerate(config.sparse):
        parts = {"gate_up_proj", "gate_proj", "up_proj", "down_proj"}
        held = {path.rpartition(".")[2] for path in targets if path.startswith(f"model.layers.{number}.mlp.experts.")}
        assert (parts if sparse else set()) == held
        if sparse and config.experts is not None:
            target = targets[f"model.layers.{number}.mlp.experts.up_proj"]
            assert (config.experts.num_experts, config.hidden_size, config.experts.width) == (
                target.num_experts,
                target.in_features,
                target.out_features,
            )


def test_factors_of_two_seeds_share_nothing(make: Make) -> None:
    """So a reload that did nothing cannot pass for one that worked."""
    target = targets_of(make("experts"))[WRONG]
    one, other = (factors_of(WRONG, target, 3, 4.0, seed=seed) for seed in (1, 2))

    assert not np.intersect1d(one.A, other.A).size
    assert not np.intersect1d(one.B, other.B).size
