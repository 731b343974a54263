"""`python -m tests.reference.jax_stacked.mesh_side FOLDER`: the same work on one device, and on meshes of eight.

A program of its own, to be started with `FLAGS`: how many devices there are is settled before jax is imported. Leaves a
folder for each family (one device) and each case (a mesh), with `arrays.npz`, `parts.json`, the checkpoint `merged` and
XLA's text of two programs: `step.hlo`, forward and back through the model, and `decode.hlo`, the loop over tokens.
Judges nothing. Suffixes: `B` rows, `T` tokens, `N` new tokens, `V` vocabulary, `S` slots.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from reference.jax_stacked import generation, training
from reference.jax_stacked.adapters.record import Adapter
from reference.jax_stacked.checkpoints import load_weights, save_model
from reference.jax_stacked.config import ModelConfig
from reference.jax_stacked.lora import LoraParam, LoraSpec
from reference.jax_stacked.merging import merge
from reference.jax_stacked.model import CausalLM, abstract, forward, shapes
from reference.jax_stacked.sharding import make_mesh, make_sharded, shard, spread
from reference.jax_stacked.slots import Slots
from reference.jax_stacked.training import AdapterOptimizer, Batch, accumulate, no_gradients
from tests.reference.jax_stacked.tiny import adapter_of, base_of, config_of, within

NUM_DEVICES = 8
FLAGS = (
    f"--xla_force_host_platform_device_count={NUM_DEVICES}",
    # Tiny models are compiled for longer than they run.
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)
FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "qwen3": {"num_attention_heads": 16, "num_key_value_heads": 8},
    "qwen3_moe": {"num_attention_heads": 8, "num_key_value_heads": 4},
    "deepseek_v3": {"num_hidden_layers": 2},
}
"""Families, with what makes them divide by the meshes below, and a layer of each kind."""
ADAPTED = frozenset({
    *("self_attn.v_proj", "self_attn.q_b_proj", "self_attn.o_proj"),
    *("mlp.up_proj", "mlp.down_proj", "mlp.shared_experts.up_proj"),
    *("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    *("embed_tokens", "lm_head"),
})  # fmt: skip
"""Some of each kind: every variable takes its time."""
ROOM = LoraSpec(num_slots=2, max_rank=4, targets=ADAPTED)
TOKENS_BT = np.random.default_rng(0).integers(4, 160, (2, 5)).astype(np.int32)
MASK_BT = np.asarray([[False, False, True, True, True], [True] * 5])
SLOTS_B = np.asarray([1, 0], np.int32)


class MeshCase(NamedTuple):
    """A family on a mesh."""

    family: str
    tensor: int = 1
    expert: int = 1
    data: int = 1
    is_moved: bool = False
    """True: from one device, adapters and all. False: everything is loaded into its place."""

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.family}-tp{self.tensor}-ep{self.expert}-dp{self.data}"


CASES = (
    MeshCase("qwen3", tensor=8),
    MeshCase("qwen3", tensor=4, data=2, is_moved=True),
    MeshCase("qwen3_moe", tensor=4, expert=2),
    MeshCase("qwen3_moe", tensor=2, expert=2, data=2, is_moved=True),
    MeshCase("deepseek_v3", tensor=2, expert=4),
    MeshCase("deepseek_v3", expert=8, is_moved=True),
)


def main(folder: Path) -> None:
    """Do all the work, one family after the other."""
    assert len(jax.devices()) == NUM_DEVICES
    for family, changes in FAMILIES.items():
        config, base = config_of(family, **changes), base_of(folder / "bases" / family, family, **changes)
        rows = Batch(TOKENS_BT, TOKENS_BT, SLOTS_B, MASK_BT)
        work(filled(abstract(config, lora=ROOM), base), rows, base, folder / family)
        for case in CASES:
            if case.family == family:
                mesh = make_mesh(tensor=case.tensor, expert=case.expert, data=case.data)
                work(on_mesh(config, base, mesh, case), spread(rows, mesh), base, folder / case.name)


def on_mesh(config: ModelConfig, base: Path, mesh: Mesh, case: MeshCase) -> Slots:
    """The model of `base` on `mesh`, with both adapters, one way or the other."""

    def empty() -> CausalLM:
        return abstract(config, lora=ROOM)

    if not case.is_moved:
        return filled(make_sharded(empty, mesh), base)
    slots = filled(empty(), base)
    shard(slots.model, mesh)
    return slots


def work(slots: Slots, rows: Batch, base: Path, out: Path) -> None:
    """Compute, decode, train, merge and save, wherever the model and the rows are."""
    (out / "merged").mkdir(parents=True)
    model = slots.model
    parts = {"before": parts_of(model)}
    arrays: dict[str, Any] = {"logits_BTV": logits_of(model, rows)}
    decoder = generation._decoder
    with mock.patch.object(generation, "_decoder", lambda backend: read(decoder(backend), out / "decode.hlo")):
        arrays["tokens_BN"] = generation.generate(
            model, rows.tokens_BT, max_new_tokens=6, mask_BT=MASK_BT, slots=rows.slots_B, stop_tokens=()
        ).tokens_BN

    with mock.patch.object(training, "_accumulate", read(training._accumulate, out / "step.hlo")):
        gradients = accumulate(model, rows, no_gradients(model))
    # Copies: the optimizer takes the arrays over.
    arrays |= {f"gradients/{name}": np.array(value) for name, value in named(gradients.summed)}
    arrays |= {"loss_S": np.array(gradients.loss_S), "tokens_S": np.array(gradients.tokens_S)}
    AdapterOptimizer(model, learning_rate=1e-3).step(1, gradients)
    arrays |= {f"after/{name}": np.array(value) for name, value in named(nnx.state(model, LoraParam))}

    counts = merge(slots, 0)
    arrays["counts"] = np.asarray([counts.attempted, counts.changed, counts.zero_delta])
    save_model(model, out / "merged", base=base)
    parts["after"] = parts_of(model)
    np.savez(out / "arrays.npz", **arrays)
    (out / "parts.json").write_text(json.dumps(parts), encoding="utf-8")


def filled(model: CausalLM, base: Path) -> Slots:
    """The slots of `model`, once its weights are those of `base` and two adapters are in."""
    load_weights(model, base)
    slots = Slots(model)
    for slot, adapter in enumerate(adapters_of(model.config)):
        slots.insert(slot, adapter)
    return slots


def adapters_of(config: ModelConfig) -> tuple[Adapter, Adapter]:
    """One of all that is adapted, and one of lower rank that leaves dense MLPs, embedding and head alone."""
    model, some = shapes(config, lora=ROOM), {name for name in ADAPTED if "self_attn" in name or ".experts." in name}
    return adapter_of(model, within(ADAPTED, 4, 6.0), seed=1), adapter_of(model, within(some, 3, 5.0), seed=2)


def logits_of(model: CausalLM, rows: Batch) -> np.ndarray:
    """(B, T, V), each row with its adapter."""
    return np.asarray(forward(model, rows.tokens_BT, mask_BT=rows.mask_BT, slots=rows.slots_B).logits_BTV)


def read(program: Callable[..., Any], text: Path) -> Callable[..., Any]:
    """`program`, which also leaves what XLA makes of it."""

    def reading(*arguments: Any) -> Any:
        text.write_text(program.lower(*arguments).compile().as_text(), encoding="utf-8")
        return program(*arguments)

    return reading


def named(state: Any) -> Iterator[tuple[str, Any]]:
    """Every variable's path and array."""
    for path, variable in nnx.to_flat_state(state):
        yield ".".join(map(str, path)), variable.get_value()


def parts_of(model: CausalLM) -> dict[str, Any]:
    """Of every variable: its shape, the shape of a device's part, and how many different parts devices hold."""
    return {
        name: {
            "shape": array.shape,
            "part": array.addressable_shards[0].data.shape,
            "num_parts": len({str(part.index) for part in array.addressable_shards}),
            "num_devices": len(array.addressable_shards),
        }
        for name, array in named(nnx.state(model))
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
