"""LoRA as PEFT trains it: gradients, one step, the losses and the end of sixty, and how far rounding leads astray.

Suffixes: `B` sequences, `T` tokens, `V` vocabulary, `S` steps, `W` perturbed twins, `M` MoE layers, `K` chosen experts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import get_peft_model

from harness.records.cases import AdapterSpec, Case, Family
from reference.torch_peft.adapting import lora_config
from tests.reference.jax_stacked.scenarios import Scenario
from tests.reference.jax_stacked.torch_side.bases import case_of
from tests.reference.jax_stacked.torch_side.forward import sequences_of, watched
from tests.reference.jax_stacked.torch_side.models import load

STEPS = 60
LEARNING_RATE = 1e-2
ONE_STEP_WEIGHT_DECAY = 0.01
PERTURBATION = 1e-7
PERTURBATION_SEEDS = (11, 12, 13)
NO_LABEL = -100
A_STD = 0.1
B_STD = 0.05
"""With alpha / rank of 2, a delta of a fifth of the weights: it is felt, and the loss stays sane."""
ADAPTERS: Mapping[str, tuple[int, int]] = {"first": (4, 8), "second": (3, 9)}
"""Name to rank and alpha of the adapters that a batch may mix."""

Tensors = dict[str, np.ndarray]


def record_training(model: Any, family: Family, scenario: Scenario, directory: Path) -> None:
    """Write `adapter/`, as it is before training, and `training.npz`."""
    adapted = adapt(model, replace(case_of(scenario), seed=scenario.adapter_seed), family)
    adapted.save_pretrained(directory / "adapter")
    start = _tensors(adapted)
    input_ids_BT = sequences_of(model.config.to_dict())
    labels_BT = masked_labels(input_ids_BT)
    batch = {"input_ids": torch.from_numpy(input_ids_BT), "labels": torch.from_numpy(labels_BT)}
    arrays: Tensors = {"input_ids_BT": input_ids_BT, "labels_BT": labels_BT}
    arrays |= {f"initial_{name}": array for name, array in _outputs(adapted, batch).items()}

    losses_S = _train(adapted, batch, 1, weight_decay=ONE_STEP_WEIGHT_DECAY)
    arrays["initial_loss"] = losses_S[0]
    arrays |= {f"gradients/{name}": parameter.grad.numpy().copy() for name, parameter in _parameters(adapted)}
    arrays |= {f"after_one_step/{name}": tensor for name, tensor in _tensors(adapted).items()}

    _set(adapted, start)
    arrays["losses_S"] = _train(adapted, batch, STEPS)
    arrays |= {f"final_{name}": array for name, array in _outputs(adapted, batch).items()}
    arrays |= {f"final/{name}": tensor for name, tensor in _tensors(adapted).items()}

    losses_WS, logits_WBTV = [], []
    for seed in PERTURBATION_SEEDS:
        _set(adapted, {name: _perturbed(name, tensor, seed) for name, tensor in start.items()})
        losses_WS.append(_train(adapted, batch, STEPS))
        logits_WBTV.append(_logits(adapted, batch))
    arrays |= {"perturbed_losses_WS": np.stack(losses_WS), "perturbed_final_logits_WBTV": np.stack(logits_WBTV)}
    np.savez(directory / "training.npz", **arrays)


def record_adapters(base: Path, family: Family, scenario: Scenario, directory: Path) -> None:
    """Write `adapters/NAME/` and `adapters.npz`: the logits of the base, and of each adapter alone."""
    model = load(base)
    input_ids_BT = sequences_of(model.config.to_dict())
    batch = {"input_ids": torch.from_numpy(input_ids_BT)}
    arrays: Tensors = {"input_ids_BT": input_ids_BT, "base_logits_BTV": _logits(model, batch)}
    for name, (rank, alpha) in ADAPTERS.items():
        case = case_of(scenario, AdapterSpec(adapt=scenario.adapt, rank=rank, alpha=alpha))
        adapted = adapt(load(base), replace(case, name=f"{case.name}-{name}"), family)
        adapted.save_pretrained(directory / "adapters" / name)
        arrays[f"{name}_logits_BTV"] = _logits(adapted, batch)
    np.savez(directory / "adapters.npz", **arrays)


def adapt(model: Any, case: Case, family: Family) -> Any:
    """`model` with an adapter of which every tensor is drawn from the case's name and seed."""
    lora = lora_config(case, family, dict(family.config), model)
    if "embedding" in case.adapter.adapt:
        lora.target_modules = {*lora.target_modules, "embed_tokens"}  # lora_config looks among the Linears
    adapted = get_peft_model(model, lora)
    std = {"A": A_STD, "B": B_STD}
    drawn = {}
    for name, parameter in _parameters(adapted):
        factor = name.removesuffix(".weight")[-1]
        drawn[name] = _normal(f"{case.name}:{name}", case.seed, tuple(parameter.shape)) * std[factor]
    _set(adapted, drawn)
    return adapted.eval()


def masked_labels(input_ids_BT: np.ndarray) -> np.ndarray:
    """Labels of which each row leaves out others, and another number of them."""
    labels_BT = input_ids_BT.copy()
    for row, labels_T in enumerate(labels_BT):
        labels_T[: row + 1] = NO_LABEL
        labels_T[len(labels_T) - row % 3 :] = NO_LABEL
        labels_T[9 + row % 4] = NO_LABEL
    return labels_BT


def _train(adapted: Any, batch: Mapping[str, Any], steps: int, weight_decay: float = 0.0) -> np.ndarray:
    """The losses before each step of AdamW on full batches, as `reference.torch_peft.training.train_loop` does it."""
    adapted.train()
    parameters = [parameter for _, parameter in _parameters(adapted)]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=weight_decay, foreach=True)
    losses = []
    for _ in range(steps):
        loss = adapted(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    adapted.eval()
    return np.array(losses, np.float64)


def _outputs(adapted: Any, batch: Mapping[str, Any]) -> Tensors:
    """The logits, and which experts were chosen: two that differ in these may differ in anything."""
    found = watched(adapted.get_base_model(), batch["input_ids"])
    return {name: found[name] for name in ("logits_BTV", "routing_MBTK", "margins_MBT")}


def _logits(model: Any, batch: Mapping[str, Any]) -> np.ndarray:
    with torch.no_grad():
        return model(input_ids=batch["input_ids"]).logits.numpy().copy()


def _parameters(adapted: Any) -> Iterator[tuple[str, Any]]:
    """What is trained, under the names of PEFT's files."""
    for name, parameter in adapted.named_parameters():
        if parameter.requires_grad:
            yield name.replace(".default", ""), parameter


def _tensors(adapted: Any) -> Tensors:
    return {name: parameter.detach().numpy().copy() for name, parameter in _parameters(adapted)}


def _set(adapted: Any, tensors: Mapping[str, np.ndarray]) -> None:
    with torch.no_grad():
        for name, parameter in _parameters(adapted):
            parameter.copy_(torch.from_numpy(tensors[name]))


def _perturbed(name: str, tensor: np.ndarray, seed: int) -> np.ndarray:
    factors = 1 + PERTURBATION * _normal(name, seed, tensor.shape)
    return (tensor.astype(np.float64) * factors).astype(np.float32)


def _normal(name: str, seed: int, shape: tuple[int, ...]) -> np.ndarray:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little"))).standard_normal(shape)
