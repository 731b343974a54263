"""Per tensor: how much of the trained delta is in the weights that were saved or reloaded.

The table is made where the weights are (inside a cell) and judged anywhere: it holds a few numbers a canonical tensor.
numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from harness.checkpoints.safetensors_file import round_to
from harness.errors import ArtifactError
from harness.metrics.npz import reading, write


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeightTable:
    """One row a canonical tensor; columns of equal length `(rows,)`."""

    name: np.ndarray
    delta_norm: np.ndarray
    """Frobenius norm of the true delta (the live forward's); 0 where nothing was adapted or trained."""
    residual_norm: np.ndarray
    """Norm of got − round(base + delta): what is wrong, in the delta's own units."""
    recovered: np.ndarray
    """Projection ⟨got − base, delta⟩ / ‖delta‖²: 1 if it is all there, 0 if it is missing, 2 if applied twice."""
    changed: np.ndarray
    """True where any element differs from base."""
    lost: np.ndarray
    """True where a non-zero delta rounds away entirely in the stored dtype: not missing, and not recoverable."""
    present: np.ndarray
    """False where the tensor was not found: its delta counts as missing."""
    shape_ok: np.ndarray
    finite: np.ndarray
    base_dtype: np.ndarray
    """As base has it: float32, bfloat16, …"""
    stored_dtype: np.ndarray
    """As it was stored; empty where nothing was, or the weights are those of a model."""
    unexpected: np.ndarray
    """Names that have no place in base, of their own length."""

    def save(self, path: Path) -> None:
        """Write to `path` (npz, no pickles)."""
        write(path, {field.name: getattr(self, field.name) for field in fields(self)})

    @staticmethod
    def load(path: Path) -> WeightTable | None:
        """The table at `path`, or None if it is not there. Raises ArtifactError if it cannot be read."""
        if not path.exists():
            return None
        with reading(path, "weight table") as arrays:
            return WeightTable(**{field.name: arrays[field.name] for field in fields(WeightTable)})


def compare_weights(
    base: Mapping[str, tuple[str, np.ndarray]],
    deltas: Mapping[str, np.ndarray],
    got: Mapping[str, Callable[[], np.ndarray]] | Mapping[str, np.ndarray],
    *,
    stored: bool,
    dtypes: Mapping[str, str] | None = None,
) -> WeightTable:
    """Compare what was `got` with `base` + `deltas`, tensor by tensor, under canonical names.

    `base` holds (dtype name, values); `got` holds values, or functions that load them one at a time. `stored` rounds
    the expected sum to base's dtype, as a merged checkpoint does; a live adapter's weights are not rounded. `dtypes`
    are those that were stored.
    """
    columns: dict[str, list[object]] = {field.name: [] for field in fields(WeightTable)}
    for name, (dtype, base_values) in base.items():
        delta = deltas.get(name)
        loader = got.get(name)
        values = loader() if callable(loader) else loader
        row = _compare_one(base_values, delta, values, dtype if stored else None)
        columns["name"].append(name)
        columns["base_dtype"].append(dtype)
        columns["stored_dtype"].append((dtypes or {}).get(name, ""))
        for key, value in row.items():
            columns[key].append(value)
    orphans = sorted(set(deltas) - set(base))
    if orphans:
        raise ArtifactError("deltas without a base tensor", got=", ".join(orphans[:5]))
    columns["unexpected"] = [*sorted(set(got) - set(base))]
    kinds: dict[str, type] = dict.fromkeys(("name", "unexpected", "base_dtype", "stored_dtype"), np.str_)
    kinds |= dict.fromkeys(("delta_norm", "residual_norm", "recovered"), float)
    return WeightTable(**{key: np.array(column, dtype=kinds.get(key, bool)) for key, column in columns.items()})


def _compare_one(
    base: np.ndarray, delta: np.ndarray | None, got: np.ndarray | None, dtype: str | None
) -> dict[str, object]:
    delta_norm = 0.0 if delta is None else float(np.linalg.norm(delta.astype(np.float64)))
    row: dict[str, object] = {
        "delta_norm": delta_norm,
        "residual_norm": delta_norm,
        "recovered": 0.0,
        "changed": False,
        "lost": False,
        "present": got is not None,
        "shape_ok": got is not None and got.shape == base.shape,
        "finite": got is not None and bool(np.isfinite(got).all()),
    }
    if got is None or not row["shape_ok"] or not row["finite"]:
        return row
    row["changed"] = not np.array_equal(base, got)
    if delta is None and not row["changed"]:  # the common case, at full count by far
        return row
    base64 = base.astype(np.float64)
    expected = base64 if delta is None else base64 + delta.astype(np.float64)
    if dtype is not None and delta is not None:
        expected = round_to(dtype, expected).astype(np.float64)
        row["lost"] = delta_norm > 0 and bool(np.array_equal(expected, base64))
    got64 = got.astype(np.float64)
    row["residual_norm"] = float(np.linalg.norm(got64 - expected))
    if delta is not None and delta_norm > 0:
        row["recovered"] = float(np.vdot(got64 - base64, delta.astype(np.float64)) / delta_norm**2)
    return row
