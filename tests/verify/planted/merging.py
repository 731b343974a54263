"""The oracle: what a merge by PEFT's definitions stores, in plain numpy, and the ways that differ in rounding alone.

Definitions: `get_delta_weight` and `merge` of peft/tuners/lora/layer.py (Linear, Embedding, ParamWrapper) and dora.py,
0.18.1 to 0.21.2. For parameters of experts: A is (E, r, in), B is (out, r, E), and the delta is their einsum, whose
axes 0.18 takes for (in, out) whatever the parameter has, and 0.19 for (out, in) unless it says that it is transposed.
Independent of the verifier on purpose: imports nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np

from harness.checkpoints.safetensors_file import round_to
from tests.verify.planted.adapters import Adapter, Pair
from tests.verify.planted.models import KEPT_FLOAT32, Model, Weights

Dtype = Literal["F32", "BF16", "F16"]


class Way(NamedTuple):
    """How a merge computes what it stores."""

    product: type[np.floating] = np.float64
    """In which B @ A is computed."""
    delta_first: tuple[str, ...] = ()
    """The kinds of pairs whose delta is rounded to the stored dtype before it is added."""
    factors: Dtype = "F32"
    """To what the factors are rounded before they are multiplied."""
    product_in: Dtype = "F32"
    """To what their product is rounded, before it is scaled."""
    delta: Dtype = "F32"
    """To what it is rounded after it was scaled."""
    sum_: Dtype = "F32"
    """To what base, delta and sum are rounded before they are stored."""


KINDS = ("linear", "embedding", "fused")
EXACT = Way()
PEFTS_WAY = Way(product=np.float32, delta_first=("embedding", "fused"))
"""Seen to give the same bits as merge_and_unload of 0.18.1, 0.19.1 and 0.21.2 on a processor."""
WAYS: Mapping[str, Way] = {
    "as PEFT": PEFTS_WAY,
    "float64": EXACT,
    "float32": Way(product=np.float32),
    "delta first": Way(product=np.float32, delta_first=KINDS),
    "delta first, float64": Way(delta_first=KINDS),
}
"""All of these are right."""
COARSE: Mapping[str, Way] = {
    "bfloat16 delta": Way(delta="BF16"),
    "float16 sum": Way(sum_="F16"),
    "bfloat16 sum": Way(sum_="BF16"),
    "bfloat16 factors": Way(product=np.float32, factors="BF16"),
    "bfloat16 factors and delta": Way(product=np.float32, factors="BF16", delta="BF16"),
    "bfloat16 throughout": Way(product=np.float32, factors="BF16", product_in="BF16", delta="BF16"),
    "float16 factors": Way(product=np.float32, factors="F16"),
    "float16 factors and delta": Way(product=np.float32, factors="F16", delta="F16"),
    "float16 throughout": Way(product=np.float32, factors="F16", product_in="F16", delta="F16"),
}
"""Less exact than float32 before anything is stored: the delta is there, and it may be said that it is worse for it.

Of factors that are held in such a dtype, PEFT makes `factors and delta` on a processor (`cast_to_fp32`), `throughout`
on other devices, and whoever casts them back to multiply makes `factors`. A weight that is held in less while it is
merged than it is stored in leaves a `sum`.
"""


class Reading(NamedTuple):
    """How the factors of fused experts are taken apart. The first of each is PEFT's, for B too."""

    a: Literal["grouped", "rank_major"] = "grouped"
    b: Literal["rank_major", "grouped"] = "rank_major"
    turned: bool = False
    """Whether the product is taken for the other layout's."""
    halves: Literal["as the model", "other"] = "as the model"
    """How gate and up are cut out of the outputs."""


PEFTS = Reading()


def rounded(dtype: Dtype, values: np.ndarray) -> np.ndarray:
    """What is left of values that are stored in `dtype`, as float32."""
    if dtype == "F16":
        with np.errstate(over="ignore"):
            return values.astype(np.float16).astype(np.float32)
    return round_to({"F32": "float32", "BF16": "bfloat16"}[dtype], values)


def stored_dtype(site: str, dtype: Dtype) -> Dtype:
    """What a checkpoint in `dtype` stores this tensor in."""
    return "F32" if KEPT_FLOAT32 in site else dtype


def base_values(model: Model, dtype: Dtype) -> Weights:
    """The base checkpoint's values, as they are stored."""
    return {site: rounded(stored_dtype(site, dtype), weight) for site, weight in model.weights.items()}


def deltas_of(model: Model, adapter: Adapter, way: Way = EXACT, reading: Reading = PEFTS) -> Weights:
    """What is added to each adapted weight, in the precision of the product."""
    return {site: delta for pair in adapter.pairs for site, delta in pair_deltas(model, adapter, pair, way, reading)}


def pair_deltas(
    model: Model, adapter: Adapter, pair: Pair, way: Way = EXACT, reading: Reading = PEFTS
) -> Iterator[tuple[str, np.ndarray]]:
    """The deltas of one pair."""
    a, b = (rounded(way.factors, factor).astype(way.product) for factor in (pair.a, pair.b))
    if pair.kind != "fused":
        delta = _scaled(b @ a, pair, way)
        yield pair.site, delta.T if pair.kind == "embedding" else delta
        return
    experts = model.experts
    assert experts is not None, "only experts are fused"
    is_turned = (adapter.recipe.style == "swapped") ^ experts.turned ^ reading.turned
    for expert, product in enumerate(_fused_products(a, b, experts.num, reading)):
        delta = _scaled(product.T if is_turned else product, pair, way)
        in_turns = experts.turned != (reading.halves == "other")
        for part, rows in zip(pair.parts, _parts(delta, len(pair.parts), in_turns), strict=True):
            yield experts.site(pair.layer, expert, part), rows


def _scaled(product: np.ndarray, pair: Pair, way: Way) -> np.ndarray:
    if way.product_in != "F32":
        product = rounded(way.product_in, product)
    delta = product * way.product(pair.scaling)
    return delta if way.delta == "F32" else rounded(way.delta, delta)


def _fused_products(a: np.ndarray, b: np.ndarray, num_experts: int, reading: Reading) -> np.ndarray:
    """(E, rows of B, columns of A)."""
    a_ERI = a.reshape(num_experts, -1, a.shape[1])
    if reading.a == "rank_major":
        a_ERI = a.reshape(-1, num_experts, a.shape[1]).transpose(1, 0, 2)
    product_EOI: np.ndarray
    if reading.b == "rank_major":
        product_EOI = np.einsum("ore,eri->eoi", b.reshape(b.shape[0], -1, num_experts), a_ERI)
    else:
        product_EOI = np.einsum("oer,eri->eoi", b.reshape(b.shape[0], num_experts, -1), a_ERI)
    return product_EOI


def _parts(delta: np.ndarray, num_parts: int, in_turns: bool) -> list[np.ndarray]:
    return [delta[start::num_parts] for start in range(num_parts)] if in_turns else np.split(delta, num_parts)


def merged_values(
    base: Mapping[str, np.ndarray], adapter: Adapter, deltas: Mapping[str, np.ndarray], dtype: Dtype, way: Way = EXACT
) -> Weights:
    """What a merge stores, given what it adds: base where nothing is adapted."""
    start = {**base, **{name: rounded(stored_dtype(name, dtype), value) for name, value in adapter.whole.items()}}
    values = dict(start)
    experts = set(deltas) - {pair.site for pair in adapter.pairs}
    kinds = {**dict.fromkeys(experts, "fused"), **{pair.site: pair.kind for pair in adapter.pairs}}
    for site, delta in deltas.items():
        values[site] = add(start[site], delta, dtype, way, delta_first=kinds[site] in way.delta_first)
    for pair in adapter.pairs:
        if pair.magnitude is not None and pair.site in deltas:
            values[pair.site] = renormed(start[pair.site], deltas[pair.site], pair.magnitude, dtype, way)
        if pair.bias is not None:
            name = f"{pair.key}.bias"
            values[name] = add(start[name], pair.bias * pair.scaling, dtype, way)
    return values


def add(
    weight: np.ndarray, delta: np.ndarray, dtype: Dtype, way: Way = EXACT, *, delta_first: bool = False
) -> np.ndarray:
    """The sum as it is stored."""
    if delta_first:
        delta = rounded(dtype, delta)
    weight, delta = rounded(way.sum_, weight), rounded(way.sum_, delta) if way.sum_ != "F32" else delta
    return rounded(dtype, rounded(way.sum_, weight.astype(way.product) + delta))


def renormed(
    weight: np.ndarray, delta: np.ndarray, magnitude: np.ndarray, dtype: Dtype, way: Way = EXACT
) -> np.ndarray:
    """DoRA: each row of the sum gets the length that was trained."""
    sum_ = weight.astype(way.product) + delta
    factor = magnitude.astype(way.product) / np.linalg.norm(sum_, axis=1)
    return rounded(dtype, factor[:, None] * sum_)
