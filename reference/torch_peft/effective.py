"""The oracle: the change that the live forward makes to each weight, read before anything is merged.

Linears and embeddings answer on basis inputs; 3D expert parameters are read inside PEFT's own active parametrisation
(the weights its forward multiplies by). Everything runs in float64, so that the oracle adds no rounding of its own.
No formula for a delta is derived here a second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from peft.tuners.lora.layer import LoraLayer, ParamWrapper
from peft.utils.other import ModulesToSaveWrapper


def effective_deltas(model: Any) -> dict[str, np.ndarray]:
    """Name of each adapted tensor as the model holds it (3D where fused) to its delta, float32.

    A tensor that is adapted but untrained is there with a zero delta.
    """
    deltas: dict[str, np.ndarray] = {}
    adapter = model.active_adapter
    with _in_float64(model), torch.no_grad():
        for path, module in model.named_modules():
            name = plain_name(path)
            if isinstance(module, ParamWrapper):
                deltas[f"{name}.{module.parameter_name}"] = _parameter_delta(module)
            elif isinstance(module, LoraLayer) and adapter in [*module.lora_A, *module.lora_embedding_A]:
                deltas[f"{name}.weight"] = _module_delta(module)
            elif isinstance(module, ModulesToSaveWrapper):
                saved = module.modules_to_save[adapter].state_dict()
                original = module.original_module.state_dict()
                deltas |= {f"{name}.{key}": _float32(saved[key] - original[key]) for key in original}
    return deltas


def base_weights(model: Any) -> dict[str, torch.Tensor]:
    """The frozen weights under an adapter, under the names that the model has without it."""
    weights = {}
    for path, tensor in model.state_dict().items():
        if any(part in path for part in (".lora_", ".modules_to_save.")):
            continue
        weights[plain_name(path.replace(".original_module.", "."))] = tensor
    return weights


def plain_name(path: str) -> str:
    """A path inside PEFT's wrapper without what PEFT adds to it."""
    return path.removeprefix("base_model.model.").replace(".base_layer", "")


def to_numpy(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Tensors as arrays; bfloat16 becomes float32, which holds it exactly."""
    return {
        name: (tensor.detach().float() if tensor.is_floating_point() else tensor.detach()).cpu().numpy()
        for name, tensor in tensors.items()
    }


def _parameter_delta(wrapper: Any) -> np.ndarray:
    base = wrapper.get_base_layer()
    before = getattr(base, wrapper.parameter_name).detach().clone()
    # The forward pass of a disabled adapter goes around this; PEFT asks there, and not in here.
    active = [] if wrapper.disable_adapters else wrapper.active_adapters
    with wrapper._activate_lora(active):
        during = getattr(base, wrapper.parameter_name).detach().clone()
    return _float32(during - before)


def _module_delta(module: Any) -> np.ndarray:
    base = module.get_base_layer()
    if isinstance(base, torch.nn.Embedding):
        tokens = torch.arange(base.num_embeddings)
        return _float32(module(tokens) - base(tokens))
    basis = torch.eye(base.in_features, dtype=torch.float64, device=base.weight.device)
    # Rows are what each basis input yields, so the weight (out, in) is their transpose. A bias cancels.
    return _float32((module(basis) - base(basis)).T)


def _float32(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().to(torch.float32).cpu().contiguous().numpy()
    return array


@contextmanager
def _in_float64(model: Any) -> Iterator[None]:
    """Widen every floating tensor of the model, and put the very same tensors back afterwards."""
    tensors = [*model.parameters(), *model.buffers()]
    held = [tensor.data for tensor in tensors]
    try:
        for tensor in tensors:
            if tensor.is_floating_point():
                tensor.data = tensor.data.double()
        yield
    finally:
        for tensor, data in zip(tensors, held, strict=True):
            tensor.data = data
