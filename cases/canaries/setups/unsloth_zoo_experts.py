"""Factors of experts, as the functions of unsloth_zoo that merge or multiply them are given them. Needs torch alone.

Weights and factors are nested lists: a weight of all experts [E, O, I] and its A [E * r, I] and B [O, E * r].
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import torch

from harness.canaries.inside import Thing, tensor

torch.set_num_threads(1)


@contextlib.contextmanager
def packing(name: str | None) -> Iterator[None]:
    """As people ask for another order of an old adapter's columns."""
    before = os.environ.pop("UNSLOTH_MOE_LORA_B_LAYOUT", None)
    if name is not None:
        os.environ["UNSLOTH_MOE_LORA_B_LAYOUT"] = name
    try:
        yield
    finally:
        os.environ.pop("UNSLOTH_MOE_LORA_B_LAYOUT", None)
        if before is not None:
            os.environ["UNSLOTH_MOE_LORA_B_LAYOUT"] = before


def all_experts(
    merge: Callable[..., Any], Stats: Callable[..., Any], W: Any, A: Any, B: Any, scaling: float, *,
    told: int | None = None, dtype: str = "float32", **module: Any,
) -> Any:  # fmt: skip
    """[E, O, I]: what `merge` makes of each expert's weight; `told` is how many experts it is told that there are."""
    weights = tensor(W, dtype)
    num_experts = len(weights)
    stats = _stats(Stats, A, B, scaling, dtype, num_experts=num_experts, **module)
    count = num_experts if told is None else told
    each = [merge(weight.clone(), stats, number, count, weight.dtype) for number, weight in enumerate(weights)]
    return _of(weights.dtype, torch.stack(each))


def fused(
    merge: Callable[..., Any], Stats: Callable[..., Any], W: Any, A: Any, B: Any, scaling: float, *,
    dtype: str = "float32", **more: Any,
) -> Any:  # fmt: skip
    """[E, O, I]: what `merge` makes of the weight of all experts."""
    weights = tensor(W, dtype)
    stats = _stats(Stats, A, B, scaling, dtype, num_experts=len(weights))
    return _of(weights.dtype, merge(weights, stats, weights.dtype, **more))


def _stats(Stats: Callable[..., Any], A: Any, B: Any, scaling: float, dtype: str, **module: Any) -> Any:
    return Stats(module=Thing(**module), lora_A=tensor(A, dtype), lora_B=tensor(B, dtype), alpha=scaling)


def _of(dtype: Any, merged: Any) -> Any:
    if merged.dtype is not dtype:
        raise TypeError(f"{merged.dtype} was written, and {dtype} asked for")
    return merged


def halves(W: Any) -> tuple[Any, Any]:
    """Gates and ups [E, O / 2, I] of fused ones."""
    half = len(W[0]) // 2
    return [each[:half] for each in W], [each[half:] for each in W]


def narrowed(A: Any) -> Any:
    """A that takes one input less: it fits no weight."""
    return [row[:-1] for row in A]


def gates_and_ups(
    gate: Callable[..., Any], up: Callable[..., Any], Stats: Callable[..., Any], W: Any, *factors: Any, **more: Any
) -> Any:
    """[E, O, I]: fused gates and ups, each half merged by its own function."""
    gates, ups = halves(W)
    merged = [all_experts(gate, Stats, gates, *factors, **more), all_experts(up, Stats, ups, *factors, **more)]
    return torch.cat(merged, dim=1)


class Wrapper:
    """PEFT's wrapper of a parameter of all experts, as far as those look who read its factors."""

    def __init__(self, experts: Any, parameter: str, num_experts: int, **attributes: Any) -> None:
        self.parameter_name = parameter
        self.num_experts = num_experts
        self.base_layer = experts
        self.__dict__.update(attributes)

    def get_base_layer(self) -> Any:
        """The experts."""
        return self.base_layer


def experts(shape: tuple[int, ...] = (), parameter: str = "gate_up_proj", **attributes: Any) -> Any:
    """A module of experts with a parameter of a shape, unless it is empty."""
    if shape:
        attributes[parameter] = torch.zeros(shape)
    return Thing(**attributes)


def multiplied(extracted: Any, scaling: float, num_experts: int) -> Any:
    """[E, I, O]: the product of two factors that grouped_mm takes, if all that came with them is right."""
    first, second, scale, count = extracted
    if scale != scaling or count != num_experts:
        raise ValueError(f"scaling {scale}, {count} experts")
    if not (first.is_contiguous() and second.is_contiguous()):
        raise ValueError("a factor is a view, which grouped_mm refuses when it is compiled")
    return torch.bmm(first.float(), second.float())
