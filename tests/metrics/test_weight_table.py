"""The weight table, tensor by tensor, against values worked out by hand; and that it survives being stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from harness.errors import ArtifactError
from harness.metrics.weight_table import WeightTable, compare_weights

BASE = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
DELTA = np.array([[0.0, 3.0], [4.0, 0.0]], np.float32)
"""Of norm 5."""


def compare_one(
    got: np.ndarray | None, *, dtype: str = "float32", stored: bool = True, delta: np.ndarray | None = DELTA
) -> WeightTable:
    """The table of one tensor."""
    return compare_weights(
        {"w": (dtype, BASE)}, {} if delta is None else {"w": delta}, {} if got is None else {"w": got}, stored=stored
    )


def numbers(table: WeightTable) -> tuple[float, float, float]:
    """delta norm, residual norm and recovered fraction of the only row."""
    return float(table.delta_norm[0]), float(table.residual_norm[0]), float(table.recovered[0])


def flags(table: WeightTable) -> set[str]:
    """Names of the boolean columns that are true in the only row."""
    return {name for name in ("changed", "lost", "present", "shape_ok", "finite") if getattr(table, name)[0]}


ALL = {"changed", "present", "shape_ok", "finite"}


@pytest.mark.parametrize(
    ("got", "expected", "true"),
    [
        pytest.param(BASE + DELTA, (5, 0, 1), ALL, id="perfect"),
        pytest.param(BASE, (5, 5, 0), ALL - {"changed"}, id="missing"),
        pytest.param(BASE + 2 * DELTA, (5, 5, 2), ALL, id="applied twice"),
        pytest.param(BASE - DELTA, (5, 10, -1), ALL, id="subtracted"),
        pytest.param(BASE + 0.5 * DELTA, (5, 2.5, 0.5), ALL, id="half"),
        pytest.param(BASE + DELTA[::-1], (5, np.sqrt(2 * 25), 0), ALL, id="rows permuted"),
        pytest.param(BASE + DELTA.T, (5, np.sqrt(2), 24 / 25), ALL, id="transposed"),
        pytest.param(None, (5, 5, 0), set(), id="absent"),
        pytest.param(np.zeros((4, 2)), (5, 5, 0), {"present", "finite"}, id="another shape"),
        pytest.param(BASE * np.nan, (5, 5, 0), {"present", "shape_ok"}, id="NaN"),
        pytest.param(BASE + np.inf, (5, 5, 0), {"present", "shape_ok"}, id="infinity"),
    ],
)
def test_an_adapted_tensor(got: np.ndarray | None, expected: tuple[float, float, float], true: set[str]) -> None:
    """The residual is ‖got − (base + delta)‖, the recovered fraction the projection onto delta, over ‖delta‖²."""
    table = compare_one(got)
    assert expected == pytest.approx(numbers(table), rel=1e-12)
    assert true == flags(table)


@pytest.mark.parametrize(
    ("got", "expected", "true"),
    [
        pytest.param(BASE, (0, 0, 0), ALL - {"changed"}, id="unchanged"),
        pytest.param(BASE + DELTA, (0, 5, 0), ALL, id="changed"),
        pytest.param(None, (0, 0, 0), set(), id="absent"),
    ],
)
@pytest.mark.parametrize("delta", [None, DELTA * 0], ids=["not adapted", "zero delta"])
def test_a_tensor_without_a_delta(
    got: np.ndarray | None, expected: tuple[float, float, float], true: set[str], delta: np.ndarray | None
) -> None:
    """What is not adapted, and what is adapted with a zero delta, must be as it was."""
    table = compare_one(got, delta=delta)
    assert expected == numbers(table)
    assert true == flags(table)


def test_the_expected_sum_is_rounded_as_it_is_stored() -> None:
    """In bfloat16 1 + 2^-9 is stored as 1: a checkpoint that holds 1 has no residual, one that holds 1 + 2^-7 has."""
    base = np.ones((1, 1), np.float32)
    delta = np.full((1, 1), 2.0**-9, np.float32)
    next_up = base + 2.0**-7

    def table(got: np.ndarray, *, stored: bool) -> WeightTable:
        return compare_weights({"w": ("bfloat16", base)}, {"w": delta}, {"w": got}, stored=stored)

    assert 0.0 == table(base, stored=True).residual_norm[0]
    assert 2.0**-7 == table(next_up, stored=True).residual_norm[0]
    assert 2.0**-9 == table(base, stored=False).residual_norm[0]


def test_a_delta_that_rounds_away_is_lost_and_not_missing() -> None:
    """Lost is only what the stored dtype cannot hold at all, only where it is stored."""
    tiny = DELTA * 2.0**-12
    assert "lost" in flags(compare_one(BASE, dtype="bfloat16", delta=tiny))
    assert "lost" not in flags(compare_one(BASE, dtype="bfloat16", delta=tiny, stored=False))
    assert "lost" not in flags(compare_one(BASE, dtype="float32", delta=tiny))
    assert "lost" not in flags(compare_one(BASE, dtype="bfloat16", delta=DELTA))
    half = tiny.copy()
    half[0, 1] = 3.0  # one element survives
    assert "lost" not in flags(compare_one(BASE, dtype="bfloat16", delta=half))


def test_rows_are_the_bases_tensors_and_the_rest_is_unexpected() -> None:
    """One row a base tensor, in base's order, whatever was got; names that base lacks are told apart."""
    base = {"w": ("float32", BASE), "v": ("float32", BASE)}
    table = compare_weights(base, {"v": DELTA}, {"v": BASE, "z": BASE, "a": BASE}, stored=True)
    assert ["w", "v"] == table.name.tolist()
    assert [0.0, 5.0] == table.delta_norm.tolist()
    assert [False, True] == table.present.tolist()
    assert ["a", "z"] == table.unexpected.tolist()


def test_dtypes_are_base_s_and_those_that_were_stored() -> None:
    """Nothing where nothing was stored."""
    base = {"w": ("float32", BASE), "v": ("bfloat16", BASE)}
    table = compare_weights(base, {}, {"w": BASE}, stored=True, dtypes={"w": "bfloat16"})
    assert [("float32", "bfloat16"), ("bfloat16", "")] == list(
        zip(table.base_dtype.tolist(), table.stored_dtype.tolist(), strict=True)
    )
    assert ["", ""] == compare_weights(base, {}, {"w": BASE}, stored=False).stored_dtype.tolist()


def test_values_may_be_loaded_one_at_a_time() -> None:
    """A function stands for the values that it gives."""
    loaders: dict[str, Callable[[], np.ndarray]] = {"w": lambda: BASE + DELTA}
    table = compare_weights({"w": ("float32", BASE)}, {"w": DELTA}, loaders, stored=True)
    assert (5.0, 0.0, 1.0) == numbers(table)


def test_a_delta_without_a_base_tensor_is_an_error() -> None:
    """What has nowhere to go is named."""
    with pytest.raises(ArtifactError, match="deltas without a base tensor; got ghost"):
        compare_weights({"w": ("float32", BASE)}, {"ghost": DELTA}, {"w": BASE}, stored=True)


def test_of_many_such_deltas_five_are_named() -> None:
    """In order."""
    deltas = dict.fromkeys("gfedcba", DELTA)
    with pytest.raises(ArtifactError) as raised:
        compare_weights({"w": ("float32", BASE)}, deltas, {"w": BASE}, stored=True)
    assert "deltas without a base tensor; got a, b, c, d, e" == str(raised.value)


def test_a_delta_may_be_small() -> None:
    """What of it is there is a fraction of it, whatever its norm."""
    assert (0.05, 0.025, 0.5) == pytest.approx(numbers(compare_one(BASE + DELTA / 200, delta=DELTA / 100)), rel=1e-4)


def test_a_table_of_nothing_has_the_types_of_any() -> None:
    """So that it can be counted like any other."""
    empty, full = compare_weights({}, {}, {}, stored=True), compare_one(BASE)
    for field in fields(WeightTable):
        assert getattr(full, field.name).dtype.kind == getattr(empty, field.name).dtype.kind
        assert 0 == len(getattr(empty, field.name))


def test_a_table_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    """Every column, with its type; no file is no table."""
    table = compare_weights(
        {"w": ("float32", BASE), "v": ("bfloat16", BASE)}, {"w": DELTA}, {"w": BASE, "odd": BASE}, stored=True
    )
    table.save(tmp_path / "weights.npz")
    loaded = WeightTable.load(tmp_path / "weights.npz")
    assert loaded is not None
    for field in fields(WeightTable):
        before, after = getattr(table, field.name), getattr(loaded, field.name)
        assert (before.dtype, before.tolist()) == (after.dtype, after.tolist())
    assert None is WeightTable.load(tmp_path / "none.npz")


@pytest.mark.parametrize("keep", [0, 3, 30, 0.5, 0.9, 0.999])
def test_a_table_that_was_cut_short_is_one_clear_error(tmp_path: Path, keep: float) -> None:
    """Wherever the file ends, it is an ArtifactError that names it."""
    path = tmp_path / "weights.npz"
    compare_one(BASE).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(ArtifactError, match=r"weights\.npz"):
        WeightTable.load(path)


def test_a_table_is_no_pickle(tmp_path: Path) -> None:
    """An array of objects, which only a pickle can hold, is refused before it is written."""
    table = replace(compare_one(BASE), name=np.array([object()], dtype=object))
    with pytest.raises(ArtifactError, match=r"weights\.npz: arrays of objects are not saved; got name$"):
        table.save(tmp_path / "weights.npz")


def test_what_is_no_table_is_called_by_its_name(tmp_path: Path) -> None:
    """The file, and what should have been in it."""
    path = tmp_path / "weights.npz"
    np.save(path.with_suffix(".npy"), np.zeros(2))
    path.with_suffix(".npy").rename(path)
    with pytest.raises(ArtifactError) as raised:
        WeightTable.load(path)
    assert f"{path}: weight table cannot be read: not an archive" == str(raised.value)


def test_a_table_without_all_columns_is_one_clear_error(tmp_path: Path) -> None:
    """A column that is not there is named."""
    np.savez(tmp_path / "weights.npz", name=np.array(["w"]))
    with pytest.raises(ArtifactError, match="delta_norm"):
        WeightTable.load(tmp_path / "weights.npz")
