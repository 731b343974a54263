"""Tiny models of each family with weights of their own, and adapters for them: made here, without what torch records.

Every bias, norm and expert has values unlike the others', and so has every adapter: two of another seed share none.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import harness
from harness.checkpoints.base import write_base
from harness.planning.families import load_families
from harness.records.cases import AdapterSpec, Case, SaveSpec
from reference.jax_stacked.adapters.record import Adapter, Factors, Target
from reference.jax_stacked.config import ModelConfig
from reference.jax_stacked.families import implemented, read_config
from reference.jax_stacked.lora import LoraParam, LoraScaling, LoraSpec
from reference.jax_stacked.model import NO_LORA, CausalLM
from reference.jax_stacked.slots import Slots, targets_of

FAMILIES = {
    name: family
    for name, family in load_families(Path(harness.__file__).parent.parent / "cases" / "families").items()
    if name in implemented()
}
"""The families that this stack implements."""
A_STD, B_STD, WEIGHT_STD = 0.3, 0.1, 0.1

Choice = Callable[[str], tuple[int, float] | None]
"""Rank and alpha of a module path; None leaves it alone."""


def config_of(family: str, **changes: Any) -> ModelConfig:
    """A family's own configuration, with `changes`."""
    return read_config({**FAMILIES[family].config, **changes})


def base_of(
    directory: Path, family: str, *, dtype: str = "float32", shard_bytes: int | None = None, **config: Any
) -> Path:
    """A checkpoint in `directory` (new): random weights, none of them zero, and biases and norms unlike each other."""
    case = Case(
        name="tiny",
        why="",
        family=family,
        dtype=dtype,
        trainer="loop",
        adapter=AdapterSpec(adapt=("attention",)),
        config=config,
        save=SaveSpec(shard_bytes=shard_bytes),
    )
    directory.mkdir(parents=True)
    write_base(directory, FAMILIES[family], case)
    return directory


def everywhere(rank: int, alpha: float) -> Choice:
    """Every module alike."""
    return lambda _path: (rank, alpha)


def within(parts: Collection[str], rank: int = 3, alpha: float = 5.0) -> Choice:
    """Modules whose paths have one of `parts`."""
    return lambda path: (rank, alpha) if any(part in path for part in parts) else None


def adapter_of(model: CausalLM, choose: Choice, *, seed: int = 0, rslora: bool = False, fused: bool = True) -> Adapter:
    """Random factors, none zero, for the modules that `choose` wants; gate and up of experts `fused` or apart."""
    left_out = (".experts.gate_proj", ".experts.up_proj") if fused else (".experts.gate_up_proj",)
    factors = {}
    for path, target in targets_of(model).items():
        chosen = None if path.endswith(left_out) else choose(path)
        if chosen is not None:
            factors[path] = factors_of(path, target, *chosen, seed=seed)
    return Adapter(factors=factors, rslora=rslora)


def factors_of(path: str, target: Target, rank: int, alpha: float, *, seed: int) -> Factors:
    """Random factors of one module, that depend on its path and the seed."""
    generator = np.random.default_rng([seed, zlib.crc32(path.encode())])
    lead = (target.num_experts,) if target.kind == "experts" else ()
    return Factors(
        A=generator.normal(0, A_STD, (*lead, rank, target.in_features)).astype(np.float32),
        B=generator.normal(0, B_STD, (*lead, target.out_features, rank)).astype(np.float32),
        alpha=alpha,
    )


def all_room(*, num_slots: int, max_rank: int, fused: bool = True) -> LoraSpec:
    """Room in every module that has any, whatever the family."""
    attention = ("q_proj", "k_proj", "v_proj", "o_proj", "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj")
    mlp = ("gate_proj", "up_proj", "down_proj")
    experts = ("gate_up_proj", "down_proj") if fused else mlp
    targets = {f"self_attn.{name}" for name in attention}
    targets |= {f"mlp.{name}" for name in mlp} | {f"mlp.shared_experts.{name}" for name in mlp}
    targets |= {f"mlp.experts.{name}" for name in experts}
    return LoraSpec(num_slots=num_slots, max_rank=max_rank, targets=frozenset(targets | {"embed_tokens", "lm_head"}))


def same(expected: Mapping[str, Factors], got: Mapping[str, Factors]) -> bool:
    """Whether both hold the same factors, to the bit."""
    return expected.keys() == got.keys() and all(
        factors.alpha == got[path].alpha
        and np.array_equal(factors.A, got[path].A)
        and np.array_equal(factors.B, got[path].B)
        for path, factors in expected.items()
    )


def model_of(
    config: ModelConfig, *, lora: LoraSpec = NO_LORA, seed: int = 0, dtype: Any = jnp.float32, fill: bool = False
) -> CausalLM:
    """A model whose weights are all random, biases and norms too, each by its own path, with room for adapters or not.

    Its slots are empty, or with `fill` full of rubbish.
    """
    shapes = nnx.eval_shape(lambda: CausalLM(config, lora=lora, dtype=dtype))
    graph, state = nnx.split(shapes)
    flat = []
    for path, variable in nnx.to_flat_state(state):
        leaf = variable.get_value()
        generator = np.random.default_rng([seed, zlib.crc32(repr(path).encode())])
        values = generator.normal(1.0 if _is_norm(path) else 0.0, WEIGHT_STD, leaf.shape)
        if isinstance(variable, LoraParam | LoraScaling) and not fill:
            values = np.zeros(leaf.shape)
        flat.append((path, variable.replace(jnp.asarray(values.astype(leaf.dtype)))))
    model: CausalLM = nnx.merge(graph, nnx.from_flat_state(flat))
    model.model.set_windows(config)
    return model


def _is_norm(path: tuple[Any, ...]) -> bool:
    return "norm" in str(path[-2])


def drawn_model(config: ModelConfig, *, seed: int = 0) -> CausalLM:
    """A model as its own initialisers draw it, in one program: many small ones take longer."""
    graph = nnx.split(nnx.eval_shape(lambda: CausalLM(config)))[0]
    model: CausalLM = nnx.merge(graph, jax.jit(lambda: nnx.split(CausalLM(config, seed=seed))[1])())
    return model


def factors_in(slots: Slots, state: nnx.State, slot: int) -> Adapter:
    """What `state`, which is like the factors of the model (its gradients, say), holds for the adapter in a slot."""
    held = jax.tree.map(lambda array: array, nnx.state(slots.model, LoraParam))  # in variables of their own
    nnx.update(slots.model, state)
    found = slots.extract(slot)
    nnx.update(slots.model, held)
    return found
