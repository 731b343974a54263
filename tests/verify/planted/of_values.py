"""Damage to what is stored: single elements, whole tensors, matrices in the wrong places, adapted or not.

A change of one value is a function of the merge and a site; `at` makes damage of it. Sites are chosen by functions too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.verify.planted.merging import Dtype, Way, add, rounded
from tests.verify.planted.models import Part
from tests.verify.planted.of_deltas import Change, Order, exchanged_with_its_like, reassigned
from tests.verify.planted.planting import Plant, Planting, Scope, before

Choice = Callable[[Planting], list[str]]


def adapted(scope: Scope) -> Choice:
    """Adapted matrices."""
    return lambda planting: planting.sites(scope)


def untouched(ending: str) -> Choice:
    """One of the weights that the adapter does not touch, by how their names end."""

    def choose(planting: Planting) -> list[str]:
        held = {*planting.deltas, *planting.adapter.whole}
        return [planting.draw([site for site in planting.base if site.endswith(ending) and site not in held])]

    return choose


def held(ending: str) -> Choice:
    """Those that the adapter holds in full."""
    return lambda planting: [site for site in planting.adapter.whole if site.endswith(ending)]


def one_held(planting: Planting) -> list[str]:
    """One of them."""
    return [planting.draw(list(planting.adapter.whole))]


def lora_biases(planting: Planting) -> list[str]:
    """The biases to which lora_bias adds."""
    return [f"{pair.key}.bias" for pair in planting.adapter.pairs]


def at(choose: Choice, change: Change) -> Plant:
    """The change of what is stored, at these sites."""

    @before("values")
    def plant(planting: Planting) -> None:
        planting.values |= {site: change(planting, site) for site in choose(planting)}

    return plant


@before("values")
def nothing(planting: Planting) -> None:
    """The merge is right, and what it stores is not enough."""


def bases(planting: Planting, site: str) -> np.ndarray:
    """What base has."""
    return planting.base[site]


def an_element(planting: Planting, site: str) -> np.ndarray:
    """One number is another."""
    return _with_one(planting, site, lambda value: rounded(planting.dtype, value + np.float32(0.05)))


def not_a_number(planting: Planting, site: str) -> np.ndarray:
    """One NaN."""
    return _with_one(planting, site, lambda value: np.full_like(value, np.nan))


def infinity(planting: Planting, site: str) -> np.ndarray:
    """One infinity."""
    return _with_one(planting, site, lambda value: np.full_like(value, np.inf))


def a_high_bit(planting: Planting, site: str) -> np.ndarray:
    """The highest bit of one mantissa is flipped."""
    bit = {"F32": 22, "BF16": 22, "F16": 9}[planting.dtype]
    return _with_one(planting, site, lambda value: _flipped(value, planting.dtype, bit))


def the_lowest_bit(planting: Planting, site: str) -> np.ndarray:
    """The lowest bit of one stored number is flipped, where no order of rounding would have it so, nor base."""
    bit = {"F32": 0, "BF16": 16, "F16": 0}[planting.dtype]
    values = planting.values[site]
    flipped = _flipped(values, planting.dtype, bit)
    clear = np.ones(values.shape, bool)
    if (delta := planting.deltas.get(site)) is not None:
        base = planting.base[site]
        clear = (add(base, delta, planting.dtype, delta_first=True) == values) & (
            np.abs(base + delta - values) < 0.25 * np.abs(flipped - values)
        )
        clear &= flipped != base
    where = planting.draw([int(place) for place in np.flatnonzero(clear)])
    changed = values.copy()
    changed.flat[where] = flipped.flat[where]
    return changed


def summed_in(dtype: Dtype) -> Change:
    """Base, delta and their sum each in less than what they are stored in."""
    way = Way(sum_=dtype)
    return lambda planting, site: add(planting.base[site], planting.deltas[site], planting.dtype, way)


def zeros(planting: Planting, site: str) -> np.ndarray:
    """Nothing but zeros."""
    return np.zeros_like(planting.values[site])


def zeros_at_the_end(planting: Planting, site: str) -> np.ndarray:
    """The last third is zeros, as of a file that was not written to its end."""
    values = planting.values[site].copy()
    values.reshape(-1)[-values.size // 3 :] = 0
    return values


def slightly_scaled(planting: Planting, site: str) -> np.ndarray:
    """All of it, by one in a hundred."""
    return rounded(planting.dtype, planting.values[site] * np.float32(1.01))


def through(dtype: Dtype) -> Change:
    """Stored in less, and in its own dtype again."""
    return lambda planting, site: rounded(dtype, planting.values[site])


def rows_turned(planting: Planting, site: str) -> np.ndarray:
    """The rows of a head in another order: halves of rotary pairs instead of neighbours."""
    values = planting.values[site]
    return np.concatenate([values[::2], values[1::2]])


def without_magnitude(planting: Planting, site: str) -> np.ndarray:
    """DoRA's sum, not brought to the length that was trained."""
    return add(planting.base[site], planting.deltas[site], planting.dtype)


def twice_over(planting: Planting, site: str) -> np.ndarray:
    """Merged into what was merged already."""
    return add(planting.values[site], planting.deltas[site], planting.dtype)


def rehoused(order: Order, *parts: Part, layer: int | None = None) -> Plant:
    """Whole experts in other experts' places."""

    @before("values")
    def plant(planting: Planting) -> None:
        planting.values |= reassigned(planting, planting.values, order, parts, layer)

    return plant


def gate_and_up_exchanged(scope: Scope) -> Plant:
    """Each stands where the other should."""

    @before("values")
    def plant(planting: Planting) -> None:
        planting.values |= exchanged_with_its_like(planting, planting.values, scope)

    return plant


def _with_one(planting: Planting, site: str, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    values = planting.values[site].copy()
    place = int(planting.rng.integers(values.size))
    values.flat[place] = change(values.reshape(-1)[place : place + 1])[0]
    return values


def _flipped(values: np.ndarray, dtype: Dtype, bit: int) -> np.ndarray:
    if dtype == "F16":
        return (values.astype(np.float16).view(np.uint16) ^ np.uint16(1 << bit)).view(np.float16).astype(np.float32)
    return (np.ascontiguousarray(values).view(np.uint32) ^ np.uint32(1 << bit)).view(np.float32)
