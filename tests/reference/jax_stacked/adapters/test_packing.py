"""How PEFT packs the factors of fused experts: against its own formula, for every size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.jax_stacked.adapters.packing import (
    LAYOUTS,
    Layout,
    fitting_layouts,
    layout_since,
    pack,
    packed_shapes,
    unpack,
)
from reference.jax_stacked.adapters.record import Target

SIZES = st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 5), st.integers(1, 5))


def factors(num_experts: int, rank: int, columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A (E, R, I) and B (E, O, R) in which no two numbers are the same."""
    numbers = np.arange(1, 1 + num_experts * rank * (columns + rows), dtype=np.float32)
    split = num_experts * rank * columns
    return numbers[:split].reshape(num_experts, rank, columns), numbers[split:].reshape(num_experts, rows, rank)


def peft_delta(a: np.ndarray, b: np.ndarray, num_experts: int, equation: str) -> np.ndarray:
    """`ParamWrapper.get_delta_weight` without its scaling: 0.19 has "o r e, e r i -> e o i", 0.18 "… -> e i o"."""
    delta: np.ndarray = np.einsum(
        equation, b.reshape(b.shape[0], -1, num_experts), a.reshape(num_experts, -1, a.shape[-1])
    )
    return delta


@pytest.mark.parametrize(
    ("layout", "equation"), [("standard", "ore,eri->eoi"), ("swapped", "ore,eri->eio")], ids=LAYOUTS
)
@given(sizes=SIZES)
def test_peft_makes_the_same_delta_of_what_is_packed(
    layout: Layout, equation: str, sizes: tuple[int, int, int, int]
) -> None:
    """Its formula on the packed factors gives B @ A of every expert, whether or not R reaches E."""
    a_ERI, b_EOR = factors(*sizes)

    a, b = pack(a_ERI, b_EOR, layout)

    np.testing.assert_allclose(peft_delta(a, b, sizes[0], equation), b_EOR @ a_ERI)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(sizes=SIZES)
def test_what_is_packed_is_unpacked(layout: Layout, sizes: tuple[int, int, int, int]) -> None:
    """Both factors come back to the bit, and packed they have the shapes that are asked of a file."""
    num_experts, rank, columns, rows = sizes
    target = Target(kind="experts", in_features=columns, out_features=rows, num_experts=num_experts)
    a_ERI, b_EOR = factors(*sizes)

    a, b = pack(a_ERI, b_EOR, layout)
    again_ERI, again_EOR = unpack(a, b, num_experts, layout)

    assert packed_shapes(target, rank, layout) == (a.shape, b.shape)
    np.testing.assert_array_equal(a_ERI, again_ERI)
    np.testing.assert_array_equal(b_EOR, again_EOR)


def test_an_expert_owns_rows_of_a_and_every_eth_column_of_b() -> None:
    """The packing that FACTS tells: expert-slowest in A, expert-fastest in B."""
    a_ERI, b_EOR = factors(4, 2, 3, 5)

    a, b = pack(a_ERI, b_EOR, "standard")

    np.testing.assert_array_equal(a_ERI[1], a[2:4])
    np.testing.assert_array_equal(b_EOR[1], b[:, 1::4])


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((3, 5), {"standard"}), ((5, 5), {"standard", "swapped"})],
    ids=["oblong", "square"],
)
def test_shapes_tell_layouts_apart_unless_they_are_square(sizes: tuple[int, int], expected: set[str]) -> None:
    """Where I == O both fit; with another rank none does."""
    columns, rows = sizes
    target = Target(kind="experts", in_features=columns, out_features=rows, num_experts=4)
    shapes = packed_shapes(target, 2, "standard")

    assert expected == fitting_layouts(*shapes, target, 2)
    assert set() == fitting_layouts(*shapes, target, 3)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.17.1", "swapped"),
        ("0.18.1", "swapped"),
        ("0.19.0", "standard"),
        ("0.21.2", "standard"),
        ("1.0.0", "standard"),
        ("0.18.2.dev0@UNKNOWN", None),
        ("", None),
        ("newest", None),
    ],
)
def test_a_released_version_tells_the_layout(version: str, expected: Layout | None) -> None:
    """A state between two releases does not: the layout changed between them."""
    assert expected == layout_since(version)
