"""Names what is wrong with weights: every tensor of the table that is off, by kind, and those that are alike together.

Whether they are wrong at all is the gates' business: it is told how much is too much.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from harness.checkpoints.configs import effective_config
from harness.judging.grouping import Roles, alike, finding_of, place, role_of, roles_of
from harness.metrics import dtypes
from harness.metrics.observed import Observed
from harness.metrics.weight_table import WeightTable
from harness.records.results import Finding, Location

SAME_DIRECTION = 0.05
"""How far a residual may be from a pure multiple of the delta, relative to the delta, and still be called a scale."""


def of_values(observed: Observed, table: WeightTable, tolerance: float) -> list[Finding]:
    """Tensors of which more than `tolerance` of the delta is off, that changed without one, or cannot be used."""
    roles = roles_of(observed)
    tied = bool(effective_config(observed.family, observed.case).get("tie_word_embeddings"))
    misread = observed.answer.notes.get("misread", {})
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in np.flatnonzero(_wrong(table, tolerance)):
        name = str(table.name[row])
        role = role_of(name, roles)
        kind = misread.get(name) or _kind(table, int(row))
        if tied and role in ("embedding", "head"):
            kind = "tied_weights_broken"
        groups[kind, role].append(int(row))
    found = [_group(table, roles, kind, role, rows) for (kind, role), rows in sorted(groups.items())]
    for name in table.unexpected:
        text = f"{name} has no place in base"
        found.append(Finding(kind="tensor_unexpected", message=text, where=Location(tensor=str(name))))
    return found


def of_dtypes(observed: Observed, table: WeightTable) -> list[Finding]:
    """Tensors that are stored in another dtype than base's."""
    roles = roles_of(observed)
    found = []
    rows = {str(name): row for row, name in enumerate(table.name)}
    for members in alike([str(name) for name in table.name[dtypes.changed(table)]], roles).values():
        was, stored = (str(column[rows[members[0]]]) for column in (table.base_dtype, table.stored_dtype))
        finding = finding_of("dtype_changed", members, f"stored as {stored}, and {was} in base", roles)
        found.append(replace(finding, expected=was, got=stored))
    return found


def _wrong(table: WeightTable, tolerance: float) -> np.ndarray:
    targeted = table.delta_norm > 0
    off = targeted & ~table.lost & (table.residual_norm > tolerance * table.delta_norm)
    wrong: np.ndarray = off | (~targeted & table.changed) | ~table.present | ~table.shape_ok | ~table.finite
    return wrong


def _kind(table: WeightTable, row: int) -> str:
    if not table.present[row]:
        return "tensor_missing"
    if not table.shape_ok[row]:
        return "shape_mismatch"
    if not table.finite[row]:
        return "non_finite"
    delta = float(table.delta_norm[row])
    if delta == 0:
        return "passthrough_changed"
    recovered, residual = float(table.recovered[row]), float(table.residual_norm[row]) / delta
    if not table.changed[row]:
        return "delta_missing"
    beside = max(residual**2 - (1 - recovered) ** 2, 0.0) ** 0.5
    if beside > SAME_DIRECTION * max(abs(recovered), SAME_DIRECTION) or beside > abs(1 - recovered):
        return "delta_wrong_values"
    if abs(recovered) < SAME_DIRECTION:
        return "delta_missing"
    if abs(recovered + 1) < SAME_DIRECTION:
        return "delta_wrong_sign"
    if abs(recovered - 2) < SAME_DIRECTION:
        return "delta_applied_twice"
    return "delta_wrong_scale"


def _group(table: WeightTable, roles: Roles, kind: str, role: str, rows: list[int]) -> Finding:
    ratio = table.residual_norm / np.where(table.delta_norm > 0, table.delta_norm, 1.0)
    worst = max(rows, key=lambda row: float(ratio[row]))
    names = [str(table.name[row]) for row in rows]
    known = [roles[name] for name in names if name in roles]
    layers, experts = _listed(each.layer for each in known), _listed(each.expert for each in known)
    counted = f"{len(rows)} tensors" if len(rows) > 1 else "1 tensor"
    return Finding(
        kind=kind,
        message=f"{counted} of {role}: {kind} (layers {layers}, experts {experts})",
        where=replace(place(names, roles), tensor=str(table.name[worst])),
        expected="recovered 1.0000, residual 0" if table.delta_norm[worst] > 0 else "equal to base",
        got=f"recovered {table.recovered[worst]:.4f}, residual {ratio[worst]:.3g}",
        num_alike=len(rows),
    )


def _listed(numbers: Iterable[int | None]) -> str:
    known = sorted({number for number in numbers if number is not None})
    if not known:
        return "none"
    if len(known) > 3 and known == list(range(known[0], known[-1] + 1)):
        return f"{known[0]} to {known[-1]}"
    return ", ".join(map(str, known[:12])) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
