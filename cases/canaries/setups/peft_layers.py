"""LoRA by a release's layers that were taken out of it, with factors that are given.

Executed apart, before the calls of a canary: torch is there. A release before 0.20 takes what a LoraConfig says one by
one.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import torch

from harness.canaries.inside import tensor

torch.set_num_threads(1)


@dataclasses.dataclass(init=False)
class Config:
    """A LoraConfig of which all that is not said is off."""

    def __init__(self, **said: Any) -> None:
        self.__dict__.update(said)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None if name.endswith(("_config", "_bdlora")) else False


class Experts(torch.nn.Module):
    """One weight of all experts [E, first, second]; `is_transposed` says that `first` is what goes in."""

    def __init__(self, shape: tuple[int, ...], *, is_transposed: bool = False, dtype: str = "float32") -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(shape, dtype=getattr(torch, dtype)))
        if is_transposed:
            self.is_transposed = True

    def forward(self, _: Any = None) -> Any:
        """The weight as it is used."""
        return self.weight + 0


def adapted(layer: Any, base: Any, rank: int, alpha: int, **more: Any) -> Any:
    """A layer of the release around a module."""
    if "config" in inspect.signature(layer.__init__).parameters:
        more["config"] = _config(rank, alpha)
    return layer(base, "default", r=rank, lora_alpha=alpha, **more)


def wrapped(layer: Any, shape: tuple[int, ...], rank: int, alpha: int, **more: Any) -> Any:
    """A ParamWrapper of the weight of some experts."""
    return adapted(layer, Experts(shape, **more), rank, alpha, parameter_name="weight")


def with_second(wrapper: Any, rank: int, alpha: int) -> Any:
    """The wrapper with another adapter, `second`."""
    known = inspect.signature(wrapper.update_layer).parameters
    off = {"lora_dropout": 0.0, "init_lora_weights": True, "use_rslora": False}
    more = {"config": _config(rank, alpha)} if "config" in known else {k: v for k, v in off.items() if k in known}
    wrapper.update_layer("second", rank, lora_alpha=alpha, **more)
    return wrapper


def _config(rank: int, alpha: int) -> Config:
    return Config(r=rank, lora_alpha=alpha, lora_dropout=0.0, init_lora_weights=True)


def factors_of(wrapper: Any, adapter: str = "default") -> list[int]:
    """The shapes of A and of B, one after the other."""
    return [*wrapper.lora_A[adapter].weight.shape, *wrapper.lora_B[adapter].weight.shape]


def filled(layer: Any, a: Any, b: Any, weight: Any = None, adapter: str = "default") -> Any:
    """The layer, with factors and a weight that are given as nested lists."""
    with torch.no_grad():
        for layers, values in ((layer.lora_A, a), (layer.lora_B, b)):
            layers[adapter].weight.copy_(tensor(values))
        if weight is not None:
            base = layer.get_base_layer()
            base.weight.copy_(tensor(weight))
    return layer


def used(wrapper: Any, *adapters: str) -> Any:
    """The weight that a forward uses with the adapters."""
    wrapper.set_adapter(list(adapters))
    with torch.no_grad():
        return wrapper(torch.zeros(1))


def merged(wrapper: Any, *, undone: bool = False) -> Any:
    """The weight after a merge, or after a merge that was undone."""
    wrapper.merge()
    if undone:
        wrapper.unmerge()
    return wrapper.get_base_layer().weight.detach()
