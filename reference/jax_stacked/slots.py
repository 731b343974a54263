"""Adapters in and out of a model's slots: several at once, each with ranks and alphas of its own.

A slot's arrays have the room's full rank; an adapter fills a part of it, and the rest is zero. What part belongs to
whom is written down here, so that what comes out is what went in. Suffixes: `I` in, `O` out, `R` rank, `E` experts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from harness.errors import UsageError
from reference.jax_stacked.adapters.record import Adapter, Factors, Target
from reference.jax_stacked.lora import LoraParam, LoraScaling, LoraSpec
from reference.jax_stacked.model import CausalLM
from reference.jax_stacked.stacked import ArrayRef, unstack_state


class Room(NamedTuple):
    """Where the factors of one module go: views whose first axis is the slot."""

    A: ArrayRef
    B: ArrayRef
    scaling: ArrayRef


class Shape(NamedTuple):
    """What a slot holds for one module."""

    rank: int
    alpha: float


class Slots:
    """The slots of one model."""

    def __init__(self, model: CausalLM) -> None:
        self.model = model
        self.num_slots, self.max_rank = model.lora.num_slots, model.lora.max_rank
        self._held: dict[int, tuple[dict[str, Shape], bool]] = {}

    def insert(self, slot: int, adapter: Adapter) -> None:
        """Put `adapter` into `slot`, in place of whatever was there. Raises UsageError if it does not fit."""
        self.model.lora.check(slot)
        rooms = _rooms(self.model)
        if unplaced := sorted(set(adapter.factors) - set(rooms)):
            raise UsageError("the model has no room for these adapted modules", got=", ".join(unplaced[:5]))
        self._check_shapes(adapter, rooms)
        self.clear(slot)
        for path, factors in adapter.factors.items():
            room = rooms[path]
            room.A.write(self._padded(factors.A, axis=-2).swapaxes(-1, -2), (slot,))
            room.B.write(self._padded(factors.B, axis=-1).swapaxes(-1, -2), (slot,))
            room.scaling.write(jnp.asarray(adapter.scaling(path), jnp.float32), (slot,))
        shapes = {path: Shape(factors.rank, factors.alpha) for path, factors in adapter.factors.items()}
        self._held[slot] = (shapes, adapter.rslora)

    def extract(self, slot: int) -> Adapter:
        """The adapter in `slot`, as it is now."""
        self.model.lora.check(slot)
        if slot not in self._held:
            raise UsageError("the slot is empty", where=f"slot {slot}")
        shapes, rslora = self._held[slot]
        rooms = _rooms(self.model)
        factors = {}
        for path, shape in shapes.items():
            # Whatever axes lead (experts), the rank is A's last and B's last but one.
            A = np.asarray(rooms[path].A.value[slot])[..., : shape.rank]
            B = np.asarray(rooms[path].B.value[slot])[..., : shape.rank, :]
            factors[path] = Factors(A=A.swapaxes(-1, -2), B=B.swapaxes(-1, -2), alpha=shape.alpha)
        return Adapter(factors=factors, rslora=rslora)

    def clear(self, slot: int) -> None:
        """Empty `slot`: a row that names it gets the base model."""
        self.model.lora.check(slot)
        for room in _rooms(self.model).values():
            for view in room:
                view.write(np.zeros(view.shape[1:], np.float32), (slot,))
        self._held.pop(slot, None)

    def _padded(self, factor: np.ndarray, axis: int) -> np.ndarray:
        wanted = [(0, 0)] * factor.ndim
        wanted[axis] = (0, self.max_rank - factor.shape[axis])
        return np.pad(np.asarray(factor, np.float32), wanted)

    def _check_shapes(self, adapter: Adapter, rooms: Mapping[str, Room]) -> None:
        for path, factors in adapter.factors.items():
            if factors.rank > self.max_rank:
                raise UsageError(
                    "rank is above the slot's", where=path, expected=f"at most {self.max_rank}", got=str(factors.rank)
                )
            *lead, num_in, _ = rooms[path].A.shape[1:]
            num_out = rooms[path].B.shape[-1]
            wanted = ((*lead, factors.rank, num_in), (*lead, num_out, factors.rank))
            if (factors.A.shape, factors.B.shape) != wanted:
                got = f"{factors.A.shape} and {factors.B.shape}"
                raise UsageError("factors have other shapes than the module", where=path, expected=f"{wanted}", got=got)


def _rooms(model: CausalLM) -> dict[str, Room]:
    """Module path (as `adapters.record` names them) to where its factors go."""
    views: dict[str, dict[str, ArrayRef]] = {}
    for path, view in (unstack_state(model, LoraParam) | unstack_state(model, LoraScaling)).items():
        *module, _lora, leaf = path
        views.setdefault(".".join(module), {})[leaf] = view
    return {path: Room(**parts) for path, parts in views.items()}


def targets_of(model: CausalLM) -> dict[str, Target]:
    """Every module of `model` that an adapter could be for, whether there is room for it or not.

    Experts are listed both fused and by projection; an adapter is for one or the other.
    """
    targets: dict[str, Target] = {}
    for path, view in unstack_state(model).items():
        module, leaf = ".".join(path[:-1]), path[-1]
        if leaf == "embedding":
            targets[module] = Target(kind="embedding", in_features=view.shape[0], out_features=view.shape[1])
        elif leaf == "kernel" and len(view.shape) == 3:
            num_experts, num_in, num_out = view.shape
            sizes = {module: num_out}
            if module.endswith(".gate_up_proj"):
                prefix = module.removesuffix("gate_up_proj")
                sizes |= {f"{prefix}gate_proj": num_out // 2, f"{prefix}up_proj": num_out // 2}
            targets |= {
                name: Target(kind="experts", in_features=num_in, out_features=size, num_experts=num_experts)
                for name, size in sizes.items()
            }
        elif leaf == "kernel" and not module.endswith(".mlp.gate"):
            targets[module] = Target(kind="linear", in_features=view.shape[0], out_features=view.shape[1])
    return targets


def room_for(adapters: Iterable[Adapter]) -> LoraSpec:
    """The room that a model needs to hold all of `adapters` at once."""
    held = list(adapters)
    max_rank = max((factors.rank for adapter in held for factors in adapter.factors.values()), default=0)
    paths = {path for adapter in held for path in adapter.factors}
    return room_of(paths, max_rank, num_slots=len(held))


def room_of(paths: Iterable[str], max_rank: int, *, num_slots: int = 1) -> LoraSpec:
    """Room for adapting the modules at `paths`, in whichever layers they are."""
    targets = frozenset(_within_layer(path) for path in paths)
    return LoraSpec(num_slots=num_slots, max_rank=max_rank, targets=targets)


def _within_layer(path: str) -> str:
    """`model.layers.3.mlp.down_proj` to `mlp.down_proj`; `model.embed_tokens` to `embed_tokens`."""
    parts = path.split(".")
    return ".".join(parts[3:] if parts[:2] == ["model", "layers"] else parts[-1:])


def fresh_adapter(
    targets: Mapping[str, Target],
    shape_of: Callable[[str], Shape],
    *,
    rslora: bool = False,
    seed: int = 0,
    std_B: float = 0.0,
) -> Adapter:
    """A new adapter for `targets`, as PEFT begins one: A uniform within 1/sqrt(in), B zero, so that its delta is zero.

    An embedding begins the other way round (A zero, B normal). `std_B` > 0 draws both at random, for tests that a zero
    delta would make empty. Every statistic is that of one module: it depends on no number of layers or experts.
    """
    generator = np.random.default_rng(seed)
    factors = {}
    for path, target in targets.items():
        shape = shape_of(path)
        lead = (target.num_experts,) if target.kind == "experts" else ()
        bound = 1 / np.sqrt(target.in_features)
        A = generator.uniform(-bound, bound, (*lead, shape.rank, target.in_features))
        B = generator.normal(0.0, std_B or 1.0, (*lead, target.out_features, shape.rank))
        if not std_B and target.kind == "embedding":
            A = np.zeros_like(A)
        elif not std_B:
            B = np.zeros_like(B)
        factors[path] = Factors(A=A.astype(np.float32), B=B.astype(np.float32), alpha=shape.alpha)
    return Adapter(factors=factors, rslora=rslora)
