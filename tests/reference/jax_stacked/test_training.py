"""Training follows PyTorch's: loss, every gradient, the first step and all sixty; and no adapter feels another.

Suffixes: `B` rows, `T` tokens, `S` steps.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from harness.checkpoints.safetensors_file import read_header, read_tensor, write_file
from harness.errors import UsageError
from harness.metrics.kl import kl_BT
from reference.jax_stacked.adapters.names import WEIGHTS_FILE
from reference.jax_stacked.adapters.reading import read_adapter
from reference.jax_stacked.adapters.record import Adapter
from reference.jax_stacked.checkpoints import load_model
from reference.jax_stacked.families import load_config
from reference.jax_stacked.lora import LoraParam
from reference.jax_stacked.model import abstract, forward
from reference.jax_stacked.slots import Slots, room_for, targets_of
from reference.jax_stacked.stacked import unstack_state
from reference.jax_stacked.training import (
    IGNORED,
    AdapterOptimizer,
    Batch,
    Gradients,
    accumulate,
    exact_adam,
    mean_gradients,
    no_gradients,
    sequence_losses,
)
from tests.reference.jax_stacked.conftest import Goldens
from tests.reference.jax_stacked.scenarios import recording
from tests.reference.jax_stacked.tiny import (
    adapter_of,
    all_room,
    config_of,
    everywhere,
    factors_in,
    model_of,
    same,
)

RELATIVE = 1e-5
"""Of a tensor's norm, against torch. Measured: gradients 2e-6, first step 1e-6."""
ROUNDING = 3e-6
"""The same among our own gradients, summed in another order. Measured: 1.2e-6."""
LEARNING_RATE, WEIGHT_DECAY = 1e-2, 0.01
STEPS = 60
TIMES_NOISE = 100
"""Adam's first step is nearly a gradient's sign, which rounding decides near zero: compared is what has a gradient
larger than so many times the largest difference between the two gradients of their tensor."""
FEW = 2e-3
"""The share of elements that may be left out of the first step for that."""
TIMES_TWINS = 10
STEPS_BEFORE_CHAOS = 20
"""Later, rounding sends a token to another expert, in one run and not in another: then only ends are compared."""
SLOT = 0


class Start:
    """A recorded training: its model with the initial adapter in a slot, its batch, and what torch made of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.torch = np.load(folder / "training.npz")
        self.targets = targets_of(abstract(load_config(folder / "base")))
        self.adapter = read_adapter(folder / "adapter", self.targets)
        self.model = load_model(folder / "base", lora=room_for([self.adapter]))
        self.slots = Slots(self.model)
        self.slots.insert(SLOT, self.adapter)
        self.tokens_BT = jnp.asarray(self.torch["input_ids_BT"], jnp.int32)
        labels_BT = jnp.asarray(self.torch["labels_BT"], jnp.int32)
        self.batch = Batch(self.tokens_BT, labels_BT, jnp.full(len(labels_BT), SLOT, jnp.int32))

    def recorded(self, kind: str, scratch: Path) -> Mapping[str, np.ndarray]:
        """Torch's tensors of a kind (`gradients`, `after_one_step`), by our names: PEFT's files hold both alike."""
        directory = scratch / kind
        directory.mkdir()
        shutil.copy(self.folder / "adapter" / "adapter_config.json", directory)
        tensors = {
            entry.name: (entry.dtype, read_tensor(entry))
            for entry in read_header(self.folder / "adapter" / WEIGHTS_FILE)
        }
        named = {name.removeprefix(f"{kind}/"): self.torch[name] for name in self.torch if name.startswith(f"{kind}/")}
        assert named and named.keys() <= tensors.keys()
        write_file(directory / WEIGHTS_FILE, tensors | {name: ("F32", values) for name, values in named.items()})
        return flat(read_adapter(directory, self.targets))


def flat(adapter: Adapter) -> dict[str, np.ndarray]:
    """Every factor of an adapter by name."""
    return {f"{path}.{which}": getattr(factors, which) for path, factors in adapter.factors.items() for which in "AB"}


def gradients_of(slots: Slots, gradients: Gradients, slot: int = SLOT) -> dict[str, np.ndarray]:
    """The mean gradient of each factor of the adapter in a slot, by name."""
    return {
        name: values / np.asarray(gradients.tokens_S)[slot]
        for name, values in flat(factors_in(slots, gradients.summed, slot)).items()
    }


def largest(expected: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]) -> float:
    """The largest ‖got − expected‖ / ‖expected‖; none of the expected is zero."""
    assert expected.keys() == got.keys()
    assert all(np.linalg.norm(values) > 0 for values in expected.values())
    return max(float(np.linalg.norm(got[name] - values) / np.linalg.norm(values)) for name, values in expected.items())


@pytest.mark.registry
@pytest.mark.parametrize("name", recording("training"))
def test_the_first_step_is_that_of_torch(
    name: str, goldens: Goldens, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Initial logits and loss, each gradient, and each factor after AdamW's first step, with weight decay."""
    start = Start(goldens(name))
    torch = start.torch
    logits = forward(start.model, start.tokens_BT, slots=jnp.asarray(SLOT)).logits_BTV
    np.testing.assert_allclose(logits, torch["initial_logits_BTV"], rtol=0, atol=1e-5)

    gradients = accumulate(start.model, start.batch, no_gradients(start.model))
    loss = float(gradients.loss_S[SLOT] / gradients.tokens_S[SLOT])
    ours = gradients_of(start.slots, gradients)
    AdapterOptimizer(start.model, LEARNING_RATE, weight_decay=WEIGHT_DECAY).step(SLOT, gradients)
    stepped = flat(start.slots.extract(SLOT))

    assert float(torch["initial_loss"]) == pytest.approx(loss, rel=1e-6)
    theirs = start.recorded("gradients", tmp_path)
    gradient_error = largest(theirs, ours)
    step_error, num_left_out, num_all = 0.0, 0, 0
    for key, expected in start.recorded("after_one_step", tmp_path).items():
        before, noise = flat(start.adapter)[key], np.abs(ours[key] - theirs[key]).max()
        # Where both are exactly zero, as for experts that no token has reached, only weight decay steps: compared too.
        is_told = (np.abs(theirs[key]) > TIMES_NOISE * noise) | ((theirs[key] == 0) & (ours[key] == 0))
        off, taken = (stepped[key] - expected)[is_told], (expected - before)[is_told]
        step_error = max(step_error, float(np.linalg.norm(off) / np.linalg.norm(taken)))
        num_left_out, num_all = num_left_out + int((~is_told).sum()), num_all + is_told.size
    for what, value in (
        ("gradient", gradient_error),
        ("step", step_error),
        ("left out", f"{num_left_out} of {num_all}"),
    ):
        record_property(what, value)
        print(f"{name}: {what} {value}")
    assert gradient_error <= RELATIVE
    assert step_error <= RELATIVE
    assert num_left_out <= FEW * num_all


def train(start: Start) -> np.ndarray:
    """The loss before each step."""
    optimizer, gradients = AdapterOptimizer(start.model, LEARNING_RATE), no_gradients(start.model)
    losses = []
    for _ in range(STEPS):
        gradients = accumulate(start.model, start.batch, gradients)
        losses.append(float(gradients.loss_S[SLOT] / gradients.tokens_S[SLOT]))
        gradients = optimizer.step(SLOT, gradients)
    return np.array(losses)


@pytest.mark.registry
@pytest.mark.parametrize("name", recording("training"))
def test_sixty_steps_end_where_torch_does(
    name: str, goldens: Goldens, record_property: Callable[[str, object], None]
) -> None:
    """No further from torch's end, and from its first losses, than ten times a run begun 1e-7 beside it."""
    start = Start(goldens(name))
    torch = start.torch

    losses_S = train(start)

    logits = np.asarray(forward(start.model, start.tokens_BT, slots=jnp.asarray(SLOT)).logits_BTV)
    ours = float(kl_BT(torch["final_logits_BTV"], logits).max())
    twins = [float(kl_BT(torch["final_logits_BTV"], twin).max()) for twin in torch["perturbed_final_logits_WBTV"]]
    # What has once led astray does not come back, so a twin's distance is the largest so far.
    strayed_S = np.maximum.accumulate(np.abs(torch["perturbed_losses_WS"] - torch["losses_S"]).max(axis=0))
    off_S = np.abs(losses_S - torch["losses_S"])
    for what, value in (("KL torch‖jax", ours), ("KL torch‖perturbed torch", max(twins)), ("loss", float(off_S.max()))):
        record_property(what, value)
        print(f"{name}: {what} {value:.2e}")
    assert ours <= TIMES_TWINS * max(twins)
    assert (off_S <= TIMES_TWINS * strayed_S + 1e-6)[:STEPS_BEFORE_CHAOS].all(), off_S / (strayed_S + 1e-7)
    assert losses_S[-1] < losses_S[0] / 3


CONFIGS = {
    "experts": config_of("qwen3_moe"),
    "two stacks": config_of("deepseek_v3", num_hidden_layers=2),
}
RANKS = (3, 5, 2, 5)
"""Of the adapters in the four slots, in room for five."""


@pytest.fixture(scope="module", params=CONFIGS)
def origin(request: pytest.FixtureRequest) -> tuple[Slots, list[Adapter]]:
    """A model with every slot full, and what is in them. Not to be written to: a copy is."""
    model = model_of(CONFIGS[request.param], lora=all_room(num_slots=len(RANKS), max_rank=max(RANKS)))
    slots = Slots(model)
    adapters = [adapter_of(model, everywhere(rank, 4.0), seed=seed) for seed, rank in enumerate(RANKS)]
    for slot, adapter in enumerate(adapters):
        slots.insert(slot, adapter)
    return slots, adapters


def filled(origin: tuple[Slots, list[Adapter]]) -> Slots:
    """A copy, with arrays of its own."""
    return copy.deepcopy(origin[0])


def batch_of(slots_B: list[int]) -> Batch:
    """Rows that learn unlike numbers of tokens, for these slots."""
    generator = np.random.default_rng(2)
    tokens_BT = generator.integers(4, 160, (len(slots_B), 9))
    labels_BT = tokens_BT.copy()
    for row, labels_T in enumerate(labels_BT):
        labels_T[: row + 1] = IGNORED
    as_int = partial(jnp.asarray, dtype=jnp.int32)
    return Batch(as_int(tokens_BT), as_int(labels_BT), as_int(slots_B))


MIXED = [0, 1, 1, 3, 0, 3]
"""Slot 2 has no row."""


def rows_of(batch: Batch, rows: list[int]) -> Batch:
    """Some rows of a batch."""
    chosen = jnp.asarray(rows)
    return Batch(*(None if part is None else part[chosen] for part in batch))


def test_gradients_do_not_leak(origin: tuple[Slots, list[Adapter]]) -> None:
    """In a mixed batch each adapter has the gradients of its own rows alone; who has no row has none."""
    slots, batch = filled(origin), batch_of(MIXED)

    mixed = accumulate(slots.model, batch, no_gradients(slots.model))

    for slot in (0, 1, 3):
        rows = [row for row, owner in enumerate(MIXED) if owner == slot]
        alone = accumulate(slots.model, rows_of(batch, rows), no_gradients(slots.model))
        assert largest(gradients_of(slots, alone, slot), gradients_of(slots, mixed, slot)) < ROUNDING
        assert float(alone.tokens_S[slot]) == float(mixed.tokens_S[slot]) == sum(8 - row for row in rows)
        assert float(alone.loss_S[slot]) == pytest.approx(float(mixed.loss_S[slot]), rel=1e-6)
        assert [slot] == np.flatnonzero(alone.tokens_S).tolist()
    assert not any(values.any() for values in flat(factors_in(slots, mixed.summed, 2)).values())
    assert (0.0, 0.0) == (float(mixed.tokens_S[2]), float(mixed.loss_S[2]))


def moments_of(optimizer: AdapterOptimizer, slot: int) -> list[np.ndarray]:
    """All that the optimiser remembers of a slot."""
    return [np.array(leaf) for leaf in jax.tree.leaves(optimizer.states[slot])]


def test_a_step_is_of_one_adapter(origin: tuple[Slots, list[Adapter]]) -> None:
    """The others' factors, moments and gradients are the same to the bit, with decay too; its own changed."""
    slots, batch = filled(origin), batch_of(MIXED)
    optimizer = AdapterOptimizer(slots.model, LEARNING_RATE, weight_decay=0.1)
    gradients = accumulate(slots.model, batch, no_gradients(slots.model))
    gradients = optimizer.step(1, gradients)
    gradients = accumulate(slots.model, batch, gradients)
    before = [slots.extract(slot) for slot in range(len(RANKS))]
    moments, sums = moments_of(optimizer, 1), flat(factors_in(slots, gradients.summed, 1))

    gradients = optimizer.step(0, gradients)

    for slot in (1, 2, 3):
        assert same(before[slot].factors, slots.extract(slot).factors)
    assert all((before[0].factors[path].A != held.A).any() for path, held in slots.extract(0).factors.items())
    for held, now in zip(moments, moments_of(optimizer, 1), strict=True):
        np.testing.assert_array_equal(held, now)
    for name, values in flat(factors_in(slots, gradients.summed, 1)).items():
        np.testing.assert_array_equal(sums[name], values)
    assert not any(values.any() for values in flat(factors_in(slots, gradients.summed, 0)).values())
    assert [0.0] == [float(part[0]) for part in (gradients.tokens_S,)]
    assert {0, 1} == optimizer.states.keys()


def test_adapters_trained_together_are_those_trained_alone(origin: tuple[Slots, list[Adapter]]) -> None:
    """After three steps of mixed batches each is what its own rows make of it; what is above its rank is empty."""
    together, batch = filled(origin), batch_of(MIXED)
    optimizer, gradients = AdapterOptimizer(together.model, 1e-3), no_gradients(together.model)
    for _ in range(3):
        gradients = accumulate(together.model, batch, gradients)
        for slot in (0, 1, 3):
            gradients = optimizer.step(slot, gradients)

    for slot in (0, 1, 3):
        alone = filled(origin)
        rows = rows_of(batch, [row for row, owner in enumerate(MIXED) if owner == slot])
        own, gradients = AdapterOptimizer(alone.model, 1e-3), no_gradients(alone.model)
        for _ in range(3):
            gradients = own.step(slot, accumulate(alone.model, rows, gradients))
        assert largest(flat(alone.extract(slot)), flat(together.extract(slot))) < 1e-4
        assert largest(flat(alone.extract(slot)), flat(origin[1][slot])) > 1e-3
    for path, view in unstack_state(together.model, LoraParam).items():
        beyond = view.value[0][..., RANKS[0] :] if path[-1] == "A" else view.value[0][..., RANKS[0] :, :]
        assert beyond.size and not beyond.any(), path


@pytest.mark.parametrize("micro", [[[0, 1], [2, 3], [4, 5]], [[5, 0], [3, 1], [4, 2]]], ids=["in order", "shuffled"])
def test_micro_batches_add_up(origin: tuple[Slots, list[Adapter]], micro: list[list[int]]) -> None:
    """To the gradients, losses and tokens of the whole, though they hold unlike numbers of tokens."""
    slots, batch = filled(origin), batch_of(MIXED)
    whole = accumulate(slots.model, batch, no_gradients(slots.model))

    parts = no_gradients(slots.model)
    for rows in micro:
        parts = accumulate(slots.model, rows_of(batch, rows), parts)

    for slot in (0, 1, 3):
        assert largest(gradients_of(slots, whole, slot), gradients_of(slots, parts, slot)) < ROUNDING
    np.testing.assert_allclose(whole.loss_S, parts.loss_S, rtol=1e-6)
    np.testing.assert_array_equal(whole.tokens_S, parts.tokens_S)


def test_checkpointing_gives_the_same_gradients(origin: tuple[Slots, list[Adapter]]) -> None:
    """It computes again what it did not keep."""
    slots, batch = filled(origin), batch_of(MIXED)

    plain, checkpointed = (
        accumulate(slots.model, batch, no_gradients(slots.model), checkpointing=checkpointing)
        for checkpointing in (False, True)
    )

    for slot in (0, 1, 3):
        assert largest(gradients_of(slots, plain, slot), gradients_of(slots, checkpointed, slot)) < ROUNDING


def test_padding_learns_nothing(origin: tuple[Slots, list[Adapter]]) -> None:
    """Rows behind padding have the gradients that they have without."""
    slots, batch = filled(origin), batch_of(MIXED)
    wider = ((0, 0), (4, 0))
    padded = Batch(
        jnp.pad(batch.tokens_BT, wider),
        jnp.pad(batch.labels_BT, wider, constant_values=IGNORED),
        batch.slots_B,
        jnp.pad(jnp.ones_like(batch.tokens_BT, jnp.bool_), wider),
    )

    plain, behind = (accumulate(slots.model, each, no_gradients(slots.model)) for each in (batch, padded))

    for slot in (0, 1, 3):
        assert largest(gradients_of(slots, plain, slot), gradients_of(slots, behind, slot)) < ROUNDING


def test_who_moves_in_begins_at_step_one(origin: tuple[Slots, list[Adapter]]) -> None:
    """After `forget` the first step is that of a new optimiser, to the bit; without, the last one's moments push it."""
    slots, batch = filled(origin), batch_of(MIXED)

    def stepped(optimizer: AdapterOptimizer) -> Adapter:
        slots.insert(0, origin[1][0])
        optimizer.step(0, accumulate(slots.model, batch, no_gradients(slots.model)))
        return slots.extract(0)

    new = stepped(AdapterOptimizer(slots.model, LEARNING_RATE))
    used = AdapterOptimizer(slots.model, LEARNING_RATE)
    stepped(used)
    pushed = stepped(used)
    used.forget(0)
    forgotten = stepped(used)

    assert same(new.factors, forgotten.factors)
    assert not same(new.factors, pushed.factors)
    used.forget(3)  # which never learned


def test_a_step_without_tokens_is_refused(origin: tuple[Slots, list[Adapter]]) -> None:
    """The mean of no losses is no number, and must not become the adapter."""
    slots, batch = filled(origin), batch_of(MIXED)
    gradients = accumulate(slots.model, batch, no_gradients(slots.model))

    with pytest.raises(UsageError, match="slot 2"):
        AdapterOptimizer(slots.model, LEARNING_RATE).step(2, gradients)

    assert same(origin[1][2].factors, slots.extract(2).factors)


def test_losses_are_of_the_next_token_and_of_what_is_learned() -> None:
    """Each row's sum over its labels but the first, by definition in float64; a row without labels has none."""
    model = model_of(config_of("llama"))
    tokens_BT = np.random.default_rng(0).integers(4, 160, (3, 7))
    labels_BT = tokens_BT.copy()
    labels_BT[1, [2, 5]] = IGNORED
    labels_BT[2] = IGNORED
    as_int = partial(jnp.asarray, dtype=jnp.int32)
    # No adapter is asked for: slots of a model without room are not looked at.
    losses_B, tokens_B = sequence_losses(model, Batch(as_int(tokens_BT), as_int(labels_BT), as_int([0, 0, 0])))

    logits_BTV = np.asarray(forward(model, as_int(tokens_BT)).logits_BTV, np.float64)
    logs_BTV = logits_BTV - np.log(np.exp(logits_BTV).sum(axis=-1, keepdims=True))
    expected = [
        -sum(logs_BTV[row, place - 1, labels_BT[row, place]] for place in range(1, 7) if labels_BT[row, place] >= 0)
        for row in range(3)
    ]
    np.testing.assert_allclose(losses_B, expected, rtol=1e-5)
    assert [6, 4, 0] == np.asarray(tokens_B).tolist()


def test_adam_is_exact() -> None:
    """Against its definition in float64 over fifty steps, where optax's own rounds the first correction away."""
    generator = np.random.default_rng(0)
    gradients = [generator.normal(size=20) * 10.0 ** generator.integers(-4, 1) for _ in range(50)]

    def errors(rule: optax.GradientTransformation) -> list[float]:
        state, mu, nu, found = rule.init(jnp.zeros(20)), np.zeros(20), np.zeros(20), []
        for count, gradient in enumerate(gradients, start=1):
            update, state = rule.update(jnp.asarray(gradient, jnp.float32), state)
            mu, nu = 0.9 * mu + 0.1 * gradient, 0.999 * nu + 0.001 * gradient**2
            expected = mu / (1 - 0.9**count) / (np.sqrt(nu / (1 - 0.999**count)) + 1e-8)
            found.append(float(np.linalg.norm(update - expected) / np.linalg.norm(expected)))
        return found

    assert max(errors(exact_adam(b1=0.9, b2=0.999, eps=1e-8))) < 1e-6
    assert errors(optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8))[0] > 5e-6  # else ours can go


def test_mean_gradients_are_of_one_slot(origin: tuple[Slots, list[Adapter]]) -> None:
    """Sums divided by that slot's tokens, without the slots' axis: the second in a stack, the first elsewhere."""
    slots, batch = filled(origin), batch_of(MIXED)
    gradients = accumulate(slots.model, batch, no_gradients(slots.model))

    means = dict(nnx.to_flat_state(mean_gradients(gradients, 3)))

    num_stacked = 0
    for path, summed in nnx.to_flat_state(gradients.summed):
        axis = int("_stacked" in path)
        expected = np.take(np.asarray(summed.get_value()), 3, axis) / float(gradients.tokens_S[3])
        np.testing.assert_allclose(means[path].get_value(), expected, rtol=1e-6)
        num_stacked += axis
    assert 0 < num_stacked < len(means)


def test_rslora_trains_by_its_own_scaling(origin: tuple[Slots, list[Adapter]]) -> None:
    """Its gradients are those of the plain one with the alpha that scales alike, and not of the same alpha."""
    slots, batch = filled(origin), batch_of([0, 0])
    plain = origin[1][0]
    other = {path: replace(factors, alpha=4.0 * 3**0.5) for path, factors in plain.factors.items()}

    def found(adapter: Adapter) -> dict[str, np.ndarray]:
        slots.insert(0, adapter)
        return gradients_of(slots, accumulate(slots.model, batch, no_gradients(slots.model)))

    by_root, same_alpha, same_scaling = (
        found(adapter) for adapter in (replace(plain, rslora=True), plain, replace(plain, factors=other))
    )
    assert largest(same_scaling, by_root) < ROUNDING
    assert largest(same_alpha, by_root) > 0.1
