"""A tiny model with an adapter in a slot, and files that hold what is given, for a release's own reading and writing.

Executed apart, before the calls of a canary: jax and flax are there. What packages and files would be needed is told by
names instead: a checkpoint is a table of arrays.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from harness.canaries.inside import Thing

load: Any
save: Any
export: Any


class Projection(nnx.Module):
    """A weight of a layer, by the name that it has there, and the factors of all its adapters."""

    def __init__(self, name: str, weight: Any, a: Any, b: Any) -> None:
        setattr(self, name, nnx.Param(jnp.asarray(weight)))
        self.lora_A = nnx.Param(jnp.asarray(a))
        self.lora_B = nnx.Param(jnp.asarray(b))


class Block(nnx.Module):
    """What holds one projection by a name."""

    def __init__(self, **inside: Any) -> None:
        for name, value in inside.items():
            setattr(self, name, value)


def dense(weight: Any, a: Any, b: Any) -> Any:
    """mlp.down_proj, of a weight [I, O], A [adapters, I, most] and B [adapters, most, O]."""
    return Block(mlp=Block(down_proj=Projection("kernel", weight, a, b)))


def experts(weight: Any, a: Any, b: Any) -> Any:
    """mlp.experts.down_proj, with the experts as the first axis of a weight, and the second of factors."""
    return Block(mlp=Block(experts=Block(down_proj=Projection("weight", weight, a, b))))


def config(num_experts: int = 0) -> Any:
    """Of a model."""
    return Thing(get_num_experts=lambda: num_experts, mhc_expansion_rate=1)


def stored(tensors: dict[str, Any]) -> Any:
    """In the place of safetensors.numpy: what is read is `tensors`, and what is written goes there."""

    def write(values: dict[str, Any], *_: Any) -> None:
        tensors.update(values)

    return Thing(numpy=Thing(load_file=lambda _: tensors, save_file=write))


def read(model: Any, tensors: dict[str, Any], num_experts: int = 0, **more: Any) -> Any:
    """The model, with what a checkpoint holds."""
    load.__globals__["safetensors"] = stored({name: np.asarray(value, np.float32) for name, value in tensors.items()})
    folder = Path(tempfile.mkdtemp())
    (folder / "model.safetensors").touch()
    load(folder, config(num_experts), model, **more)
    return model


def written(model: Any, num_experts: int = 0, **more: Any) -> dict[str, Any]:
    """What a checkpoint holds of the model."""
    tensors: dict[str, Any] = {}
    save.__globals__["safetensors"] = stored(tensors)
    save(config(num_experts), model, Path("model.safetensors"), **more)
    return tensors


def only_factors(path: tuple[Any, ...]) -> bool:
    """Of an adapter."""
    return "lora_A" in path or "lora_B" in path


def exported(rank: int, alpha: int) -> dict[str, Any]:
    """What the configuration of an adapter was made of."""
    said: dict[str, Any] = {}

    class LoraConfig:
        """Writes down what it is told."""

        def __init__(self, **values: Any) -> None:
            said.update(values)

        def save_pretrained(self, *_: Any) -> None:
            """Nothing."""

    @contextlib.contextmanager
    def packing(*_: Any, **__: Any) -> Iterator[Path]:
        yield Path(tempfile.mkdtemp())

    export.__globals__["peft"] = Thing(LoraConfig=LoraConfig)
    export.__globals__["pack_and_upload"] = packing
    export.__globals__["safetensors"] = stored({})
    model = dense(np.zeros((3, 4)), np.zeros((2, 3, 8)), np.zeros((2, 8, 4)))
    model.config = config()
    settings = Thing(rank=rank, alpha=alpha, train_attn=True, train_mlp=True, train_unembed=True)
    export(model, "base", settings, 0, Path("adapter.tar.gz"), 0)
    return {**said, "has target_modules": bool(said.get("target_modules"))}
