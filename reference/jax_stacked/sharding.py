"""Tensor, expert and data parallelism: which part of each variable lies on which device of a mesh.

Places arrays and computes nothing. XLA splits every compiled program by where its arguments lie (GSPMD, arXiv
2105.04663), so forward passes, training, generation and checkpoints are the same functions as ever, and none of them
knows this module. A variable says itself what its axes are, by name; here is which names are split, and over what.
Suffix: `B` rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from harness.errors import UsageError
from reference.jax_stacked.config import GroupedAttention, ModelConfig
from reference.jax_stacked.layer import Window
from reference.jax_stacked.lora import LoraScaling
from reference.jax_stacked.model import CausalLM

DATA, EXPERT, TENSOR = "dp", "ep", "tp"
"""The axes of a mesh."""
RULES: Mapping[str | None, str | None] = {"heads": TENSOR, "mlp": TENSOR, "vocab": TENSOR, "expert": EXPERT, None: None}
"""What a variable calls its axis, to the axis of the mesh that it is split over. Along the other axes of the mesh every
device holds the same."""
WHOLE = (LoraScaling, Window)
"""Variables that every device holds whole: a number a layer or a slot."""


def make_mesh(*, tensor: int = 1, expert: int = 1, data: int = 1) -> Mesh:
    """The first `data * expert * tensor` devices. Raises UsageError if there are fewer."""
    shape, devices = (data, expert, tensor), jax.devices()
    needed = math.prod(shape)
    if min(shape) < 1 or needed > len(devices):
        raise UsageError(
            "no such mesh",
            where=f"data {data} x expert {expert} x tensor {tensor}",
            expected=f"1 to {len(devices)} devices",
            got=str(needed),
        )
    # Auto: XLA decides where results lie. Explicit axes would have every product of the model say so itself.
    return Mesh(np.asarray(devices[:needed]).reshape(shape), (DATA, EXPERT, TENSOR), axis_types=(AxisType.Auto,) * 3)


def shard(model: CausalLM, mesh: Mesh) -> None:
    """Move every variable of `model`, adapters included, to its place on `mesh`.

    Raises UsageError, with nothing moved, for a size that does not divide. To hold such a variable whole would be as
    right, and would fill the memory that a mesh is there to save.
    """
    _check_heads(model.config, mesh)
    variables = {
        ".".join(str(entry) for entry in path): variable
        for path, variable in nnx.iter_graph(model)
        if isinstance(variable, nnx.Variable)
    }
    places = {path: _place(path, variable, mesh) for path, variable in variables.items()}
    for path, variable in variables.items():
        variable.set_value(jax.device_put(variable.get_value(), places[path]))


def make_sharded(make: Callable[[], CausalLM], mesh: Mesh) -> CausalLM:
    """The model that `make` would give, each device making its own part: for one that no device could hold.

    With `lambda: abstract(config)` it is there to be loaded into. Raises UsageError as `shard` does.
    """
    shapes = nnx.eval_shape(make)
    _check_heads(shapes.config, mesh)
    graph, state = nnx.split(shapes)
    places = [
        (path, variable.replace(_place(".".join(str(entry) for entry in path), variable, mesh)))
        for path, variable in nnx.to_flat_state(state)
    ]
    made = jax.jit(lambda: nnx.state(make()), out_shardings=nnx.from_flat_state(places))
    model: CausalLM = nnx.merge(graph, made())
    return model


def spread(rows: Any, mesh: Mesh) -> Any:
    """`rows`, a tree of arrays (B, ...) such as a Batch, with the rows divided evenly over the mesh's data axis.

    Devices along that axis hold the same weights, and gradients are summed over it as over the rows of one batch.
    """
    for path, array in jax.tree_util.tree_leaves_with_path(rows):
        _check_divides(f"rows{jax.tree_util.keystr(path)}", DATA, len(array), mesh)
    return jax.device_put(rows, NamedSharding(mesh, PartitionSpec(DATA)))


def _place(path: str, variable: nnx.Variable, mesh: Mesh) -> NamedSharding:
    """Where `variable` belongs. Its named axes are its last: a stack's layers are in front of them."""
    shape = variable.get_value().shape
    names: tuple[str | None, ...] = () if isinstance(variable, WHOLE) else variable.get_metadata("axes")
    split = [None] * (len(shape) - len(names)) + [RULES[name] for name in names]
    for size, axis in zip(shape, split, strict=True):
        if axis is not None:
            _check_divides(path, axis, size, mesh)
    # No Nones at the end: XLA names its results' places without, and a program is compiled anew for another name.
    while split and split[-1] is None:
        split.pop()
    return NamedSharding(mesh, PartitionSpec(*split))


def _check_heads(config: ModelConfig, mesh: Mesh) -> None:
    """Keep heads whole: an axis of heads * head_dim could also be cut within them, and each score would be a sum over
    devices.
    """
    attention = config.attention
    if isinstance(attention, GroupedAttention):
        _check_divides("key-value heads", TENSOR, attention.num_kv_heads, mesh)
    else:
        _check_divides("heads", TENSOR, attention.num_heads, mesh)


def _check_divides(what: str, axis: str, size: int, mesh: Mesh) -> None:
    if size % mesh.shape[axis]:
        raise UsageError(
            f"cannot be split over the mesh's {axis!r}",
            where=what,
            expected=f"a multiple of {mesh.shape[axis]}",
            got=str(size),
        )
