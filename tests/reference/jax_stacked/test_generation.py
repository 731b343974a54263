"""Generation gives what the forward pass says: greedy tokens, margins, samples by their odds."""

from __future__ import annotations

import json
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import pytest

from reference.jax_stacked.checkpoints import load_model
from reference.jax_stacked.generation import PADDED, Generated, generate
from reference.jax_stacked.model import CausalLM, forward
from reference.jax_stacked.slots import Slots
from reference.jax_stacked.stacked import unstack_state
from tests.reference.jax_stacked.conftest import Goldens
from tests.reference.jax_stacked.scenarios import recording
from tests.reference.jax_stacked.tiny import FAMILIES, adapter_of, all_room, config_of, everywhere, model_of, within

ABSOLUTE = 1e-5
NUM_NEW = 7
LENGTHS = (6, 4, 9, 5)
"""Of the prompts, padded on the left to the longest."""


@pytest.fixture(scope="module")
def prompts() -> tuple[np.ndarray, np.ndarray]:
    """Tokens and mask."""
    generator = np.random.default_rng(0)
    tokens_BT = np.zeros((len(LENGTHS), max(LENGTHS)), np.int64)
    mask_BT = np.zeros_like(tokens_BT, np.bool_)
    for row, length in enumerate(LENGTHS):
        tokens_BT[row, -length:] = generator.integers(4, 160, length)
        mask_BT[row, -length:] = True
    return tokens_BT, mask_BT


@pytest.mark.registry
@pytest.mark.parametrize("name", recording("generation"))
def test_greedy_tokens_are_those_of_transformers(name: str, goldens: Goldens) -> None:
    """From prompts that are padded on the left, up to a stop token; and by as much as there."""
    folder = goldens(name)
    torch, setup = np.load(folder / "generation.npz"), json.loads((folder / "generation.json").read_text())

    made = generate(
        load_model(folder / "base"),
        torch["prompts_SP"],
        mask_BT=torch["attention_mask_SP"],
        max_new_tokens=setup["new_tokens"],
        stop_tokens=[setup["eos_token_id"]],
    )

    np.testing.assert_array_equal(torch["tokens_SN"], made.tokens_BN)
    is_token_SN = torch["tokens_SN"] != PADDED
    np.testing.assert_allclose(made.margins_BN[is_token_SN], torch["margins_SN"][is_token_SN], rtol=0, atol=ABSOLUTE)
    assert not made.margins_BN[~is_token_SN].any()
    assert PADDED in torch["tokens_SN"]  # one stops early


def adapted(family: str) -> CausalLM:
    """A model with two adapters of every module, one of attention and experts alone, and an empty slot."""
    model = model_of(config_of(family), lora=all_room(num_slots=4, max_rank=5))
    slots = Slots(model)
    slots.insert(0, adapter_of(model, everywhere(5, 4.0), seed=1))
    slots.insert(1, adapter_of(model, everywhere(2, 3.0), seed=2, rslora=True))
    # One of what is multiplied together in decoding, and not the others.
    slots.insert(2, adapter_of(model, within(["k_proj", "up_proj", "experts.down_proj", "q_b_proj"], 3, 9.0), seed=3))
    return model


def check(model: CausalLM, prompts: list[np.ndarray], slots_B: np.ndarray, made: Generated) -> None:
    """Each token is the best after all before it, by its margin, in a forward pass of the whole without padding."""
    length = max(map(len, prompts)) + NUM_NEW
    whole_BT = np.zeros((len(prompts), length), np.int64)
    for row, prompt in enumerate(prompts):
        whole_BT[row, : len(prompt) + NUM_NEW] = [*prompt, *made.tokens_BN[row]]  # what follows is not looked at
    logits_BTV = np.asarray(forward(model, jnp.asarray(whole_BT), slots=jnp.asarray(slots_B)).logits_BTV)
    for row, prompt in enumerate(prompts):
        each_NV = logits_BTV[row, len(prompt) - 1 : len(prompt) + NUM_NEW - 1]
        best_N2 = np.sort(each_NV, axis=-1)[:, -2:]
        np.testing.assert_array_equal(each_NV.argmax(axis=-1), made.tokens_BN[row])
        np.testing.assert_allclose(made.margins_BN[row], best_N2[:, 1] - best_N2[:, 0], rtol=0, atol=ABSOLUTE)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_may_mix_adapters(family: str, prompts: tuple[np.ndarray, np.ndarray]) -> None:
    """Each row makes the tokens of its own adapter, as a forward pass without padding, cache or others has them."""
    model, (tokens_BT, mask_BT) = adapted(family), prompts
    chosen_B = np.array([1, 0, 3, 2])

    made = generate(
        model, tokens_BT, mask_BT=mask_BT, slots=jnp.asarray(chosen_B), max_new_tokens=NUM_NEW, stop_tokens=()
    )

    check(model, [tokens_BT[row][mask_BT[row]] for row in range(len(LENGTHS))], chosen_B, made)
    assert len({tuple(row) for row in made.tokens_BN.tolist()}) == len(LENGTHS)


def test_one_adapter_may_be_all_rows(prompts: tuple[np.ndarray, np.ndarray]) -> None:
    """A scalar slot, an array of it, and an empty slot beside no slot, give the same; the adapter is felt."""
    model, (tokens_BT, mask_BT) = adapted("qwen3_moe"), prompts

    def made(slots: np.ndarray | int | None) -> Generated:
        used = None if slots is None else jnp.asarray(slots)
        return generate(model, tokens_BT, mask_BT=mask_BT, slots=used, max_new_tokens=NUM_NEW, stop_tokens=())

    one, each, empty, none = made(0), made(np.zeros(4, np.int64)), made(3), made(None)

    for left, right in ((one, each), (empty, none)):
        np.testing.assert_array_equal(left.tokens_BN, right.tokens_BN)
        np.testing.assert_allclose(left.margins_BN, right.margins_BN, rtol=0, atol=ABSOLUTE)
    assert (one.tokens_BN != none.tokens_BN).any(axis=1).all()


@pytest.fixture(scope="module")
def plain() -> CausalLM:
    """A model without room for adapters."""
    return model_of(config_of("qwen3_moe"))


def test_a_stop_token_ends_its_row_alone(plain: CausalLM, prompts: tuple[np.ndarray, np.ndarray]) -> None:
    """It is the row's last token, any of several stops, at the first step too; the configuration's is the default."""
    tokens_BT, mask_BT = prompts

    def made(stop_tokens: Sequence[int] | None) -> Generated:
        return generate(plain, tokens_BT, mask_BT=mask_BT, max_new_tokens=NUM_NEW, stop_tokens=stop_tokens)

    endless = made(()).tokens_BN
    first, third = int(endless[1, 0]), int(endless[2, 3])
    expected_BN, stopped = endless.copy(), 0
    for row in expected_BN:
        ends = np.flatnonzero(np.isin(row, (first, third)))
        if len(ends):
            row[ends[0] + 1 :] = PADDED
            stopped += 1

    got = made((first, third))

    np.testing.assert_array_equal(expected_BN, got.tokens_BN)
    np.testing.assert_array_equal(expected_BN != PADDED, got.margins_BN != 0)
    assert [first, *[PADDED] * (NUM_NEW - 1)] == got.tokens_BN[1].tolist()
    assert 2 <= stopped < len(LENGTHS)
    np.testing.assert_array_equal(endless, made(None).tokens_BN)  # the configuration's, which none makes
    stopping = model_of(config_of("qwen3_moe", eos_token_id=[third, first]))
    by_default = generate(stopping, tokens_BT, mask_BT=mask_BT, max_new_tokens=NUM_NEW)
    np.testing.assert_array_equal(expected_BN, by_default.tokens_BN)


@pytest.mark.parametrize(
    "mask", [[1, 1, 1, 0], [1, 0, 1, 1], [0, 0, 0, 0]], ids=["on the right", "between tokens", "everywhere"]
)
def test_padding_elsewhere_is_refused(plain: CausalLM, mask: list[int]) -> None:
    """On the right, between tokens, or with no token at all: in any row."""
    tokens_BT = np.full((2, 4), 7)

    with pytest.raises(ValueError, match="padded on the left"):
        generate(plain, tokens_BT, mask_BT=np.array([[1, 1, 1, 1], mask]), max_new_tokens=2)


def test_generating_leaves_the_model_as_it_is(prompts: tuple[np.ndarray, np.ndarray]) -> None:
    """What decoding joins and gives up is a copy: variables, paths and logits are the same after it."""
    model, (tokens_BT, mask_BT) = adapted("qwen3"), prompts
    before = {path: np.array(view.value) for path, view in unstack_state(model).items()}

    for temperature in (0.0, 1.0):
        generate(model, tokens_BT, mask_BT=mask_BT, slots=jnp.asarray(0), max_new_tokens=2, temperature=temperature)

    after = unstack_state(model)
    assert before.keys() == after.keys()
    for path, values in before.items():
        np.testing.assert_array_equal(values, after[path].value)


def sampled(
    model: CausalLM, prompts_BT: np.ndarray, *, seed: int, temperature: float = 1.0, count: int = NUM_NEW
) -> np.ndarray:
    """Tokens drawn at a temperature."""
    return generate(
        model, prompts_BT, max_new_tokens=count, stop_tokens=(), temperature=temperature, seed=seed
    ).tokens_BN


def test_a_seed_is_a_sample(plain: CausalLM, prompts: tuple[np.ndarray, np.ndarray]) -> None:
    """The same seed gives the same tokens, another seed others; rows of one prompt differ; none is the greedy one."""
    one = np.repeat(prompts[0][2:3], 4, axis=0)

    drawn, again, other = (sampled(plain, one, seed=seed) for seed in (3, 3, 4))
    greedy = generate(plain, one, max_new_tokens=NUM_NEW, stop_tokens=()).tokens_BN

    np.testing.assert_array_equal(drawn, again)
    rows = {tuple(row) for tokens in (drawn, other, greedy[:1]) for row in tokens.tolist()}
    assert 4 + 4 + 1 == len(rows)
    assert 1 == len({tuple(row) for row in greedy.tolist()})


def test_a_row_does_not_depend_on_the_others(plain: CausalLM, prompts: tuple[np.ndarray, np.ndarray]) -> None:
    """With other prompts beside it, and more of them, a row draws the same tokens."""
    generator = np.random.default_rng(7)
    three_BT = np.repeat(prompts[0][2:3], 3, axis=0)
    five_BT = np.concatenate([three_BT, generator.integers(4, 160, (2, three_BT.shape[1]))])
    five_BT[1] = generator.integers(4, 160, three_BT.shape[1])

    three, five = sampled(plain, three_BT, seed=3), sampled(plain, five_BT, seed=3)

    np.testing.assert_array_equal(three[[0, 2]], five[[0, 2]])
    assert (three[1] != five[1]).any()


VOCAB, NUM_ROWS = 8, 4000
CHI_SQUARE = 29.9
"""Of 7 degrees of freedom, passed by chance once in 10,000; the seed is fixed."""


def chi_square(counts: np.ndarray, logits: np.ndarray, temperature: float) -> float:
    """How far counts are from what softmax says at a temperature."""
    odds = np.exp((logits - logits.max()).astype(np.float64) / temperature)
    expected = counts.sum() * odds / odds.sum()
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
def test_samples_have_the_odds_of_softmax(temperature: float) -> None:
    """At that temperature and no other, for the first token and for the second after the commonest first."""
    model = model_of(config_of("qwen3", vocab_size=VOCAB))
    prompt = np.array([[4, 6, 5, 7]])

    tokens_BN = sampled(model, np.repeat(prompt, NUM_ROWS, axis=0), seed=1, temperature=temperature, count=2)

    first = np.bincount(tokens_BN[:, 0], minlength=VOCAB)
    commonest = int(first.argmax())
    second = np.bincount(tokens_BN[tokens_BN[:, 0] == commonest, 1], minlength=VOCAB)
    both_TV = np.asarray(forward(model, jnp.asarray([[*prompt[0], commonest]], jnp.int32)).logits_BTV[0, -2:])
    for counts, logits_V in zip((first, second), both_TV, strict=True):
        assert chi_square(counts, logits_V, temperature) < CHI_SQUARE
        assert np.ptp(logits_V) > 0.5
    assert chi_square(first, both_TV[0], 2 * temperature) > 2 * CHI_SQUARE


def test_margins_of_samples_are_the_models(plain: CausalLM, prompts: tuple[np.ndarray, np.ndarray]) -> None:
    """Whatever was drawn, they say how far the best token was ahead of the second."""
    one = prompts[0][2:3]

    made = generate(plain, one, max_new_tokens=NUM_NEW, stop_tokens=(), temperature=1.5, seed=5)

    whole = jnp.asarray(np.concatenate([one, made.tokens_BN], axis=1), jnp.int32)
    best_N2 = np.sort(np.asarray(forward(plain, whole).logits_BTV)[0, one.shape[1] - 1 : -1], axis=-1)[:, -2:]
    np.testing.assert_allclose(made.margins_BN[0], best_N2[:, 1] - best_N2[:, 0], rtol=0, atol=ABSOLUTE)
