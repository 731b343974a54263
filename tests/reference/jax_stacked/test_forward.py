"""The forward pass gives what transformers gives: logits, states, choices, padded or not."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from harness.errors import ArtifactError
from harness.metrics.kl import kl_BT
from reference.jax_stacked.checkpoints import load_model
from reference.jax_stacked.families import implemented, load_config
from reference.jax_stacked.model import Output, forward
from tests.reference.jax_stacked.conftest import Goldens
from tests.reference.jax_stacked.scenarios import FAMILIES, SCENARIOS, recording

ABSOLUTE = 1e-5
"""Of float32, where logits and states are of the order of ten. Measured: at most 5e-6."""
KL_NATS = 1e-10

REFUSED = {"llama-spellings_differ": "rope_type"}
"""Scenarios that transformers computes and we refuse, with the field that the error names."""
ELSEWHERE = {"qwen3-embedding_head": "its base is qwen3's, and its adapter is test_training's"}
COMPARED = [name for name in recording("forward") if name not in REFUSED]


class Found(NamedTuple):
    """A forward pass of seven plain sequences, and five that are padded on the left."""

    output: Output
    torch: dict[str, np.ndarray]
    mask_BT: np.ndarray
    """Of all rows."""

    @property
    def num_plain(self) -> int:
        """Rows without padding, which are the first."""
        return len(self.torch["input_ids_BT"])


def run(name: str, goldens: Goldens) -> Found:
    """Our forward pass of a scenario's recorded sequences, as one batch."""
    torch = dict(np.load(goldens(name) / "forward.npz"))
    plain_BT, padded_BT = torch["input_ids_BT"], torch["padded_input_ids_BT"]
    mask_BT = np.concatenate([np.ones_like(plain_BT), torch["padded_attention_mask_BT"]]).astype(np.bool_)
    tokens_BT = jnp.asarray(np.concatenate([plain_BT, padded_BT]), jnp.int32)
    model = load_model(goldens(name) / "base")
    return Found(forward(model, tokens_BT, mask_BT=jnp.asarray(mask_BT), trace=True), torch, mask_BT)


def assert_near(expected: np.ndarray, got: np.ndarray, what: str) -> None:
    """Equal but for rounding."""
    np.testing.assert_allclose(got, expected, rtol=0, atol=ABSOLUTE, err_msg=what)


def test_no_scenario_and_no_family_escapes() -> None:
    """Each is compared, or refused, or said to be another test's; each family that we implement has scenarios."""
    assert set(SCENARIOS) == {*COMPARED, *REFUSED, *ELSEWHERE}
    assert len(SCENARIOS) == len(COMPARED) + len(REFUSED) + len(ELSEWHERE)
    assert set(implemented()) == set(FAMILIES) == {SCENARIOS[name].family for name in COMPARED}


@pytest.mark.registry
@pytest.mark.parametrize("name", COMPARED)
def test_it_is_that_of_transformers(name: str, goldens: Goldens) -> None:
    """Logits and every hidden state within 1e-5, KL within 1e-10, the same experts, whether padded or not."""
    found = run(name, goldens)
    output, torch, plain = found.output, found.torch, slice(found.num_plain)
    padded_mask_BT = found.mask_BT[found.num_plain :]
    logits_BTV = np.asarray(output.logits_BTV)
    hidden_LBTD = np.concatenate([np.asarray(trace.layer_BTD) for trace in output.traces])
    chosen = [np.sort(trace.chosen_BTK, axis=-1) for trace in output.traces if trace.chosen_BTK.shape[-1]]

    assert_near(torch["embedded_BTD"], np.asarray(output.embedded_BTD)[plain], "embedding")
    assert len(torch["hidden_LBTD"]) == len(hidden_LBTD)
    for layer, expected_BTD in enumerate(torch["hidden_LBTD"]):
        assert_near(expected_BTD, hidden_LBTD[layer, plain], f"layer {layer}")
    assert_near(torch["normed_BTD"], np.asarray(output.normed_BTD)[plain], "norm")
    assert_near(torch["logits_BTV"], logits_BTV[plain], "logits")
    assert_near(torch["padded_logits_NV"], logits_BTV[found.num_plain :][padded_mask_BT], "logits after padding")
    assert kl_BT(torch["logits_BTV"], logits_BTV[plain]).max() <= KL_NATS
    assert np.isfinite(logits_BTV).all()  # those of padding too
    if not chosen:
        assert torch["routing_MBTK"].size == 0
        return
    routing_MBTK = np.concatenate(chosen)
    np.testing.assert_array_equal(torch["routing_MBTK"], routing_MBTK[:, plain])
    np.testing.assert_array_equal(torch["padded_routing_MNK"], routing_MBTK[:, found.num_plain :][:, padded_mask_BT])


@pytest.mark.registry
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named(name: str, goldens: Goldens) -> None:
    """Where one scaling is asked for in one spelling and another in the other, no guess is made."""
    with pytest.raises(ArtifactError, match=REFUSED[name]) as raised:
        load_config(goldens(name) / "base")

    assert "'llama3'" in str(raised.value)
    assert "'linear'" in str(raised.value)


@pytest.mark.registry
def test_nothing_hides_in_the_mask(goldens: Goldens) -> None:
    """Without a mask, and with one that hides nothing, the logits are the same; with one token hidden they are not."""
    torch = np.load(goldens("qwen3") / "forward.npz")
    model = load_model(goldens("qwen3") / "base")
    tokens_BT = jnp.asarray(torch["input_ids_BT"], jnp.int32)
    everything_BT = jnp.ones(tokens_BT.shape, jnp.bool_)

    unmasked, masked, hidden = (
        np.asarray(forward(model, tokens_BT, mask_BT=mask_BT).logits_BTV)
        for mask_BT in (None, everything_BT, everything_BT.at[:, 0].set(False))
    )

    assert_near(torch["logits_BTV"], unmasked, "without a mask")
    assert_near(unmasked, masked, "with a mask of ones")
    assert np.abs(unmasked - hidden)[:, 1:].max() > 1e-2
