"""One forward pass: logits, the hidden states between layers, which experts were chosen and by how much.

Suffixes: `B` sequences, `T` tokens, `V` vocabulary, `D` hidden, `L` layers, `M` MoE layers, `E` experts, `K` chosen
experts, `G` groups of experts, `N` positions that are not padding.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reference.data import draw_tokens, eos_of
from tests.reference.jax_stacked.scenarios import SEED

STAGE = re.compile(r"model\.(embed_tokens|layers\.\d+|norm)")
GATE = re.compile(r"model\.layers\.(\d+)\.mlp\.gate")
NUM_SEQUENCES, NUM_TOKENS = 7, 15
"""Unlike the number of experts and the size of a head, so that no axis passes for another."""
LEFT_PADDINGS = (0, 3, 7, 1, 10)


def record_forward(model: Any, directory: Path) -> None:
    """Write `forward.npz`: the sequences, and some of them again behind paddings of several lengths."""
    config = model.config.to_dict()
    input_ids_BT = sequences_of(config)
    found = watched(model, torch.from_numpy(input_ids_BT))
    padded_BT, mask_BT, positions_BT = left_padded(input_ids_BT, config["pad_token_id"])
    padded = watched(model, torch.from_numpy(padded_BT), torch.from_numpy(mask_BT), torch.from_numpy(positions_BT))
    real_BT = mask_BT.astype(bool)
    np.savez(
        directory / "forward.npz",
        input_ids_BT=input_ids_BT,
        **found,
        padded_input_ids_BT=padded_BT,
        padded_attention_mask_BT=mask_BT,
        padded_position_ids_BT=positions_BT,
        padded_logits_NV=padded["logits_BTV"][real_BT],
        padded_routing_MNK=padded["routing_MBTK"][:, real_BT],
        padded_margins_MN=padded["margins_MBT"][:, real_BT],
    )


def sequences_of(config: dict[str, Any]) -> np.ndarray:
    """The sequences (B, T) that every scenario of a configuration's vocabulary is run on."""
    return draw_tokens(SEED, config["vocab_size"], eos_of(config)).sequences_BT[:NUM_SEQUENCES, :NUM_TOKENS]


def left_padded(input_ids_BT: np.ndarray, pad_token_id: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The beginnings of the first sequences behind padding; their mask, and positions as `generate` counts them."""
    padded_BT = np.full((len(LEFT_PADDINGS), input_ids_BT.shape[1]), pad_token_id, np.int64)
    mask_BT = np.zeros_like(padded_BT)
    for row, padding in enumerate(LEFT_PADDINGS):
        padded_BT[row, padding:] = input_ids_BT[row, : input_ids_BT.shape[1] - padding]
        mask_BT[row, padding:] = 1
    return padded_BT, mask_BT, np.clip(mask_BT.cumsum(axis=1) - 1, 0, None)


def watched(model: Any, input_ids_BT: Any, mask_BT: Any = None, positions_BT: Any = None) -> dict[str, np.ndarray]:
    """The arrays of one forward pass of `model` (a transformers model, not PEFT's wrapper of one)."""
    stages: dict[str, np.ndarray] = {}
    chosen: dict[int, np.ndarray] = {}
    margins: dict[int, np.ndarray] = {}
    hooks = []
    for name, module in model.named_modules():
        if found := STAGE.fullmatch(name):
            hooks.append(module.register_forward_hook(_stage_recorder(stages, found[1])))
        if found := GATE.fullmatch(name):
            hooks.append(module.register_forward_hook(_gate_recorder(chosen, margins, int(found[1]))))
    with torch.no_grad():
        logits_BTV = model(input_ids=input_ids_BT, attention_mask=mask_BT, position_ids=positions_BT).logits
    for hook in hooks:
        hook.remove()
    shape = tuple(input_ids_BT.shape)
    layers = sorted(chosen)
    return {
        "logits_BTV": logits_BTV.numpy(),
        "embedded_BTD": stages["embed_tokens"],
        "hidden_LBTD": np.stack([stages[f"layers.{layer}"] for layer in range(model.config.num_hidden_layers)]),
        "normed_BTD": stages["norm"],
        "moe_layers_M": np.array(layers, np.int64),
        "routing_MBTK": _stacked([chosen[layer] for layer in layers], (*shape, -1), (0, *shape, 0), np.int64),
        "margins_MBT": _stacked([margins[layer] for layer in layers], shape, (0, *shape), np.float64),
    }


def _stacked(arrays: list[np.ndarray], shape: tuple[int, ...], empty: tuple[int, ...], dtype: Any) -> np.ndarray:
    return np.stack([array.reshape(shape) for array in arrays]) if arrays else np.zeros(empty, dtype)


def _stage_recorder(stages: dict[str, np.ndarray], stage: str) -> Any:
    def record(_module: Any, _inputs: Any, output: Any) -> None:
        tensor = output[0] if isinstance(output, tuple) else output
        stages[stage] = tensor.detach().numpy().copy()

    return record


def _gate_recorder(chosen: dict[int, np.ndarray], margins: dict[int, np.ndarray], layer: int) -> Any:
    def record(module: Any, _inputs: Any, output: tuple[Any, Any, Any]) -> None:
        logits_NE, _weights_NK, indices_NK = (value.detach() for value in output)
        sorted_NK = indices_NK.sort(dim=-1).values
        top_NK, margins_N = _choice(module, logits_NE.double())
        if not torch.equal(sorted_NK, top_NK):
            raise ValueError(f"layer {layer}: the experts that the router chose are not those of the highest scores")
        chosen[layer], margins[layer] = sorted_NK.numpy().copy(), margins_N.numpy()

    return record


def _choice(gate: Any, logits_NE: Any) -> tuple[Any, Any]:
    """The experts of the highest scores (sorted by index), and how much of a score would have changed the choice."""
    bias_E = getattr(gate, "e_score_correction_bias", None)
    if bias_E is None:
        scores_NE, group_margins_N = logits_NE.softmax(dim=-1), torch.full((len(logits_NE),), torch.inf).double()
    else:
        scores_NE, group_margins_N = _grouped(gate, logits_NE.sigmoid() + bias_E.double())
    ordered = scores_NE.sort(dim=-1, descending=True)
    margins_N = ordered.values[:, gate.top_k - 1] - ordered.values[:, gate.top_k]
    return ordered.indices[:, : gate.top_k].sort(dim=-1).values, torch.minimum(margins_N, group_margins_N)


def _grouped(gate: Any, scores_NE: Any) -> tuple[Any, Any]:
    """Scores with minus infinity outside the chosen groups, and the margin between groups (infinite without a choice).

    A group's score is the sum of its two best.
    """
    num_groups, num_chosen = gate.num_group, gate.topk_group
    scores_NGE = scores_NE.reshape(len(scores_NE), num_groups, -1)
    groups_NG = scores_NGE.topk(2, dim=-1).values.sum(dim=-1)
    ordered = groups_NG.sort(dim=-1, descending=True)
    margins_N = torch.full((len(scores_NE),), torch.inf).double()
    if num_chosen < num_groups:
        margins_N = ordered.values[:, num_chosen - 1] - ordered.values[:, num_chosen]
    left_NG = torch.ones_like(groups_NG, dtype=torch.bool).scatter(1, ordered.indices[:, :num_chosen], False)
    return scores_NGE.masked_fill(left_NG[..., None], -torch.inf).reshape(scores_NE.shape), margins_N
