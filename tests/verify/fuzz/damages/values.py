"""Harmful: numbers of base or merged that are not what they should be, in files that are as sound as before."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.verify.fuzz.damage import Scene, damage
from tests.verify.fuzz.triples import WITH_EXPERTS, adapted_names, pristine
from tests.verify.fuzz.weights import Tensor, Tensors, change, numbers, split, tensor_of, tensors_of

LARGE = 0.25
"""Of the largest number of a tensor: a change that no rounding explains."""


def adapted(scene: Scene, tensors: Tensors) -> str:
    """One of the weights that the adapter changes, by factors."""
    return scene.pick(by_factors(scene, tensors))


def by_factors(scene: Scene, tensors: Tensors) -> list[str]:
    """All of these."""
    return sorted(name for name in tensors if name in adapted_names(scene.variant) and name != "lm_head.weight")


def untouched(scene: Scene, tensors: Tensors) -> str:
    """One of the weights that it does not change."""
    return scene.pick(sorted(name for name in tensors if name not in adapted_names(scene.variant)))


def _change_merged(scene: Scene, edit: Callable[[Tensors], object]) -> None:
    change(scene.triple["merged"], edit)


def _recalculated(tensors: Tensors, name: str, calculate: Callable[[np.ndarray], np.ndarray]) -> None:
    tensors[name] = tensor_of(tensors[name].dtype, calculate(numbers(tensors[name])))


def _base(scene: Scene) -> Tensors:
    return split(tensors_of(pristine(scene.variant)["base"]))


def _flipped(scene: Scene, tensor: Tensor) -> Tensor:
    data = bytearray(tensor.data)
    data[scene.draw.randrange(len(data))] ^= 1 << scene.draw.randrange(8)
    return tensor._replace(data=bytes(data))


@damage("harmful", "WRONG_VALUES")
def one_bit_of_what_is_not_adapted(scene: Scene) -> None:
    """Of base or merged, even the last bit of a number."""

    def edit(tensors: Tensors) -> None:
        name = untouched(scene, tensors)
        tensors[name] = _flipped(scene, tensors[name])

    change(scene.side("base", "merged"), edit)


@damage("edit")
def one_bit_of_what_is_adapted(scene: Scene) -> None:
    """The last ones may be rounding, which the oracle knows."""

    def edit(tensors: Tensors) -> None:
        name = adapted(scene, tensors)
        tensors[name] = _flipped(scene, tensors[name])

    change(scene.side("base", "merged"), edit)


@damage("harmful", "WRONG_VALUES")
def one_element(scene: Scene) -> None:
    """By a quarter of the largest, in an adapted weight."""

    def edit(tensors: Tensors) -> None:
        name = adapted(scene, tensors)
        values = numbers(tensors[name])
        place = scene.draw.randrange(values.size)
        values.flat[place] += scene.pick([-1, 1]) * LARGE * np.abs(values).max()
        tensors[name] = tensor_of(tensors[name].dtype, values)

    _change_merged(scene, edit)


@damage("harmful", "WRONG_VALUES")
def one_element_of_base(scene: Scene) -> None:
    """So that merged is not what it and the adapter give."""

    def edit(tensors: Tensors) -> None:
        name = scene.pick(sorted(set(tensors) - {"lm_head.weight"}))
        values = numbers(tensors[name])
        values.flat[scene.draw.randrange(values.size)] += LARGE * np.abs(values).max()
        tensors[name] = tensor_of(tensors[name].dtype, values)

    change(scene.triple["base"], edit)


@damage("harmful", "WRONG_VALUES", "PARTIAL")
def one_row_put_back(scene: Scene) -> None:
    """Of an adapted weight."""
    base = _base(scene)

    def edit(tensors: Tensors) -> None:
        name = adapted(scene, tensors)
        values = numbers(tensors[name])
        row = scene.draw.randrange(len(values))
        values[row] = numbers(base[name])[row]
        tensors[name] = tensor_of(tensors[name].dtype, values)

    _change_merged(scene, edit)


@damage("harmful", "WRONG_VALUES")
def rows_moved(scene: Scene) -> None:
    """By one, in any matrix."""

    def edit(tensors: Tensors) -> None:
        name = scene.pick(sorted(name for name in tensors if len(tensors[name].shape) == 2))
        _recalculated(tensors, name, lambda values: np.roll(values, 1, axis=scene.pick([0, 1])))

    _change_merged(scene, edit)


@damage("harmful", "WRONG_VALUES")
def a_weight_of_zeros(scene: Scene) -> None:
    """Of any tensor."""
    _change_merged(scene, lambda tensors: _recalculated(tensors, scene.pick(sorted(tensors)), np.zeros_like))


@damage("harmful", "PARTIAL")
def one_weight_put_back(scene: Scene) -> None:
    """The delta is missing in one."""
    base = _base(scene)

    def edit(tensors: Tensors) -> None:
        name = adapted(scene, tensors)
        tensors[name] = base[name]

    _change_merged(scene, edit)


@damage("harmful", "BASE_UNCHANGED")
def every_weight_put_back(scene: Scene) -> None:
    """Merged is base."""
    base = _base(scene)
    _change_merged(scene, lambda tensors: tensors.update(base))


@damage("harmful", "WRONG_VALUES")
def two_weights_exchanged(scene: Scene) -> None:
    """Of the same shape."""

    def edit(tensors: Tensors) -> None:
        name = scene.pick(sorted(tensors))
        alike = [
            other
            for other in sorted(tensors)
            if tensors[other][:2] == tensors[name][:2] and tensors[other].data != tensors[name].data
        ]
        other = scene.pick(alike)
        tensors[name], tensors[other] = tensors[other], tensors[name]

    _change_merged(scene, edit)


@damage("harmful", "WRONG_VALUES", variants=WITH_EXPERTS)
def gate_and_up_exchanged(scene: Scene) -> None:
    """In some experts."""

    def edit(tensors: Tensors) -> None:
        for name in scene.some(sorted(name for name in tensors if ".gate_proj." in name)):
            other = name.replace(".gate_proj.", ".up_proj.")
            tensors[name], tensors[other] = tensors[other], tensors[name]

    _change_merged(scene, edit)


@damage("harmful", "WRONG_VALUES", "WRONG_LAYOUT", variants=["square"])
def a_square_transposed(scene: Scene) -> None:
    """Its shape does not tell."""

    def edit(tensors: Tensors) -> None:
        squares = [
            name for name in sorted(tensors) if len(tensors[name].shape) == 2 and len(set(tensors[name].shape)) == 1
        ]
        _recalculated(tensors, scene.pick(squares), np.transpose)

    change(scene.side("base", "merged"), edit)


@damage("harmful", "WRONG_VALUES")
def not_a_number(scene: Scene) -> None:
    """One, or an infinity, anywhere."""

    def edit(tensors: Tensors) -> None:
        name = scene.pick(sorted(tensors))
        values = numbers(tensors[name])
        values.flat[scene.draw.randrange(values.size)] = scene.pick([np.nan, np.inf, -np.inf])
        tensors[name] = tensor_of(tensors[name].dtype, values)

    _change_merged(scene, edit)


@damage("harmful")
def not_a_number_in_both(scene: Scene) -> None:
    """Of an adapted weight: base's and merged's are the same bits, and neither is sound."""
    name = adapted(scene, _base(scene))
    place = scene.draw.random()
    value = scene.pick([np.nan, np.inf])

    def edit(tensors: Tensors) -> None:
        values = numbers(tensors[name])
        values.flat[int(place * values.size)] = value
        tensors[name] = tensor_of(tensors[name].dtype, values)

    change(scene.triple["base"], edit)
    change(scene.triple["merged"], edit)


@damage("harmful", "WRONG_VALUES", "WRONG_LAYOUT", "PARTIAL")
def the_delta_at_another_scale(scene: Scene) -> None:
    """Twice, half, with the other sign, in some weights or all."""
    base = _base(scene)
    factor = scene.pick([2.0, 0.5, -1.0, 1.5, 0.9, 4.0])
    only_some = scene.pick([True, False])

    def edit(tensors: Tensors) -> None:
        names = by_factors(scene, tensors)
        for name in scene.some(names) if only_some else names:
            before = numbers(base[name])
            _recalculated(tensors, name, lambda values, before=before: before + factor * (values - before))

    _change_merged(scene, edit)


@damage("harmful", "WRONG_VALUES", "WRONG_LAYOUT")
def noise_on_a_weight(scene: Scene) -> None:
    """As large as the delta."""
    generator = np.random.default_rng(scene.draw.randrange(2**32))

    def edit(tensors: Tensors) -> None:
        name = adapted(scene, tensors)
        _recalculated(tensors, name, lambda values: values + 0.2 * generator.standard_normal(values.shape))

    _change_merged(scene, edit)


@damage("edit")
def a_weight_cut_to_fewer_bits(scene: Scene) -> None:
    """As if it had gone through a dtype with half the mantissa."""

    def edit(tensors: Tensors) -> None:
        name = scene.pick(sorted(tensors))
        steps = 2.0 ** scene.draw.randint(3, 20)

        def cut(values: np.ndarray) -> np.ndarray:
            mantissas, exponents = np.frexp(values)
            return np.ldexp(np.round(mantissas * steps) / steps, exponents)

        _recalculated(tensors, name, cut)

    _change_merged(scene, edit)


@damage("harmful")
def a_stretch_of_data_from_elsewhere(scene: Scene) -> None:
    """Of the same file: bytes that were written to the wrong place."""

    def edit(tensors: Tensors) -> None:
        name, other = scene.draw.sample(sorted(tensors), 2)
        target, source = bytearray(tensors[name].data), tensors[other].data
        length = min(len(target), len(source), 32)
        start = scene.draw.randrange(0, len(target) - length + 1, 4)
        piece = source[:length]
        if piece == bytes(target[start : start + length]):
            piece = bytes(byte ^ 0x40 for byte in piece)
        target[start : start + length] = piece
        tensors[name] = tensors[name]._replace(data=bytes(target))

    _change_merged(scene, edit)
