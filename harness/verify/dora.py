"""DoRA: merged is magnitude * (W + D) / |W + D|, the length taken of each row.

`DoraLinearLayer.get_weight_norm` and `Linear.merge` (peft/tuners/lora/dora.py and layer.py of 0.15.2 to 0.21.2). PEFT
makes the length, the quotient and the product in the dtypes that base and factors have, rounding each, so that elements
are known to a few roundings of the stored dtype, and rows by their scale.
"""

from __future__ import annotations

import numpy as np

from harness.verify.blocks import read_rows
from harness.verify.dtypes import widen
from harness.verify.evidence import Evidence, Pairing, Worst
from harness.verify.factors import LowRank
from harness.verify.roundings import ROUNDOFF
from harness.verify.workspace import Workspace

NUM_ROUNDINGS = 6
"""Sum, length, quotient, product, the stored value, and one for the delta."""
SINGLE_SLACK = 64
"""In float32 the roundings of long sums and products outweigh these."""
BLOCK_ELEMENTS = 1 << 20


def compare_dora(pairing: Pairing, delta: LowRank, magnitude: np.ndarray, space: Workspace) -> Evidence:
    """Evidence that a weight was merged with DoRA. The delta of the sums is what DoRA makes of base, less base."""
    rows, columns = pairing.base.shape
    dtypes = {pairing.base.entry.dtype, pairing.merged.entry.dtype}
    roundoff = max(ROUNDOFF[dtype] for dtype in dtypes)
    slack = roundoff * (SINGLE_SLACK if roundoff == ROUNDOFF["F32"] else NUM_ROUNDINGS)
    found = Evidence(num_elements=rows * columns)
    farthest = -1.0
    step = max(1, BLOCK_ELEMENTS // columns)
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        base_bits = read_rows(space.files, pairing.base, False, start, stop, space.buffers, "base")
        merged_bits = read_rows(space.files, pairing.merged, False, start, stop, space.buffers, "merged")
        base, merged = widen(base_bits, pairing.base.entry.dtype), widen(merged_bits, pairing.merged.entry.dtype)
        with np.errstate(all="ignore"):
            product = (delta.left[start:stop] @ delta.right) * np.float32(delta.scale)
            summed = base + product
            lengths = np.linalg.norm(summed.astype(np.float64), axis=1, keepdims=True)
            predicted = summed * (magnitude[start:stop, None] / lengths)
            # The scale of a row is known better than its elements, whose roundings differ.
            size = np.abs(base) + np.abs(product)
            allowed = slack * np.abs(predicted) + roundoff * size * np.abs(magnitude[start:stop, None] / lengths)
            off = np.abs(merged - predicted)
            # A magnitude that is infinite has infinite room, and nothing is near it.
            wrong = ~((off <= allowed) & np.isfinite(predicted)) | _scaled_rows(merged, predicted, slack)
            change, wanted = merged - base, predicted - base
        found.num_compared += merged.size
        found.num_wrong += int(wrong.sum())
        found.num_same += int((merged == base).sum())
        found.num_wrong_and_base += int((wrong & (merged == base)).sum())
        found.num_visible += int((np.abs(wanted) > allowed).sum())
        found.num_non_finite += int((~np.isfinite(merged) & np.isfinite(base)).sum())
        found.delta_squared += float((wanted.astype(np.float64) ** 2).sum())
        found.delta_times_change += float((wanted.astype(np.float64) * change).sum())
        found.change_squared += float((change.astype(np.float64) ** 2).sum())
        found.note_lines(start, wrong.sum(axis=1))
        if wrong.any():
            distance = np.where(wrong, np.nan_to_num(off, nan=np.inf), -1)
            row, column = divmod(int(distance.argmax()), columns)
            if distance[row, column] > farthest:
                farthest = float(distance[row, column])
                found.worst = Worst(start + row, column, float(predicted[row, column]), float(merged[row, column]))
    return found


def _scaled_rows(merged: np.ndarray, predicted: np.ndarray, slack: float) -> np.ndarray:
    """Rows whose length is not the predicted one: their roundings average out, a wrong magnitude does not."""
    got = (merged.astype(np.float64) * predicted).sum(axis=1)
    wanted = (predicted.astype(np.float64) ** 2).sum(axis=1)
    is_off = ~(np.abs(got - wanted) <= slack / 2 * wanted)
    return np.broadcast_to(is_off[:, None], merged.shape)
