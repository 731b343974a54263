"""Weights that should be base's, or what the adapter holds in full, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.verify import unchanged as module
from harness.verify.dtypes import rounded
from harness.verify.evidence import Evidence, Pairing, Worst
from harness.verify.places import Place
from harness.verify.unchanged import compare_held, compare_unchanged
from harness.verify.workspace import Workspace
from tests.verify.seen import ONE, in_memory, place

SHAPE = (12, 7)
VALUES = np.random.default_rng(5).standard_normal(SHAPE).astype(np.float32)


def at(entry: Any, shape: tuple[int, ...], how: str) -> Place:
    """Where a weight lies, of what is stored `how`."""
    return place(ONE.site, shape=shape)._replace(
        entry=entry, transposed=how.startswith("transposed"), expert=1 if how.endswith("fused") else None,
        rows=slice(2, 2 + shape[0], 1) if how == "part, fused" else slice(None),
    )  # fmt: skip


def as_stored(values: np.ndarray, how: str) -> np.ndarray:
    """A weight among others."""
    if how == "part, fused":
        values = np.concatenate([values[:2] + 3, values, values[:1] - 3])
    turned = values.T if how.startswith("transposed") else values
    return np.stack([turned + 1, turned, turned - 1]) if how.endswith("fused") else turned


def paired(
    base: np.ndarray, merged: np.ndarray, *, dtypes: str = "F32 F32", base_how: str = "", merged_how: str = ""
) -> tuple[Pairing, Workspace]:
    """A weight in base and merged."""
    before, after = dtypes.split()
    first, files = in_memory({"base": as_stored(base, base_how)}, before)
    second, more = in_memory({"merged": as_stored(merged, merged_how)}, after)
    files._contents.update(more._contents)  # type: ignore[attr-defined]
    pairing = Pairing(ONE.site, at(first["base"], base.shape, base_how), at(second["merged"], merged.shape, merged_how))
    return pairing, Workspace(files)


def unchanged(base: np.ndarray, merged: np.ndarray, **more: Any) -> Evidence:
    """The evidence that the one is the other."""
    return compare_unchanged(*paired(base, merged, **more))


HOW = ["", "transposed", "fused", "transposed and fused", "part, fused"]


@pytest.fixture(params=[None, 64], ids=["one piece", "many pieces"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are read in one piece, or in several, as those of real models are."""
    if request.param:
        monkeypatch.setattr(module, "BLOCK_BYTES", request.param)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("merged_how", HOW)
@pytest.mark.parametrize("base_how", HOW)
@pytest.mark.parametrize("dtypes", ["F32 F32", "BF16 BF16", "F32 BF16", "F16 F32", "F16 F16"])
def test_a_weight_is_bases_wherever_it_lies(dtypes: str, base_how: str, merged_how: str) -> None:
    """Bit for bit, or rounded to merged's dtype; one element that is not is counted and named."""
    before, after = dtypes.split()
    base = rounded(VALUES, before)
    right = rounded(base, after)
    how = {"dtypes": dtypes, "base_how": base_how, "merged_how": merged_how}
    found = unchanged(base, right, **how)
    assert (84, 84, 0, 0, None) == (
        found.num_elements, found.num_compared, found.num_wrong, found.num_non_finite, found.worst,
    )  # fmt: skip
    merged = right.copy()
    merged[3, 5], merged[11, 0] = merged[3, 5] + 2, merged[11, 0] - 1
    merged = rounded(merged, after)
    found = unchanged(base, merged, **how)
    assert (84, 2, 0) == (found.num_compared, found.num_wrong, found.num_non_finite)
    assert Worst(3, 5, float(right[3, 5]), float(merged[3, 5])) == found.worst


@pytest.mark.parametrize("how", ["", "transposed"])
def test_numbers_that_are_none(how: str) -> None:
    """A NaN for a NaN is no change; for a number it is one, as is an infinity of the other sign."""
    base, merged = VALUES.copy(), VALUES.copy()
    base[0, :3], merged[0, :3] = (np.nan, np.inf, np.inf), (-np.nan, np.inf, -np.inf)
    merged[4, 4], base[6, 6] = np.nan, np.inf
    found = unchanged(base, merged, base_how=how)
    assert (3, 2, 84) == (found.num_wrong, found.num_non_finite, found.num_compared)
    assert found.worst is not None
    assert (4, 4) == (found.worst.row, found.worst.column), "a NaN is farther off than any number"


@pytest.mark.usefixtures("pieces")
def test_numbers_that_are_none_are_counted_in_every_piece() -> None:
    """First and last row."""
    merged = VALUES.copy()
    merged[0, 0] = merged[11, 6] = np.inf
    assert (2, 2) == (unchanged(VALUES, merged).num_wrong, unchanged(VALUES, merged).num_non_finite)


@pytest.mark.usefixtures("pieces")
def test_the_worst_is_the_first_of_those_that_are_farthest_off() -> None:
    """Though it be little, and in whichever piece; huge numbers are no trouble."""
    base, merged = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    merged[2, 3] = merged[9, 1] = 0.25
    merged[1, 1] = 0.125
    assert Worst(2, 3, 0.0, 0.25) == unchanged(base, merged).worst
    base[11, 6], merged[11, 6] = 3e38, -3e38
    found = unchanged(base, merged)
    assert (4, (11, 6)) == (found.num_wrong, found.worst and found.worst[:2])


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize(
    ("places", "worst"),
    [
        pytest.param({(1, 1): np.nan, (9, 1): 8.0}, (1, 1), id="no number, then a number"),
        pytest.param({(1, 1): np.inf, (9, 1): np.nan, (11, 1): np.nan}, (9, 1), id="the first that is no number"),
        pytest.param({(1, 1): np.inf, (9, 1): -np.inf}, (1, 1), id="the first that has no end"),
        pytest.param({(1, 1): 1 + 2**-23, (9, 1): 1.0, (10, 1): 1 + 2**-23}, (1, 1), id="one bit farther"),
    ],
)  # fmt: skip
def test_the_worst_is_the_same_in_one_piece_and_in_many(
    places: dict[tuple[int, int], float], worst: tuple[int, int]
) -> None:
    """No number is farthest off, then what has no end; of what is as far off the first."""
    base, merged = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    for index, value in places.items():
        merged[index] = value
    found = unchanged(base, merged)
    assert (len(places), worst) == (found.num_wrong, found.worst and found.worst[:2])


@pytest.mark.usefixtures("pieces")
def test_what_is_as_far_off_is_so_in_float32() -> None:
    """In which all weights are compared: of two whose distances differ by less the first is told."""
    base, merged = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    base[1, 1], merged[1, 1] = 1, 2**-26
    base[9, 1] = 1
    assert Worst(1, 1, 1.0, 2**-26) == unchanged(base, merged).worst


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("dtype", ["F32", "BF16"])
@pytest.mark.parametrize("num_rows", [1, 9, 12])
def test_what_is_the_same_is_seen_at_a_glance(
    num_rows: int, dtype: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes against bytes, as they lie there where they lie together: most weights of a merge are base's."""

    def too_slow(*_: object) -> None:
        raise AssertionError("was not needed")

    monkeypatch.setattr(module, "widen", too_slow)
    if how in ("", "fused"):
        monkeypatch.setattr(module, "read_rows", too_slow)
    values = rounded(VALUES[:num_rows], dtype)
    found = unchanged(values, values, dtypes=f"{dtype} {dtype}", base_how=how, merged_how=how)
    assert (7 * num_rows, 0) == (found.num_compared, found.num_wrong)


def test_a_matrix_of_one_column_has_rows() -> None:
    """And a worst element in one of them."""
    merged = VALUES[:, :1].copy()
    merged[7] += 1
    found = unchanged(VALUES[:, :1], merged)
    assert (1, (7, 0)) == (found.num_wrong, found.worst and found.worst[:2])


def test_what_is_no_float_is_compared_by_its_bits() -> None:
    """Nothing of it is called a number."""
    first, files = in_memory({"base": VALUES, "merged": VALUES + (VALUES > 2)})
    places = [at(first[name]._replace(dtype="I32"), SHAPE, "") for name in ("base", "merged")]
    found = compare_unchanged(Pairing(ONE.site, *places), Workspace(files))
    assert (int((VALUES > 2).sum()), None) == (found.num_wrong, found.worst)
    assert found.num_wrong > 0


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("dtypes", ["F32 F32", "BF16 BF16", "F32 BF16"])
@pytest.mark.parametrize("shape", [(1,), (3,), (129,), (2, 3, 5)], ids=str)
def test_other_shapes_are_compared_whole(shape: tuple[int, ...], dtypes: str) -> None:
    """Vectors and what has more axes; the last element as the first."""
    before, after = dtypes.split()
    base = rounded(np.random.default_rng(6).standard_normal(shape).astype(np.float32), before)
    right = rounded(base, after)
    assert 0 == unchanged(base, right, dtypes=dtypes).num_wrong
    for index in (0, -1):
        merged = right.copy()
        merged.reshape(-1)[index] = 8
        found = unchanged(base, merged, dtypes=dtypes)
        assert (1, base.size, base.size) == (found.num_wrong, found.num_compared, found.num_elements)
        assert Worst(0, index % base.size, float(right.reshape(-1)[index]), 8.0) == found.worst


def held(
    values: np.ndarray, merged: np.ndarray, base: np.ndarray | None = VALUES, *, dtypes: str = "F32 F32", how: str = ""
) -> Evidence:
    """The evidence that merged is what the adapter holds."""
    pairing, space = paired(VALUES if base is None else base, merged, dtypes=dtypes, base_how=how, merged_how=how)
    return compare_held(values.reshape(-1), pairing.merged, None if base is None else pairing.base, space)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("dtypes", ["F32 F32", "BF16 BF16", "F32 BF16", "BF16 F32"])
def test_what_the_adapter_holds_is_stored_as_merged_is(dtypes: str, how: str) -> None:
    """Rounded to its dtype; what is base's is told from what is something else, and no delta is made of it."""
    before, after = dtypes.split()
    base = rounded(VALUES, before)
    before_as_stored = rounded(base, after)
    wanted = VALUES + 1
    wanted[5] = VALUES[5]
    right = rounded(wanted, after)
    visible, same = int((right != before_as_stored).sum()), int((right == before_as_stored).sum())
    found = held(wanted, right, base, dtypes=dtypes, how=how)
    assert (84, 84, 0, 0, 0, visible, same, None) == (
        found.num_elements, found.num_compared, found.num_wrong, found.num_wrong_and_base, found.num_non_finite,
        found.num_visible, found.num_same, found.worst,
    )  # fmt: skip
    merged = right.copy()
    merged[2, 1], merged[3] = 9, before_as_stored[3]
    found = held(wanted, merged, base, dtypes=dtypes, how=how)
    assert (8, 7, visible, same + 7) == (
        found.num_wrong, found.num_wrong_and_base, found.num_visible, found.num_same,
    )  # fmt: skip
    assert Worst(2, 1, float(right[2, 1]), 9.0) == found.worst


def test_what_is_held_and_no_number() -> None:
    """NaN for NaN is right; NaN for a number is wrong and counted."""
    wanted, merged = VALUES.copy(), VALUES.copy()
    wanted[0, 0] = merged[0, 0] = merged[1, 1] = np.nan
    found = held(wanted, merged)
    assert (1, 1) == (found.num_wrong, found.num_non_finite)


@pytest.mark.parametrize("base", [None, VALUES[:, :6], VALUES.T], ids=["none", "fewer columns", "turned"])
def test_what_base_does_not_have_is_all_visible(base: np.ndarray | None) -> None:
    """A new head, or one of another size: nothing of it can be base's."""
    found = held(VALUES, VALUES, base)
    assert (84, 0, 0, 0) == (found.num_visible, found.num_same, found.num_wrong, found.num_wrong_and_base)
    found = held(VALUES, VALUES * 0, base)
    assert (84, 84, 0) == (found.num_visible, found.num_wrong, found.num_wrong_and_base)


def test_what_has_more_axes_is_one_row() -> None:
    """As it is walked."""
    values = VALUES.reshape(2, 6, 7)
    merged = values.copy()
    merged[1, 2, 3] = 9
    pairing, space = paired(values, merged)
    found = compare_held(values.reshape(-1), pairing.merged, pairing.base, space)
    assert (1, (0, 42 + 14 + 3)) == (found.num_wrong, found.worst and found.worst[:2])


def test_a_vector_that_is_held() -> None:
    """Its worst element is in its only row."""
    vector = VALUES[0]
    found = held(vector, vector * np.float32([1, 1, 1, 5, 1, 1, 1]), vector)
    assert (1, (0, 3)) == (found.num_wrong, found.worst and found.worst[:2])
