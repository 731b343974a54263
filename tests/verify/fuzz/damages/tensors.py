"""Harmful: tensors that are lost, added, renamed, or of another shape or dtype, in files that are sound."""

from __future__ import annotations

import numpy as np

from tests.verify.fuzz.damage import Scene, damage, edit
from tests.verify.fuzz.damages.layouts import in_shards, sharded
from tests.verify.fuzz.damages.values import adapted, untouched
from tests.verify.fuzz.showing import SCRIPT
from tests.verify.fuzz.triples import WITH_EXPERTS, adapted_names
from tests.verify.fuzz.weights import (
    INDEX,
    Tensor,
    Tensors,
    change,
    numbers,
    shards_of,
    store,
    tensor_of,
    tensors_of,
)

OF_ONE_SIZE = {"F32": ("I32", "U32"), "BF16": ("F16", "I16", "U16")}


@damage("harmful", "PARTIAL")
def an_adapted_tensor_lost(scene: Scene) -> None:
    """Of merged, and of its index too."""
    change(scene.triple["merged"], lambda tensors: tensors.pop(adapted(scene, tensors)))


@damage("harmful", "INCOMPLETE")
def another_tensor_lost(scene: Scene) -> None:
    """One that the adapter does not touch."""
    change(scene.triple["merged"], lambda tensors: tensors.pop(untouched(scene, tensors)))


@damage("harmful")
def a_tensor_of_base_lost(scene: Scene) -> None:
    """That the adapter is for: what merged holds there came from nowhere."""
    change(scene.triple["base"], lambda tensors: tensors.pop(adapted(scene, tensors)))


@damage("harmful", "PARTIAL", "INCOMPLETE")
def most_tensors_lost(scene: Scene) -> None:
    """As when a shard was left out."""

    def lose(tensors: Tensors) -> None:
        for name in scene.some(sorted(tensors)[1:]):
            del tensors[name]

    change(scene.triple["merged"], lose)


@damage("harmful", "INCOMPLETE", "WRONG_VALUES", "INCONCLUSIVE", "REFUSED")
def a_tensor_added(scene: Scene) -> None:
    """By a name that base does not have."""
    name = scene.pick(
        [
            "model.layers.7.input_layernorm.weight",
            "model.layers.0.self_attn.q_proj.bias",
            "model.layers.0.mlp.experts.4.gate_proj.weight",
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
            "",
            "x" * 4000,
            "\u202e\n\x1b[31m",
            f"model.layers.0.{SCRIPT}.weight",
            "\ud800",
        ]
    )
    dtype = scene.pick(["F32", "BF16", "U8", "I64", "BOOL", "F8_E4M3"])
    size_bytes = {"F32": 4, "BF16": 2, "I64": 8}.get(dtype, 1)
    added = scene.pick([Tensor(dtype, (3,), bytes(3 * size_bytes)), Tensor(dtype, (), bytes(size_bytes))])
    change(scene.triple["merged"], lambda tensors: tensors.update({name: added}))


@damage("harmful", "INCOMPLETE", "PARTIAL")
def a_tensor_renamed(scene: Scene) -> None:
    """By one letter, another layer or another expert."""

    def rename(tensors: Tensors) -> None:
        name = scene.pick(sorted(tensors))
        other = scene.pick([name + "_", name.replace("weight", "Weight"), "module." + name, name.replace(".", "..", 1)])
        tensors[other] = tensors.pop(name)

    change(scene.triple["merged"], rename)


@damage("harmful", "INCOMPLETE", "PARTIAL", "WRONG_VALUES")
def a_layer_by_another_number(scene: Scene) -> None:
    """As if layers had been counted from one."""
    number = scene.pick(["2", "01", "1000000000000", "-1", "\u0661"])

    def rename(tensors: Tensors) -> None:
        for name in [name for name in tensors if ".layers.1." in name]:
            tensors[name.replace(".layers.1.", f".layers.{number}.")] = tensors.pop(name)

    change(scene.triple["merged"], rename)


@damage("harmful", "INCOMPLETE", "PARTIAL", "WRONG_VALUES", variants=WITH_EXPERTS)
def an_expert_by_another_number(scene: Scene) -> None:
    """There is no such expert."""
    number = scene.pick(["4", "65536", "999999999", "03", "1e3"])

    def rename(tensors: Tensors) -> None:
        for name in [name for name in tensors if ".experts.3." in name]:
            tensors[name.replace(".experts.3.", f".experts.{number}.")] = tensors.pop(name)

    change(scene.triple["merged"], rename)


@damage("harmful", variants=WITH_EXPERTS)
def an_expert_of_base_by_another_number(scene: Scene) -> None:
    """So that the adapter is for experts that are not there; the highest number counts them."""
    number = scene.pick(["4", "65536", "999999999"])

    def rename(tensors: Tensors) -> None:
        for name in [name for name in tensors if ".layers.0.mlp.experts.3." in name]:
            tensors[name.replace(".experts.3.", f".experts.{number}.")] = tensors.pop(name)

    change(scene.triple["base"], rename)


@damage("harmful", "WRONG_VALUES")
def a_tensor_in_two_shards_unlike(scene: Scene) -> None:
    """Which of the two counts depends on the loader."""
    files = sharded(scene)
    if files is not scene.triple["merged"]:
        files = scene.triple["merged"]
        in_shards(scene, files, tensors_of(files), 2)
    shards = shards_of(files)
    if len(shards) < 2:
        in_shards(scene, files, tensors_of(files), 2)
        shards = shards_of(files)
    names = sorted(shards)
    home, other = scene.draw.sample(names, 2)
    name = scene.pick(sorted(shards[home]))
    weight_map = {key: file for file in names for key in shards[file]}
    tensor = shards[home][name]
    shards[other][name] = tensor_of(tensor.dtype, numbers(tensor) + 1)
    store(files, shards)
    edit(files, INDEX, lambda index: index.update(weight_map=weight_map))


@damage("harmful", "WRONG_VALUES")
def another_shape_of_the_same_size(scene: Scene) -> None:
    """The bytes are as they were."""

    def reshape(tensors: Tensors) -> None:
        name = scene.pick(sorted(name for name in tensors if len(tensors[name].shape) == 2))
        rows, columns = tensors[name].shape
        shapes = [(columns, rows), (rows * columns,), (1, rows, columns), (rows, columns, 1), (rows * 2, columns // 2)]
        shape = scene.pick([shape for shape in shapes if shape != (rows, columns) and np.prod(shape) == rows * columns])
        tensors[name] = tensors[name]._replace(shape=shape)

    change(scene.triple["merged"], reshape)


@damage("harmful", "WRONG_VALUES")
def a_row_more_or_less(scene: Scene) -> None:
    """As when a vocabulary was resized."""

    def resize(tensors: Tensors) -> None:
        name = scene.pick(sorted(name for name in tensors if tensors[name].shape[0] > 1))
        values = numbers(tensors[name])
        values = scene.pick([values[:-1], np.concatenate([values, values[:1]]), values[:0]])
        tensors[name] = tensor_of(tensors[name].dtype, values)

    change(scene.triple["merged"], resize)


@damage("harmful")
def the_same_bytes_of_another_dtype(scene: Scene) -> None:
    """Of the same size, so that nothing else in the file changes."""

    def relabel(tensors: Tensors) -> None:
        for name in scene.some(sorted(tensors)):
            tensors[name] = tensors[name]._replace(dtype=scene.pick(OF_ONE_SIZE[tensors[name].dtype]))

    change(scene.triple["merged"], relabel)


@damage("harmful")
def a_tensor_in_another_dtype(scene: Scene) -> None:
    """The configuration says nothing of it."""

    def cast(tensors: Tensors) -> None:
        name = scene.pick(sorted(tensors))
        values = numbers(tensors[name])
        dtype = scene.pick(sorted({"F32", "BF16", "F16", "F64"} - {tensors[name].dtype}))
        whole = Tensor(dtype, values.shape, values.astype({"F16": "<f2", "F64": "<f8"}.get(dtype, "<f4")).tobytes())
        tensors[name] = tensor_of(dtype, values) if dtype == "BF16" else whole

    change(scene.triple["merged"], cast)


@damage("harmful", "WRONG_VALUES", "INCOMPLETE", "PARTIAL", "REFUSED")
def nothing_by_astronomical_numbers(scene: Scene) -> None:
    """A tensor without elements whose other axes no machine can hold."""

    def empty(tensors: Tensors) -> None:
        name = scene.pick([*sorted(tensors), "model.layers.0.extra.weight"])
        shape = scene.pick([(0, 2**62), (2**62, 0), (2**40, 2**40, 0), (0,) * 32, (0, 2**31, 2**31)])
        dtype = scene.pick(["F32", "BF16"])
        tensors[name] = Tensor(dtype, shape, b"")

    change(scene.triple["merged"], empty)


@damage("harmful")
def nothing_in_base_by_astronomical_numbers(scene: Scene) -> None:
    """In the place of a weight that the adapter is for."""

    def empty(tensors: Tensors) -> None:
        shape = scene.pick([(0, 2**62), (2**62, 0), (0, 16), (2**40, 0, 2**20)])
        tensors[adapted(scene, tensors)] = Tensor("F32", shape, b"")

    change(scene.triple["base"], empty)


@damage("harmful", variants=WITH_EXPERTS)
def joined_experts_of_another_shape(scene: Scene) -> None:
    """A parameter for all experts, whose axes say that there are many or none."""
    shape, num_bytes = scene.pick(
        [
            ((0, 24, 16), 0),
            ((2**40, 0, 16), 0),
            ((65_536, 1, 1), 65_536),
            ((4, 23, 16), 4 * 23 * 16),
            ((1, 1, 1, 1), 1),
            ((16,), 16),
        ]
    )
    files = scene.side("base", "merged")
    shards = shards_of(files)
    last = shards[sorted(shards)[-1]]
    for name in [name for name in last if ".layers.1.mlp.experts." in name]:
        del last[name]
    last["model.layers.1.mlp.experts.gate_up_proj"] = Tensor("F32", shape, bytes(4 * num_bytes))
    store(files, shards)


@damage("harmful", "WRONG_VALUES", "WRONG_LAYOUT", "PARTIAL", variants=WITH_EXPERTS)
def experts_permuted(scene: Scene) -> None:
    """Of one layer, all three matrices alike."""

    def permute(tensors: Tensors) -> None:
        order = list(range(4))
        while order == sorted(order):
            order = scene.shuffled(order)
        before = dict(tensors)
        for name in adapted_names(scene.variant):
            if ".layers.0.mlp.experts." in name:
                head, _, rest = name.partition(".experts.")
                expert, _, tail = rest.partition(".")
                tensors[name] = before[f"{head}.experts.{order[int(expert)]}.{tail}"]

    change(scene.triple["merged"], permute)
