"""What was recorded of transformers and PEFT is not vacuous: fields are honoured, experts reached, samples stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cells.records import BuiltCell
from harness.checkpoints.safetensors_file import read_header, read_index, read_tensor
from tests.reference.jax_stacked.conftest import MANIFEST, Goldens, sources
from tests.reference.jax_stacked.scenarios import SCENARIOS, recording

pytestmark = pytest.mark.registry

ROUNDING = 1e-5
"""Above what float32 makes of these logits in another order of sums (2e-6)."""
FELT = 1e-4
"""Below what any field changes in some logit."""
PROJECTIONS = ("base_layer.lora", "lora")
"""How PEFT names the factors of an expert's gate_up and of its down projection, behind `experts.`."""


def config_of(folder: Path) -> dict[str, Any]:
    """config.json of a scenario's base."""
    config: dict[str, Any] = json.loads((folder / "base" / "config.json").read_text(encoding="utf-8"))
    return config


def logits_of(folder: Path) -> np.ndarray:
    """The base's logits (B, T, V)."""
    logits_BTV: np.ndarray = np.load(folder / "forward.npz")["logits_BTV"]
    return logits_BTV


def test_all_that_decides_what_is_recorded_is_in_its_digest(recorded: Path, newest: BuiltCell) -> None:
    """Every file of ours that the torch side imports is hashed; all scenarios are there; the versions are the row's."""
    manifest = json.loads((recorded / MANIFEST).read_text(encoding="utf-8"))

    assert set() == set(manifest["sources"]) - set(sources())
    assert list(SCENARIOS) == manifest["scenarios"]
    assert {name: newest.versions[name] for name in manifest["versions"]} == manifest["versions"]


@pytest.mark.parametrize("name", recording("forward"))
def test_a_forward_pass_is_whole(name: str, goldens: Goldens) -> None:
    """The last hidden state is that before the norm, and padding on the left changes no logits."""
    folder = goldens(name)
    config, arrays = config_of(folder), dict(np.load(folder / "forward.npz"))
    norm_D = read_tensor(read_index(folder / "base")["model.norm.weight"])
    last_BTD = arrays["hidden_LBTD"][-1].astype(np.float64)
    mask_BT = arrays["padded_attention_mask_BT"].astype(bool)

    scale_BT1 = 1 / np.sqrt((last_BTD**2).mean(axis=-1, keepdims=True) + config["rms_norm_eps"])
    np.testing.assert_allclose(arrays["normed_BTD"], norm_D * last_BTD * scale_BT1, rtol=ROUNDING, atol=ROUNDING)
    beginnings = [row_TV[: mask_T.sum()] for row_TV, mask_T in zip(arrays["logits_BTV"], mask_BT, strict=False)]
    np.testing.assert_allclose(arrays["padded_logits_NV"], np.concatenate(beginnings), rtol=0, atol=ROUNDING)
    assert config["num_hidden_layers"] == len(arrays["hidden_LBTD"])
    assert all(np.isfinite(array).all() for array in arrays.values())


@pytest.mark.parametrize("name", [name for name in recording("forward") if SCENARIOS[name].unlike])
def test_a_field_is_honoured(name: str, goldens: Goldens) -> None:
    """With the same weights, as far as both have them, the logits are others."""
    folder, other = goldens(name), goldens(SCENARIOS[name].unlike)
    ours, theirs = read_index(folder / "base"), read_index(other / "base")

    assert len(ours.keys() & theirs.keys()) > 10
    for key in ours.keys() & theirs.keys():
        np.testing.assert_array_equal(read_tensor(ours[key]), read_tensor(theirs[key]), err_msg=key)
    assert config_of(folder) != config_of(other)
    assert np.abs(logits_of(folder) - logits_of(other)).max() > FELT


@pytest.mark.parametrize("name", [name for name in recording("forward") if SCENARIOS[name].like])
def test_another_spelling_means_the_same(name: str, goldens: Goldens) -> None:
    """With another config.json, the logits are the same to the last bit."""
    folder, other = goldens(name), goldens(SCENARIOS[name].like)

    assert config_of(folder) != config_of(other)
    np.testing.assert_array_equal(logits_of(folder), logits_of(other))


@pytest.mark.parametrize("name", [name for name in recording("forward") if "moe" in name or "deepseek" in name])
def test_experts_are_chosen(name: str, goldens: Goldens) -> None:
    """Each token has its number of distinct experts, sorted; no choice is a tie; several experts are reached."""
    config, arrays = config_of(goldens(name)), np.load(goldens(name) / "forward.npz")
    routing_MBTK = arrays["routing_MBTK"]

    assert config["num_experts_per_tok"] == routing_MBTK.shape[-1]
    assert (np.diff(routing_MBTK, axis=-1) > 0).all()
    assert min(arrays["margins_MBT"].min(), arrays["padded_margins_MN"].min()) > 0
    assert all(len(np.unique(routing_BTK)) > config["num_experts_per_tok"] for routing_BTK in routing_MBTK)
    layers = set(range(config["num_hidden_layers"])) - set(SCENARIOS[name].dense_layers)
    layers -= set(range(config.get("first_k_dense_replace", 0)))
    assert sorted(layers) == arrays["moe_layers_M"].tolist()


def test_some_layers_slide_and_some_do_not(goldens: Goldens) -> None:
    """Without the window qwen3's first layer is the same, and its second one as far as the window reaches."""
    with_window, without = (np.load(goldens(name) / "forward.npz") for name in ("qwen3", "qwen3-no_window"))
    window = config_of(goldens("qwen3"))["sliding_window"]
    changes_LBT = np.abs(with_window["hidden_LBTD"] - without["hidden_LBTD"]).max(axis=-1)

    assert 0 == changes_LBT[0].max()
    assert changes_LBT[1, :, :window].max() < ROUNDING
    assert changes_LBT[1, :, window:].min() > FELT


@pytest.mark.parametrize("name", recording("generation"))
def test_one_sample_stops_early(name: str, goldens: Goldens) -> None:
    """One sample ends with the stop token, and the others go on; no two logits compete for a token."""
    arrays = np.load(goldens(name) / "generation.npz")
    setup = json.loads((goldens(name) / "generation.json").read_text(encoding="utf-8"))
    tokens_SN, made_SN = arrays["tokens_SN"], arrays["tokens_SN"] >= 0

    lengths = [setup["new_tokens"]] * len(tokens_SN)
    lengths[setup["stopped_row"]] = setup["stopped_step"] + 1
    assert lengths == made_SN.sum(axis=1).tolist()
    assert [[setup["stopped_row"], setup["stopped_step"]]] == np.argwhere(tokens_SN == setup["eos_token_id"]).tolist()
    assert setup["prompt_lengths"] == arrays["attention_mask_SP"].sum(axis=1).tolist()
    np.testing.assert_array_equal(tokens_SN[made_SN], arrays["logits_SNV"].argmax(axis=-1)[made_SN])
    assert arrays["margins_SN"][made_SN].min() > FELT


@pytest.mark.parametrize("name", recording("training"))
def test_a_training_is_felt(name: str, goldens: Goldens) -> None:
    """Every tensor of the adapter's file has a gradient and moves in a step; the loss falls; twins begin alike."""
    arrays = dict(np.load(goldens(name) / "training.npz"))
    entries = read_header(goldens(name) / "adapter" / "adapter_model.safetensors")
    # With an adapted embedding, PEFT saves the embedding and the head too.
    factors = {entry.name: read_tensor(entry) for entry in entries if "lora_" in entry.name}
    labels = arrays["labels_BT"] >= 0

    assert all((values != 0).all() for values in factors.values())
    for kind in ("gradients", "after_one_step", "final"):
        assert factors.keys() == {key.removeprefix(f"{kind}/") for key in arrays if key.startswith(f"{kind}/")}
    for key, values in factors.items():
        assert np.abs(arrays[f"gradients/{key}"]).max() > 0, key
        assert (arrays[f"after_one_step/{key}"] != values).all(), key
    assert len(set(labels.sum(axis=1))) == len(labels)
    losses_S, perturbed_WS = arrays["losses_S"], arrays["perturbed_losses_WS"]
    assert arrays["initial_loss"] == losses_S[0]
    assert losses_S[-1] < losses_S[0] / 3
    assert np.abs(perturbed_WS[:, 0] - losses_S[0]).max() < ROUNDING
    assert (arrays["perturbed_final_logits_WBTV"] != arrays["final_logits_BTV"]).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("name", [name for name in recording("training") if "experts" in SCENARIOS[name].adapt])
def test_only_experts_that_no_token_reached_have_no_gradient(name: str, goldens: Goldens) -> None:
    """Those that a token chose from which something is read have gradients in all factors; the others have none."""
    arrays, config = np.load(goldens(name) / "training.npz"), config_of(goldens(name))
    layers_M = np.load(goldens(name) / "forward.npz")["moe_layers_M"]
    num_experts = config.get("n_routed_experts") or config["num_experts"]
    read_BT = np.zeros_like(arrays["labels_BT"], dtype=bool)
    read_BT[:, :-1] = arrays["labels_BT"][:, 1:] >= 0
    # Attention reads every earlier token; behind the last layer there is none.
    before_BT = np.flip(np.maximum.accumulate(np.flip(read_BT, axis=1), axis=1), axis=1)
    num_reached = 0
    for layer, routing_BTK in zip(layers_M, arrays["initial_routing_MBTK"], strict=True):
        reached = set(routing_BTK[read_BT if layer == config["num_hidden_layers"] - 1 else before_BT].ravel().tolist())
        num_reached += len(reached)
        for projection in PROJECTIONS:
            key = f"gradients/base_model.model.model.layers.{layer}.mlp.experts.{projection}"
            a_ERI = arrays[f"{key}_A.weight"].reshape(num_experts, -1, arrays[f"{key}_A.weight"].shape[1])
            b_ORE = arrays[f"{key}_B.weight"].reshape(len(arrays[f"{key}_B.weight"]), -1, num_experts)
            assert reached == set(np.flatnonzero((a_ERI != 0).any(axis=(1, 2))).tolist()), key
            assert reached == set(np.flatnonzero((b_ORE != 0).any(axis=(0, 1))).tolist()), key
    assert num_reached > num_experts


@pytest.mark.parametrize("name", recording("adapters"))
def test_two_adapters_of_one_base_differ(name: str, goldens: Goldens) -> None:
    """In rank, in scaling, and in what they make of the base's logits."""
    folder, arrays = goldens(name), np.load(goldens(name) / "adapters.npz")
    paths = [folder / "adapters" / adapter / "adapter_config.json" for adapter in ("first", "second")]
    configs = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    logits = [arrays[f"{which}_logits_BTV"] for which in ("base", "first", "second")]

    assert [(4, 8), (3, 9)] == [(config["r"], config["lora_alpha"]) for config in configs]
    np.testing.assert_allclose(logits[0], logits_of(folder), rtol=0, atol=ROUNDING)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(logits[one] - logits[other]).mean() > 1e-2
