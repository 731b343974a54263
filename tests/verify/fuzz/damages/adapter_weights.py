"""Harmful: an adapter whose tensors are not those that were merged."""

from __future__ import annotations

import numpy as np

from tests.verify.fuzz.damage import NOT_CONTAINED, Scene, damage
from tests.verify.fuzz.directories import content
from tests.verify.fuzz.oracle import ADAPTER_CONFIG
from tests.verify.fuzz.triples import PREFIX, WITH_EXPERTS, merged_numbers
from tests.verify.fuzz.weights import ADAPTER, Tensor, Tensors, change, numbers, split, table, tensor_of, tensors_of


def _factor(scene: Scene, tensors: Tensors, part: str = ".lora_") -> str:
    return scene.pick(sorted(name for name in tensors if part in name))


@damage("harmful")
def a_factor_changed(scene: Scene) -> None:
    """In one element, by as much as the largest."""

    def spoil(tensors: Tensors) -> None:
        name = _factor(scene, tensors)
        values = numbers(tensors[name])
        values.flat[scene.draw.randrange(values.size)] += 2 * np.abs(values).max()
        tensors[name] = tensor_of("F32", values)

    change(scene.triple["adapter"], spoil)


@damage("harmful")
def a_factor_scaled(scene: Scene) -> None:
    """Another training run, or another step of it."""
    factor = scene.pick([1.05, 2.0, -1.0, 0.0])

    def spoil(tensors: Tensors) -> None:
        name = _factor(scene, tensors)
        tensors[name] = tensor_of("F32", factor * numbers(tensors[name]))

    change(scene.triple["adapter"], spoil)


@damage("harmful")
def factors_of_zeros(scene: Scene) -> None:
    """Every B, as before training: merged then holds something that the adapter does not give."""

    def spoil(tensors: Tensors) -> None:
        for name in [name for name in tensors if ".lora_B." in name]:
            tensors[name] = tensor_of("F32", np.zeros(tensors[name].shape))

    change(scene.triple["adapter"], spoil)


@damage("harmful")
def a_factor_that_is_no_number(scene: Scene) -> None:
    """One element, or all, of any part."""

    def spoil(tensors: Tensors) -> None:
        name = scene.pick(sorted(tensors))
        values = numbers(tensors[name])
        value = scene.pick([np.nan, np.inf, -np.inf, 3e38])
        if scene.draw.random() < 0.3:
            values[:] = value
        values.flat[scene.draw.randrange(values.size)] = value
        tensors[name] = tensor_of(tensors[name].dtype, values)

    change(scene.triple["adapter"], spoil)


@damage("harmful", *(NOT_CONTAINED - {"INCONCLUSIVE"}))
def a_factor_lost(scene: Scene) -> None:
    """One of a pair, or both."""

    def spoil(tensors: Tensors) -> None:
        name = _factor(scene, tensors)
        del tensors[name]
        if scene.draw.random() < 0.5:
            tensors.pop(
                name.replace("lora_A", "lora_B") if "lora_A" in name else name.replace("lora_B", "lora_A"), None
            )

    change(scene.triple["adapter"], spoil)


@damage("harmful")
def a_factor_renamed(scene: Scene) -> None:
    """So that PEFT does not find it, or finds it elsewhere."""

    def spoil(tensors: Tensors) -> None:
        for name in scene.some(sorted(name for name in tensors if ".lora_" in name)):
            names = [
                name.removeprefix("base_model.model."),
                name.replace(".weight", ""),
                name.replace(".weight", ".default.weight"),
                name.replace("q_proj", "o_proj"),
                name.replace(".layers.0.", ".layers.9."),
                name.replace("lora_A", "lora_C"),
                "\x1b[31m" + name,
                name + "x" * 600,
                "",
            ]
            other = scene.pick([other for other in names if other != name])
            tensors[other] = tensors.pop(name)

    change(scene.triple["adapter"], spoil)


@damage("harmful")
def a_factor_of_another_shape(scene: Scene) -> None:
    """Transposed, of a rank more or less, with one axis or three, or with nothing in it."""

    def spoil(tensors: Tensors) -> None:
        name = _factor(scene, tensors)
        values = numbers(tensors[name])
        shapes = [
            values.T,
            values[:-1],
            values[..., :-1],
            values.reshape(-1),
            values[None],
            values[:0],
            values[..., :0],
        ]
        other = scene.pick([array for array in shapes if array.shape != values.shape])
        tensors[name] = tensor_of("F32", other)

    change(scene.triple["adapter"], spoil)


@damage("harmful", "REFUSED", *NOT_CONTAINED)
def factors_of_astronomical_numbers(scene: Scene) -> None:
    """Of nothing, and of as many experts as no machine can count."""
    shapes = [((0, 2**62), (2**62, 0)), ((2**61, 0), (0, 2**61)), ((2**40, 0), (0, 2**40)), ((0, 16), (18, 0))]

    def spoil(tensors: Tensors) -> None:
        name = _factor(scene, tensors, ".lora_A.")
        down, up = scene.pick(shapes)
        tensors[name] = Tensor("F32", down, b"")
        tensors[name.replace("lora_A", "lora_B")] = Tensor("F32", up, b"")

    change(scene.triple["adapter"], spoil)


@damage("harmful")
def factors_of_another_dtype(scene: Scene) -> None:
    """Numbers that are none, by the same bytes."""

    def spoil(tensors: Tensors) -> None:
        name = _factor(scene, tensors)
        tensor = tensors[name]
        tensors[name] = scene.pick(
            [
                tensor._replace(dtype="I32"),
                Tensor("F8_E4M3", tensor.shape, tensor.data[: len(tensor.data) // 4]),
                Tensor("BOOL", tensor.shape, tensor.data[: len(tensor.data) // 4]),
                Tensor("F16", tensor.shape, tensor.data[: len(tensor.data) // 2]),
            ]
        )

    change(scene.triple["adapter"], spoil)


@damage("harmful")
def two_factors_exchanged(scene: Scene) -> None:
    """Of the same shape."""

    def spoil(tensors: Tensors) -> None:
        name = scene.pick(sorted(name for name in tensors if ".layers.0." in name and ".lora_" in name))
        other = name.replace(".layers.0.", ".layers.1.")
        tensors[name], tensors[other] = tensors[other], tensors[name]

    change(scene.triple["adapter"], spoil)


@damage("harmful", variants=["float32", "bfloat16", "square"])
def one_rank_that_outweighs_the_other(scene: Scene) -> None:
    """It is merged rightly, and reaches one column alone; all other columns are base's. By their lengths alone the
    factors would leave room for anything there."""
    module = f"model.layers.{scene.pick([0, 1])}.self_attn.q_proj"
    keys = [f"{PREFIX}{module}.lora_{part}.weight" for part in "AB"]
    weight = scene.pick([1e4, 1e6, 1e8, 1e10])

    def outweigh(tensors: Tensors) -> None:
        down, up = (numbers(tensors[key]) for key in keys)
        down[0], down[0, 0], up[:, 0] = 0, 1, weight
        tensors.update(zip(keys, (tensor_of("F32", down), tensor_of("F32", up)), strict=True))

    files = scene.triple["adapter"]
    change(files, outweigh)
    base = split(tensors_of(scene.triple["base"]))
    name = f"{module}.weight"
    values = merged_numbers(base, tensors_of(files), table(content(files, ADAPTER_CONFIG)))[name]
    values[:, 1:] = numbers(base[name])[:, 1:]
    change(scene.triple["merged"], lambda tensors: tensors.update({name: tensor_of(base[name].dtype, values)}))


@damage("harmful", "WRONG_LAYOUT", variants=WITH_EXPERTS)
def factors_packed_expert_by_expert(scene: Scene) -> None:
    """The columns of every experts' B grouped, as another tool writes them: merged was made from PEFT's order."""

    def spoil(tensors: Tensors) -> None:
        for name in [name for name in tensors if ".experts." in name and ".lora_B." in name]:
            values = numbers(tensors[name])
            packed = values.reshape(len(values), -1, 4).transpose(0, 2, 1).reshape(values.shape)
            tensors[name] = tensor_of("F32", packed)

    change(scene.triple["adapter"], spoil)


@damage("harmful")
def nothing_in_the_adapter(scene: Scene) -> None:
    """A sound file without a tensor, or with all but one of them gone."""

    def spoil(tensors: Tensors) -> None:
        for name in scene.shuffled(sorted(tensors))[scene.pick([0, 1]) :]:
            del tensors[name]

    files = scene.triple["adapter"]
    change(files, spoil)
    files.setdefault(ADAPTER, bytes([2, 0, 0, 0, 0, 0, 0, 0]) + b"{}")
